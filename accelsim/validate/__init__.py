"""Predictions held to measurements and to vectors that somebody else computed."""
