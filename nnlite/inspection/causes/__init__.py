"""Why a gradient is wrong: the ways in which it differs from the right one, and their names."""
