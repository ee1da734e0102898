"""A whole chip."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from accelsim.spec.attention import AttentionName, AttentionSpec, planned
from accelsim.spec.compute import ArraySpec, ConversionSpec, VectorSpec
from accelsim.spec.memory import DispatchSpec, DmaSpec, DramSpec, MemorySpec
from accelsim.spec.quantity import Hertz, Section
from accelsim_kernels.attention_arithmetic import AttentionArithmetic


class Technology(Section):
    """Process node, from which energy and area are scaled."""

    node_nm: float = Field(ge=2, le=65)


class Validation(Section):
    """A measured error of the model of this chip, per op kind."""

    op: str
    dataset: str
    rows: int = Field(ge=1)
    mean_abs_pct_error: float = Field(ge=0)
    bias: float


class ArchSpec(Section):
    """A chip: what it computes with, what it stores in, and how the two are joined.

    Times in the file are seconds, sizes bytes, rates bytes per second; strings with a unit
    (``2 MiB``, ``51.2 GB/s``, ``100 ns``) and plain numbers are both read.
    """

    schema_version: Literal[1]
    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    clock_hz: Hertz = Field(description="Clock of arrays and vector unit; cycles count this.")
    technology: Technology
    arrays: tuple[ArraySpec, ...] = Field(min_length=1)
    vector: VectorSpec
    conversions: ConversionSpec
    attention: AttentionName | AttentionSpec = Field(
        default="whole_row",
        description="How attention is computed: a preset of accelsim_kernels, or one with changes.",
    )
    memories: tuple[MemorySpec, ...] = Field(min_length=1, max_length=4)
    dram: DramSpec
    dma: DmaSpec
    dispatch: DispatchSpec
    validation: tuple[Validation, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> ArchSpec:
        for kind, parts in (("arrays", self.arrays), ("memories", self.memories)):
            names = [part.name for part in parts]
            if len(set(names)) != len(names):
                raise ValueError(f"two {kind} have the same name: {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _attention_is_planned(self) -> ArchSpec:
        try:
            planned(self.attention)
        except ValueError as error:
            raise ValueError(f"attention: {error}") from None
        return self

    @property
    def attends(self) -> AttentionArithmetic:
        """The arithmetic of attention; its blocks are those of the plans."""
        return planned(self.attention)

    @model_validator(mode="after")
    def _levels_grow(self) -> ArchSpec:
        levels = [(m.name, m.size_bytes) for m in self.memories] + [("dram", self.dram.size_bytes)]
        for (inner, small), (outer, large) in pairwise(levels):
            if small > large:
                raise ValueError(
                    f"memories must grow from the array outward: {inner} has {small:,} bytes, "
                    f"{outer} has {large:,}"
                )
        return self

    @model_validator(mode="after")
    def _arrays_are_fed(self) -> ArchSpec:
        level = self.memories[0]
        served = level.bandwidth_bytes_per_s / self.clock_hz
        for array in self.arrays:
            for mode in array.modes:
                needed, flow = array.least_bytes_per_cycle(mode)
                if needed > served * (1 + 1e-9):
                    raise ValueError(
                        f"memories: a port of {level.name} delivers {served:g} bytes per cycle "
                        f"({level.bandwidth_bytes_per_s:g} bytes/s at {self.clock_hz:g} Hz), but "
                        f"array {array.name} takes in {needed:g} with {mode.activation} x "
                        f"{mode.weight} even {flow}: give the level at least "
                        f"{needed * self.clock_hz:g} bytes/s, or the array fewer rows"
                    )
        return self

    @model_validator(mode="after")
    def _banks_feed_arrays(self) -> ArchSpec:
        level = self.memories[0]
        if level.banking == "interleaved":
            return self
        first, second, _ = (rate / self.clock_hz * (1 + 1e-9) for rate in level.tensor_bytes_per_s)
        for array in self.arrays:
            for mode in array.modes:
                edges = array.edge_bytes_per_cycle(mode)
                if not any(a <= first and w <= second for a, w in edges.values()):
                    flow, (a, w) = min(edges.items(), key=lambda edge: sum(edge[1]))
                    raise ValueError(
                        f"memories: banks of {level.name} deliver {first:.4g} bytes of the first "
                        f"and {second:.4g} of the second operand per cycle, but array {array.name} "
                        f"takes in {a:g} and {w:g} with {mode.activation} x {mode.weight} even "
                        f"{flow}: give these operands more banks, or the level more bandwidth"
                    )
        return self

    def peak_macs_per_s(self, activation: str, weight: str) -> float:
        """Dense peak of a pair of formats over all arrays; 0 when no array builds it."""
        modes = ((array, array.mode(activation, weight)) for array in self.arrays)
        return max(
            (a.pes * m.macs_per_pe_per_cycle * self.clock_hz for a, m in modes if m), default=0.0
        )

    def format_pairs(self) -> Iterator[tuple[str, str]]:
        """Pairs of activation and weight formats that some array multiplies."""
        seen = {(m.activation, m.weight): None for a in self.arrays for m in a.modes}
        return iter(seen)
