"""Convolutions, channels last, and their transposes."""
