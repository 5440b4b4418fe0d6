"""What connects nnlite with its neighbours; each is an optional extra, imported by its own file."""
