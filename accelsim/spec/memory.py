"""On-chip memory levels, DRAM, DMA, and what starting an op costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from accelsim.spec.quantity import Bytes, BytesPerSecond, Seconds, Section

#: Smallest and largest burst of the standards.
_LEAST_BURST, _MOST_BURST = 16, 256


def _burst(size: int) -> int:
    if size & (size - 1) or not _LEAST_BURST <= size <= _MOST_BURST:
        raise ValueError(
            f"found {size}, a power of two from {_LEAST_BURST} to {_MOST_BURST} is needed"
        )
    return size


class MemorySpec(Section):
    """One on-chip level, shared by all arrays. Levels are listed from the array outward."""

    name: str = Field(min_length=1)
    size_bytes: Bytes = Field(description="Capacity of all instances together.")
    instances: int = Field(
        default=1, ge=1, le=4096, description="Banks that set the energy of one access."
    )
    bandwidth_bytes_per_s: BytesPerSecond = Field(description="Of each port, all instances.")
    ports: Literal[1, 2] = Field(
        default=1, description="1: reads and writes share the bandwidth; 2: each has its own."
    )
    buffers: int = Field(
        default=2, ge=1, le=8, description="Tiles held per operand; 2 is double buffering."
    )


class DramSpec(Section):
    """Main memory: its standard, and what the closed form assumes of it."""

    standard: str = Field(description="JEDEC name in lower case: lpddr5, hbm2, hbm2e, ddr5, ...")
    channels: int = Field(default=1, ge=1, le=256, description="Interfaces (HBM: stacks) for area.")
    size_bytes: Bytes
    bandwidth_bytes_per_s: BytesPerSecond = Field(description="Peak of all channels.")
    timing: Literal["commands", "sustained"] = Field(
        default="commands",
        description="commands: tile and cycle know banks, rows and refresh of the standard; "
        "sustained: they know efficiency and latency_s alone.",
    )
    mapping: str = Field(
        default="rorabacobgch",
        description="Address bits from the highest to the lowest: row, rank, bank, column, bank "
        "group and channel in any order, or a name or a letter per bit (docs/dram.md).",
    )
    efficiency: float = Field(
        gt=0,
        le=1,
        description="Sustained share of the peak that the closed form and the search assume.",
    )
    access_bytes: Annotated[Bytes, AfterValidator(_burst)] = Field(
        default=64,
        description="What one request moves, needed or not, as the closed form counts it: a burst "
        "of a channel. tile and cycle take the standard's.",
    )
    latency_s: Seconds = Field(description="First byte of an idle access, controller included.")

    @property
    def sustained_bytes_per_s(self) -> float:
        """Bandwidth that transfers see."""
        return self.bandwidth_bytes_per_s * self.efficiency


class DmaSpec(Section):
    """Engines that move tiles between levels."""

    engines: int = Field(default=2, ge=1, le=64, description="Transfers in flight per link.")
    setup_s: Seconds = Field(description="From issue of a descriptor to its first request.")
    burst_bytes: Bytes = Field(
        description="Transfers of several operands share a link in pieces of this size."
    )


class DispatchSpec(Section):
    """What it costs to start an op."""

    op_overhead_s: Seconds = Field(description="Fetch and decode of one op; nothing overlaps it.")
    tile_overhead_s: Seconds = Field(
        description="Per tile: array and DMA synchronize, descriptors are handed over."
    )
