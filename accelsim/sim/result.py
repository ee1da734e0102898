"""What a simulation answers: one ``LayerResult`` per executed op, and the run they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accelsim.units import Range

#: What can limit an op or a run; the values of ``bound_by``.
BOUNDS = ("compute", "dram", "sram", "vector", "network", "overhead")

#: Why the main unit of an op stood still; the keys of ``stalls``.
#: ``fill_drain`` is the array filling and draining, ``overhead`` dispatch and descriptors.
STALLS = ("dram", "sram", "vector", "fill_drain", "overhead")


@dataclass(frozen=True, slots=True)
class Span:
    """One interval on a unit's timeline, in picoseconds from the start of the run."""

    unit: str
    name: str
    start_ps: int
    duration_ps: int
    flow: int = 0


@dataclass(frozen=True, slots=True)
class LayerResult:
    """One executed op with everything that was fused into it. Figures are for this row alone.

    Attributes:
        name: the op's name in the graph.
        op: its kind, for fused ops the kinds joined by ``+``.
        shape: named sizes, such as batch, m, n, k.
        formats: number formats of activation, weight and output.
        repeats: how many rows of the run are identical to this one.
        cycles: time this op adds to the finished frontier, in cycles of the chip's clock.
        compute_cycles: cycles in which the op's main unit works.
        stalls: remaining cycles by cause; with ``compute_cycles`` they sum to ``cycles``.
        bytes_by_level: bytes read and written per memory level, DRAM included.
        energy_by_part: energy in pJ by part of the chip.
        start_ps, duration_ps: place on the run's timeline.
        nest: the plan printed as a loop nest.
        fused: names of the ops that run inside this one.
    """

    name: str
    op: str
    shape: Mapping[str, int]
    formats: Mapping[str, str]
    macs: int
    executed_macs: int
    cycles: int
    compute_cycles: int
    stalls: Mapping[str, int]
    bound_by: str
    dram_bytes: int
    sram_bytes: int
    energy_pj: Range
    utilization: float
    repeats: int = 1
    bytes_by_level: Mapping[str, int] = field(default_factory=dict)
    energy_by_part: Mapping[str, Range] = field(default_factory=dict)
    start_ps: int = 0
    duration_ps: int = 0
    peak_macs_per_s: float = 0.0
    nest: str = ""
    fused: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the row."""
        return {
            "name": self.name,
            "op": self.op,
            "shape": dict(self.shape),
            "formats": dict(self.formats),
            "repeats": self.repeats,
            "macs": self.macs,
            "executed_macs": self.executed_macs,
            "cycles": self.cycles,
            "compute_cycles": self.compute_cycles,
            "stalls": dict(self.stalls),
            "bound_by": self.bound_by,
            "dram_bytes": self.dram_bytes,
            "sram_bytes": self.sram_bytes,
            "energy_pj": self.energy_pj.to_dict(),
            "utilization": self.utilization,
            "bytes_by_level": dict(self.bytes_by_level),
            "energy_by_part": {k: v.to_dict() for k, v in self.energy_by_part.items()},
            "start_ps": self.start_ps,
            "duration_ps": self.duration_ps,
            "peak_macs_per_s": self.peak_macs_per_s,
            "nest": self.nest,
            "fused": list(self.fused),
        }


@dataclass(frozen=True)
class SimResult:
    """One run. ``to_dict`` is ``run.json``; nothing in it depends on time, host or path.

    Attributes:
        totals: the JSON totals of DESIGN.md plus ``energy_by_part``.
        validation: measured errors of the chip's model per op kind, or ``"unvalidated"``.
        sizes: batch, seq_len, context_len.
        chip: facts of the chip that a report needs: clock, peaks per format pair, bandwidths.
        notes: assumptions and estimates that the reader must know.
        spans: the timeline, for the trace; not part of ``run.json``.
    """

    id: str
    arch: str
    model: str
    recipe: str
    fidelity: str
    phase: str
    validation: Any
    totals: Mapping[str, Any]
    layers: tuple[LayerResult, ...]
    sizes: Mapping[str, int]
    chip: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema_version": 1,
            "id": self.id,
            "arch": self.arch,
            "model": self.model,
            "recipe": self.recipe,
            "fidelity": self.fidelity,
            "phase": self.phase,
            "validation": self.validation,
            "sizes": dict(self.sizes),
            "totals": dict(self.totals),
            "chip": dict(self.chip),
            "notes": list(self.notes),
            "layers": [layer.to_dict() for layer in self.layers],
        }
