"""Rows of the table of presets, one file per kind of machine."""
