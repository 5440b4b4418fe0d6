"""Compiled twins of the functions in `ops/` that are marked with `twin`, a file for each subject.

A twin has the name, the arguments and the results of its definition. It is a few lines that hand
contiguous float32 and float64 arrays to a kernel, a function that Numba compiles; all else goes to
the definition, since each new kind of argument would be compiled anew (0.3 s).
"""
