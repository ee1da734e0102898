"""Compute units: matrix arrays and the vector unit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from accelsim.errors import nearest
from accelsim.spec.arithmetic import ArithmeticSpec, FormatName, PresetName
from accelsim.spec.quantity import Bytes, Section
from accelsim_kernels.formats import FORMATS
from accelsim_kernels.presets import PRESETS, Arithmetic

Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]

#: Elementary operations of a vector lane. ``graph.ops`` counts work in these.
PRIMITIVES = (
    "add", "sub", "mul", "div", "neg", "abs", "max", "min", "compare", "select", "convert",
    "round", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "sigmoid",
)  # fmt: skip


def _known_primitive(name: str) -> str:
    if name not in PRIMITIVES:
        raise ValueError(f"unknown primitive {name!r}{nearest(name, PRIMITIVES)}")
    return name


def _unit_rate(rate: float) -> float:
    whole = rate if rate >= 1 else 1 / rate
    if abs(whole - round(whole)) > 1e-9:
        raise ValueError(f"found {rate:g}, a whole number or one over a whole number is needed")
    return rate


Primitive = Annotated[str, AfterValidator(_known_primitive)]


class MacMode(Section):
    """One pair of operand formats that the array multiplies, and how fast."""

    activation: FormatName = Field(description="Format of the activations.")
    weight: FormatName = Field(description="Format of the weights (or of the second operand).")
    macs_per_pe_per_cycle: Annotated[float, AfterValidator(_unit_rate)] = Field(
        gt=0, le=64, description="Along K: 2 means that a PE adds two products per cycle."
    )
    arithmetic: PresetName | ArithmeticSpec = Field(
        description="How products are added: a preset of accelsim_kernels, or one with changes."
    )
    sparse_2to4: bool = Field(
        default=False, description="Weights pruned 2:4 run at twice the rate."
    )

    @model_validator(mode="after")
    def _operands_fit(self) -> MacMode:
        allowed = self.how.takes
        for name in (self.activation, self.weight):
            if name not in allowed:
                raise ValueError(f"{self.how.name} multiplies {', '.join(allowed)}, not {name}")
        return self

    @property
    def how(self) -> Arithmetic:
        """The arithmetic itself."""
        spelled = self.arithmetic
        return PRESETS[spelled] if isinstance(spelled, str) else spelled.arithmetic()

    @property
    def k_per_cycle(self) -> int:
        """Products along K that a PE adds in one step."""
        return max(1, round(self.macs_per_pe_per_cycle))

    @property
    def cycles_per_step(self) -> int:
        """Cycles that one step takes; above 1 for formats at a reduced rate."""
        return max(1, round(1 / self.macs_per_pe_per_cycle))


class ArraySpec(Section):
    """A matrix array of ``rows`` x ``columns`` processing elements (PEs), ``count`` of them."""

    name: str = Field(min_length=1)
    count: int = Field(default=1, ge=1, le=1024)
    rows: int = Field(ge=1, le=4096)
    columns: int = Field(ge=1, le=4096)
    dataflows: tuple[Dataflow, ...] = Field(min_length=1)
    weight_double_buffer: bool = Field(
        default=True, description="The next stationary tile loads while the current one is used."
    )
    output_double_buffer: bool = Field(
        default=True, description="Output-stationary sums shift out while the next fold runs."
    )
    result_buffers: int = Field(
        default=2, ge=1, le=16, description="Finished tiles that may wait for the vector unit."
    )
    accumulator_bytes: Bytes | None = Field(
        default=None,
        description="Partial-sum memory of one array; null: partial sums use the nearest level.",
    )
    modes: tuple[MacMode, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _modes_differ(self) -> ArraySpec:
        pairs = [(mode.activation, mode.weight) for mode in self.modes]
        doubles = sorted({f"{a} x {w}" for a, w in pairs if pairs.count((a, w)) > 1})
        if doubles:
            raise ValueError(f"modes list {', '.join(doubles)} twice")
        return self

    def edge_bytes_per_cycle(self, mode: MacMode) -> dict[str, tuple[float, float]]:
        """Return what one array must be fed per cycle of both operands, per dataflow it has.

        A stationary operand stays; the other one enters at one edge, a row of the array wide. An
        output-stationary array takes both, one at either edge.
        """
        per_bit = mode.k_per_cycle / mode.cycles_per_step / 8
        a_bits, w_bits = FORMATS[mode.activation].bits, FORMATS[mode.weight].bits
        edges = {
            "weight_stationary": (self.rows * a_bits * per_bit, 0.0),
            "input_stationary": (0.0, self.rows * w_bits * per_bit),
            "output_stationary": (
                self.rows * a_bits * per_bit,
                self.columns * w_bits * per_bit,
            ),
        }
        return {flow: edges[flow] for flow in self.dataflows}

    def least_bytes_per_cycle(self, mode: MacMode) -> tuple[float, str]:
        """Return what one array must be fed in the dataflow that needs least, and which."""
        edges = self.edge_bytes_per_cycle(mode)
        flow = min(edges, key=lambda name: sum(edges[name]))
        return sum(edges[flow]), flow

    def mode(self, activation: str, weight: str) -> MacMode | None:
        """Return the mode of a pair of formats, or None when the array does not build it."""
        for mode in self.modes:
            if (mode.activation, mode.weight) == (activation, weight):
                return mode
        return None

    @property
    def pes(self) -> int:
        """Processing elements of all arrays of this kind."""
        return self.count * self.rows * self.columns


class VectorSpec(Section):
    """The vector unit: lanes that each start one element per cycle."""

    lanes: int = Field(ge=1, le=1 << 20, description="Elements per cycle at one cycle each.")
    cycles_per_element: dict[Primitive, Annotated[float, Field(gt=0, le=10_000)]] = Field(
        default_factory=dict,
        description=f"Lane cycles of each primitive (default 1): {', '.join(PRIMITIVES)}.",
    )

    def cycles(self, primitive: str) -> float:
        """Lane cycles of one primitive on one element."""
        return self.cycles_per_element.get(primitive, 1.0)


class ConversionSpec(Section):
    """Where values change format, and at what cost. None of it is free."""

    quantize: Literal["vector", "dma"] = Field(
        default="vector",
        description="vector: lanes do it; dma: the store engine does it at its bandwidth.",
    )
    rescale: Literal["vector", "accumulator"] = Field(
        default="vector",
        description="accumulator: one multiplier per column scales sums as they drain.",
    )
    group_rescale_cycles: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Cycles that a PE spends per group of K when weights have group-wise scales.",
    )
