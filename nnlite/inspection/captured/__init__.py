"""What a trace captures beside what layers return: slopes, steps in time, the loss, the update."""
