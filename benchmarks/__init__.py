"""How fast nnlite is beside its peers, measured so that the figures mean something."""
