"""Pooling: the largest or the mean value of windows and of whole inputs; and resizing."""
