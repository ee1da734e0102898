"""Kernels of the mapping search over hierarchies: traffic, chains of tiles, exhaustive cost."""
