"""What flows between ops when values are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.graph.ir import Op, Tensor
from accelsim.sim.numerics import ChipNumerics
from accelsim_kernels.quantize import dequantize

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Coded:
    """Activations as codes [rows, k] with one scale per row."""

    codes: Array
    scales: Float32
    format: str
    shape: tuple[int, ...]

    def dense(self) -> Float32:
        """Return the numbers that the codes stand for."""
        return dequantize(self.codes, self.scales, self.format).reshape(self.shape)


@dataclass(frozen=True)
class Sums:
    """What a product of codes leaves in the accumulators [rows, n], and what it must be scaled by.

    ``columns`` is None where the sums of the groups are scaled already.
    """

    values: Array
    rows: Float32
    columns: Float32 | None
    bias: Float32 | None


Value = Array | Coded | Sums


@dataclass(frozen=True)
class Call:
    """One op with its values.

    Attributes:
        op: the op.
        inputs, outputs: its tensors in the graph.
        values: its inputs' values; weights come as ``bindings.linear`` stores them.
        chip: the arithmetic to use.
    """

    op: Op
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    values: Sequence[Any]
    chip: ChipNumerics

    def array(self, index: int) -> Array:
        """Return an input as numbers."""
        value = self.values[index]
        return value.dense() if isinstance(value, Coded) else np.asarray(value)

    @property
    def format(self) -> str:
        """Format of the first output."""
        return self.outputs[0].format
