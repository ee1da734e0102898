"""The texts of a folder of vectors: words for ``$readmemh``, parameters for Verilog, a README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.validate.rtl_request import Request
from accelsim_kernels.arithmetic import Arithmetic

#: What the last index of an array counts first to last: the order of its words.
_ORDER = {
    "a": "[row m][k]", "b": "[column n][k]", "c": "[row m][column n]",
    "a_scales": "[row m][block of k]", "b_scales": "[column n][block of k]",
    "acc": "[step][row m][column n]", "result": "[row m][column n]",
}  # fmt: skip
_MEANING = {
    "a": "left operand", "b": "right operand, one row per column of the result",
    "c": "accumulators at the start", "a_scales": "scales of a", "b_scales": "scales of b",
    "acc": "accumulators after each step of K", "result": "the last of them",
}  # fmt: skip


@dataclass(frozen=True)
class Words:
    """One array of every category.

    Attributes:
        role: its name.
        format: of its words.
        bits: of a word.
        shape: of the array.
    """

    role: str
    format: str
    bits: int
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Words."""
        return int(np.prod(self.shape))


def hex_words(array: npt.NDArray[Any], bits: int) -> str:
    """Return an array as ``$readmemh`` reads it: a word a line, the last index fastest."""
    words = array.reshape(-1).astype(np.uint64) & np.uint64((1 << bits) - 1)
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words.tolist())


def parameters(request: Request, step: int, words: Sequence[Words]) -> str:
    """Return sizes as local parameters of Verilog."""
    sizes = {"M": request.m, "N": request.n, "K": request.k, "STEP": step,
             "STEPS": -(-request.k // step)}  # fmt: skip
    for word in words:
        sizes |= {f"{word.role.upper()}_BITS": word.bits, f"{word.role.upper()}_WORDS": word.count}
    lines = [f"localparam integer {name} = {value};\n" for name, value in sizes.items()]
    return f"// Sizes of the vectors of {request.preset}; written by accelsim vectors.\n" + "".join(
        lines
    )


def readme(request: Request, rule: Arithmetic, step: int, words: Sequence[Words]) -> str:
    """Return what stands in the folder and how it is laid out."""
    rows = [
        f"  {w.role:<9} {w.format:<13} {w.bits:>4}  {w.count:>7}  {_ORDER[w.role]:<24} "
        f"{_MEANING[w.role]}"
        for w in words
    ]
    listed = "\n".join(rows)
    a = next(w for w in words if w.role == "a")
    return f"""Vectors of {rule.name} (unit: {rule.unit}; source: {rule.source})

m = {request.m}, n = {request.n}, k = {request.k}, seed = {request.seed}
result[m][n] = c[m][n] + sum over k of a[m][k] * b[n][k], in the arithmetic of the preset.

Categories: {", ".join(request.categories)}

Files <category>_<array>.hex, for $readmemh: one word a line in hexadecimal, the last index fastest;
integers in two's complement, cut to their width; narrow words without padding bits.

  array     format        bits    words  order                    meaning
{listed}

A step is {step} products; the last one may be shorter. Word [s][i][j] of acc is the result of the
first (s + 1) * {step} products: what the unit would give out if K ended there.

parameters.vh holds the sizes. In Verilog:

  `include "parameters.vh"
  reg [A_BITS-1:0] a [0:A_WORDS-1];
  initial $readmemh("{request.categories[0]}_a.hex", a);  // a[row * K + k], {a.count} words

rtl.npz holds the same arrays as <category>__<array>, index.json what they are:

  accelsim validate kernels --data .
"""
