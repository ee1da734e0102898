"""Grouped."""

from __future__ import annotations

from accelsim_kernels.dot.units import Product


def run_grouped(product: Product) -> None:
    """Stand-in."""
    raise NotImplementedError
