"""A layer as a loop nest: seven loops of a convolution and one over groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from accelsim.errors import InputError, UnknownNameError
from accelsim.spec.hierarchy import OPERANDS, Operand

#: The loops, in the order that arrays of the search have: the last ones, which lie next to each
#: other in memory, have most tile sizes.
DIMS = ("B", "G", "OY", "FY", "OX", "FX", "K", "C")
Kind = Literal["conv", "gemm", "pool", "add"]
KINDS: tuple[Kind, ...] = ("conv", "gemm", "pool", "add")

#: Which loops index an operand. A pool's weights are constants without bits; an addition reads its
#: second operand as weights.
_RELEVANT: dict[Kind, dict[Operand, frozenset[str]]] = {
    "conv": {
        "I": frozenset(("B", "G", "C", "OY", "FY", "OX", "FX")),
        "W": frozenset(("G", "K", "C", "FY", "FX")),
        "O": frozenset(("B", "G", "K", "OY", "OX")),
    },
    "pool": {
        "I": frozenset(("B", "G", "OY", "FY", "OX", "FX")),
        "W": frozenset(("FY", "FX")),
        "O": frozenset(("B", "G", "OY", "OX")),
    },
    "add": {operand: frozenset(("B", "G", "OY", "OX")) for operand in OPERANDS},
}
_RELEVANT["gemm"] = _RELEVANT["conv"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's loops and widths.

    Attributes:
        kind: which loops index which operand.
        sizes: iterations of every loop of ``DIMS``; those left out are 1.
        bits: width of an element of I, W and O (partial sums).
        final_bits: width of a finished output.
        stride: of the filter's window, rows and columns.
        input_size: rows and columns of the input as stored; None: all that the windows touch.
        name: for messages.
    """

    kind: Kind = "conv"
    sizes: Mapping[str, int] = field(default_factory=dict)
    bits: Mapping[Operand, int] = field(default_factory=lambda: {"I": 8, "W": 8, "O": 16})
    final_bits: int = 8
    stride: tuple[int, int] = (1, 1)
    input_size: tuple[int, int] | None = None
    name: str = "layer"

    def __post_init__(self) -> None:
        for dim, size in self.sizes.items():
            if dim not in DIMS:
                raise UnknownNameError("loop", dim, DIMS)
            if size < 1:
                raise InputError(f"{self.name}: loop {dim} of {size}: at least 1 is needed")

    def size(self, dim: str) -> int:
        """Iterations of a loop."""
        return self.sizes.get(dim, 1)

    @property
    def macs(self) -> int:
        """Multiply-accumulates (additions of an ``add``)."""
        return prod(self.size(dim) for dim in DIMS)

    def relevant(self, operand: Operand) -> frozenset[str]:
        """Loops that index an operand."""
        return _RELEVANT[self.kind][operand]

    def slides(self, operand: Operand) -> bool:
        """Whether an operand is indexed by windows: output and filter position together."""
        return operand == "I" and "FX" in self.relevant("I")

    def window(self, axis: str, outputs: int, taps: int) -> int:
        """Rows (``Y``) or columns (``X``) of input that a tile of outputs and filter taps touches.

        Windows that overlap share rows; a stride beyond the taps leaves rows out.
        """
        stride = self.stride[0 if axis == "Y" else 1]
        touched = stride * (outputs - 1) + taps if taps >= stride else outputs * taps
        return min(touched, self.input_extent(axis))

    def input_extent(self, axis: str) -> int:
        """Rows or columns of the input that are stored and touched."""
        index = 0 if axis == "Y" else 1
        stride, outputs, taps = self.stride[index], self.size(f"O{axis}"), self.size(f"F{axis}")
        touched = stride * (outputs - 1) + taps if taps >= stride else outputs * taps
        return touched if self.input_size is None else min(touched, self.input_size[index])

    def elements(self, operand: Operand) -> int:
        """Elements of an operand."""
        if not self.slides(operand):
            return prod(self.size(dim) for dim in self.relevant(operand))
        plain = prod(self.size(d) for d in self.relevant(operand) - {"OX", "FX", "OY", "FY"})
        return plain * self.input_extent("Y") * self.input_extent("X")

    def content(self) -> dict[str, object]:
        """Return all that shapes a mapping, for a content id."""
        return {
            "kind": self.kind,
            "sizes": {dim: self.size(dim) for dim in DIMS},
            "bits": dict(self.bits),
            "final_bits": self.final_bits,
            "stride": list(self.stride),
            "input": [self.input_extent("Y"), self.input_extent("X")],
        }
