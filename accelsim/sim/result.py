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
class LayerError:
    """What one executed op gets wrong, split by cause.

    A signal-to-noise ratio in dB is 10 times the logarithm of the signal's energy over the error's;
    None where there is no error, or no signal.

    Attributes:
        sqnr_quantization_db: number formats alone: operands as the recipe stores them, ideal
            arithmetic and a rounded output, against the same values without the recipe.
        sqnr_arithmetic_db: the chip's arithmetic alone: what it computes against ideal arithmetic
            on the same codes.
        sqnr_propagated_db: all that happened so far, against the checkpoint run in FP32.
        max_abs_error: largest deviation of an element from that FP32 run.
        stderr_db: standard error of ``sqnr_quantization_db`` over the chosen tokens, for a sample.
    """

    sqnr_quantization_db: float | None = None
    sqnr_arithmetic_db: float | None = None
    sqnr_propagated_db: float | None = None
    max_abs_error: float | None = None
    stderr_db: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return the JSON form."""
        found = {
            "sqnr_quantization_db": self.sqnr_quantization_db,
            "sqnr_arithmetic_db": self.sqnr_arithmetic_db,
            "sqnr_propagated_db": self.sqnr_propagated_db,
            "max_abs_error": self.max_abs_error,
        }
        return found if self.stderr_db is None else {**found, "sqnr_stderr_db": self.stderr_db}


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
        mapping: plans ``evaluated``; proven ``gap`` to the best of the map space by closed form;
            ``regret``, by how much more the plan that is best by closed form would take.
        fused: names of the ops that run inside this one.
        error: what the row gets wrong; None when values were not computed.
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
    mapping: Mapping[str, float] = field(default_factory=dict)
    fused: tuple[str, ...] = ()
    error: LayerError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the row."""
        error = {} if self.error is None else self.error.to_dict()
        row = {
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
            "mapping": dict(self.mapping),
            "fused": list(self.fused),
        }
        return row | error


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
        numerics: how values were computed and what the task scored, with ``--numerics``.
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
    numerics: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        numerics = {} if self.numerics is None else {"numerics": dict(self.numerics)}
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
            **numerics,
            "layers": [layer.to_dict() for layer in self.layers],
        }
