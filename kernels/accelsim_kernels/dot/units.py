"""The operands of one product, and the table of who computes which unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, cast

import numpy.typing as npt

from accelsim_kernels.arithmetic import Arithmetic
from accelsim_kernels.formats import NumberFormat

Array = npt.NDArray[Any]
#: Which loops: those of any machine, or the fastest that this one has. The bits are the same.
Path = Literal["auto", "portable"]


@dataclass(frozen=True, slots=True)
class Product:
    """One product, checked: what a runner gets.

    All arrays are C-contiguous and may be written (operands must not be); none has a size of zero.

    Attributes:
        arithmetic: of the unit; its ``promotion`` and ``split`` are the caller's affair.
        a: codes ``[m, k]``: uint8, uint16, uint32 or uint64, one code per element, in its low bits
            (FP6 and FP4 too; bits above the format's are zero). TF32: bits of binary32, of which
            the low 13 are to be ignored. Integers: int8, int16 (narrower ones in int8).
        b: codes ``[n, k]``; a row is a column of the result.
        a_format, b_format: their formats, both among ``arithmetic.operands`` where it lists any.
        out: ``[m, n]``; holds C when the runner begins and the result when it ends. Bits of
            ``arithmetic.spill``: uint16, uint32, uint64; int32 or int64 of integers.
        c_format: of what ``out`` holds at the beginning: ``spill``, but for units that take a C in
            FP16 into an accumulator in FP32: then ``out`` holds it widened to FP32 (exact).
        a_packed, b_packed: whether FP4 lies two codes to a byte, the even one in the low half.
        a_scales: codes ``[m, ceil(k / block)]`` of ``arithmetic.scale``, uint8; None without.
        b_scales: codes ``[n, ceil(k / block)]``.
    """

    arithmetic: Arithmetic
    a: Array
    b: Array
    a_format: NumberFormat
    b_format: NumberFormat
    out: Array
    c_format: NumberFormat
    a_packed: bool = False
    b_packed: bool = False
    a_scales: Array | None = None
    b_scales: Array | None = None

    @property
    def depth(self) -> int:
        """Length of K."""
        return self.a.shape[1] * (2 if self.a_packed else 1)


#: Computes a product into its ``out``.
Runner = Callable[[Product], None]

#: Unit → the module of this package whose ``run_<unit>`` computes it.
RUNNERS = MappingProxyType(
    {
        "integer": "wide",
        "chain": "serial",
        "aligned": "aligned",
        "grouped": "grouped",
        "exact_sum": "amd",
        "flushed_pairs": "amd",
        "floored": "amd",
        "floored_halves": "amd",
    }
)


def runner(unit: str) -> Runner:
    """Return what computes a unit; its kernels are loaded with it."""
    module = import_module(f"accelsim_kernels.dot.{RUNNERS[unit]}")
    return cast(Runner, getattr(module, f"run_{unit}"))
