"""Predictions against measured hardware and against peers."""
