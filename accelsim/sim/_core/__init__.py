"""The timing engine in Numba: arrays and integers in, arrays and integers out."""
