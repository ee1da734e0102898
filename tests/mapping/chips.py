"""Small chips for tests, made from a shipped one by overrides."""

from __future__ import annotations

from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch

#: A tiny array and small memories, so that plans have several tiles at every level.
TINY = (
    "arrays.0.rows=4",
    "arrays.0.columns=4",
    "arrays.0.accumulator_bytes=1 KiB",
    "vector.lanes=4",
)


def one_level(*overrides: str) -> ArchSpec:
    """Return a chip with one on-chip level."""
    return load_arch("edge_npu", (*TINY, "memories.0.size_bytes=8 KiB", *overrides))


def two_levels(*overrides: str) -> ArchSpec:
    """Return a chip with two on-chip levels and two arrays."""
    sizes = ("memories.0.size_bytes=8 KiB", "memories.1.size_bytes=32 KiB")
    return load_arch("cloud_npu", (*TINY, "arrays.0.count=2", *sizes, *overrides))
