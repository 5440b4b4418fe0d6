"""Layers over time: recurrence, attention, and what goes with them."""
