"""Activations: layers that treat every value by itself, and softmax."""
