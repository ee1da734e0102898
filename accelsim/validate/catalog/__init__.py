"""Which array of which set of vectors is computed by which kernel: one table per family."""
