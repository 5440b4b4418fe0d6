"""Compiled twins of the algorithms for convolutions."""
