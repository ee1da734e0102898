"""Closed forms and tile schedules in Numba: arrays and integers in, arrays and integers out."""
