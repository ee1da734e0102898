"""On-chip memory levels, DRAM, DMA, and what starting an op costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from accelsim.spec.quantity import Bytes, BytesPerSecond, Seconds, Section

#: Smallest and largest burst of the standards.
_LEAST_BURST, _MOST_BURST = 16, 256


#: Banks of a tensor.
Count = Annotated[int, Field(ge=1, le=4096)]


def _burst(size: int) -> int:
    if size & (size - 1) or not _LEAST_BURST <= size <= _MOST_BURST:
        raise ValueError(
            f"found {size}, a power of two from {_LEAST_BURST} to {_MOST_BURST} is needed"
        )
    return size


#: Tensors that have banks of their own where a level's banks are not interleaved.
BANKED = ("first operand", "second operand", "results")


class MemorySpec(Section):
    """One on-chip level, shared by all arrays. Levels are listed from the array outward."""

    name: str = Field(min_length=1)
    size_bytes: Bytes = Field(description="Capacity of all instances together.")
    instances: int = Field(
        default=1, ge=1, le=4096, description="Banks; their size sets the energy of one access."
    )
    banking: Literal["interleaved", "per_tensor", "per_buffer"] = Field(
        default="interleaved",
        description="interleaved: every access is spread over all banks; per_tensor: first "
        "operand, second operand and results have banks of their own; per_buffer: so has each of "
        "their buffers.",
    )
    banks: tuple[Count, Count, Count] | None = Field(
        default=None,
        description="Banks of first operand, second operand and results, instances in all; null: "
        "as equal as can be, the first ones larger. Not with interleaved banks.",
    )
    bandwidth_bytes_per_s: BytesPerSecond = Field(description="Of each port, all instances.")
    ports: Literal[1, 2] = Field(
        default=1, description="1: reads and writes share the bandwidth; 2: each has its own."
    )
    buffers: int = Field(
        default=2, ge=1, le=8, description="Tiles held per operand; 2 is double buffering."
    )

    @model_validator(mode="after")
    def _banks_are_shared_out(self) -> MemorySpec:
        if self.banking == "interleaved":
            if self.banks is not None:
                raise ValueError("banks: interleaved banks belong to no tensor; give a banking")
            return self
        unit = self.bank_unit
        if self.instances < unit * len(BANKED) or self.instances % unit:
            whole = f"a multiple of {unit}, " if unit > 1 else ""
            raise ValueError(
                f"instances: found {self.instances}, {whole}at least {unit * len(BANKED)} is needed"
                f" with banking {self.banking}: {unit} for {', '.join(BANKED)} each"
            )
        if self.banks is not None and sum(self.banks) != self.instances:
            raise ValueError(
                f"banks: found {sum(self.banks)} in all, instances has {self.instances}"
            )
        if self.banks is not None and any(count % unit for count in self.banks):
            raise ValueError(f"banks: multiples of {unit} are needed, one for each buffer")
        return self

    @property
    def bank_unit(self) -> int:
        """Banks that are given to a tensor at once: one for each buffer that has its own."""
        return self.buffers if self.banking == "per_buffer" else 1

    @property
    def tensor_banks(self) -> tuple[int, int, int]:
        """Banks of first operand, second operand and results; all of them where they are shared."""
        if self.banking == "interleaved":
            return (self.instances, self.instances, self.instances)
        if self.banks is not None:
            return self.banks
        each, rest = divmod(self.instances // self.bank_unit, len(BANKED))
        first, second, results = (self.bank_unit * (each + (i < rest)) for i in range(len(BANKED)))
        return (first, second, results)

    @property
    def shared_bytes(self) -> int:
        """What any tensor may lie in: an output may stay there and be an operand later."""
        return self.size_bytes if self.banking == "interleaved" else 0

    @property
    def tensor_bytes(self) -> tuple[int, int, int]:
        """What the banks of each tensor hold, all buffers together."""
        first, second, results = (self.size_bytes * n // self.instances for n in self.tensor_banks)
        return (first, second, results)

    @property
    def tensor_bytes_per_s(self) -> tuple[float, float, float]:
        """Bandwidth of a port of each tensor's banks, of one buffer where each has its own."""
        first, second, results = (
            self.bandwidth_bytes_per_s * (banks / (self.instances * self.bank_unit))
            for banks in self.tensor_banks
        )
        return (first, second, results)


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
