"""Where the mistake in a backward is: small corrections of its source, tried one by one."""
