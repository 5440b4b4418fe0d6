"""What everything else stands on: parameters, construction, padding, randomness, checks."""

VERSION = "0.1.0"
