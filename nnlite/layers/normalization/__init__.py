"""Normalizations: over channels and a batch, and over the features of one place."""
