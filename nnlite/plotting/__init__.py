"""Pictures of arrays: with matplotlib, an optional extra, or as SVG, which needs nothing."""
