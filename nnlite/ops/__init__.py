"""Pure functions on arrays, which know nothing of layers."""
