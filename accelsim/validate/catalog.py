"""Which array of which set is computed by which kernel: one table.

Arrays are named ``case__role``. An output is computed from arrays of the same case whose roles it
names. Numbers stand as bits: uint32 is binary32, uint16 is bfloat16.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.attention import attention
from accelsim_kernels.cast import decode_fp8, encode_fp8
from accelsim_kernels.integer import matmul_int4, matmul_int8
from accelsim_kernels.matmul import matmul_chain
from accelsim_kernels.nonlinear import activation, softmax
from accelsim_kernels.normalize import layer_norm, rms_norm
from accelsim_kernels.quantize import absmax, quantize, rescale, scales
from accelsim_kernels.rounding import round_to
from accelsim_kernels.sparse import compress_2to4, matmul_2to4, prune_2to4

Array = npt.NDArray[Any]
Case = Mapping[str, Array]


def numbers(stored: Array) -> Array:
    """Return float32 numbers of their bits: binary32 in uint32, bfloat16 in uint16."""
    if stored.dtype == np.uint16:
        stored = stored.astype(np.uint32) << np.uint32(16)
    return stored.view(np.float32)


def bits32(values: Array) -> Array:
    """Return binary32 bits."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def bits16(values: Array) -> Array:
    """Return bfloat16 bits of numbers that are bfloat16."""
    return (bits32(values) >> np.uint32(16)).astype(np.uint16)


@dataclass(frozen=True)
class Output:
    """An array that a kernel computes.

    Attributes:
        set: name of the set.
        case: pattern of the cases.
        role: what follows the case in the array's name; "" for arrays without a case.
        needs: roles of the operands.
        compute: from the operands, with the name of the case in ``match``.
    """

    set: str
    case: str
    role: str
    needs: tuple[str, ...]
    compute: Callable[[Case, re.Match[str]], Array]


def _format(match: re.Match[str]) -> str:
    return match["format"]


def _attention(case: Case, match: re.Match[str]) -> Array:
    operands = (numbers(case[role]) for role in ("q", "k", "v"))
    scale = float(numbers(case["scale"])[0])
    causal, shown = bool(case["causal"][0]), case.get("mask")
    return bits16(
        attention(
            *operands, scale=scale, causal=causal, mask=shown, probabilities="bf16", format="bf16"
        )
    )


def _norm(case: Case, match: re.Match[str]) -> Array:
    x, weight, bias = (numbers(case[role]) for role in ("x", "weight", "bias"))
    eps, lanes = float(numbers(case["eps"])[0]), int(case["lanes"][0])
    if match["fn"] == "rms_norm":
        return bits16(rms_norm(x, weight, eps, lanes, "bf16"))
    return bits16(layer_norm(x, weight, bias, eps, lanes, "bf16"))


def _sums_int4(case: Case, match: re.Match[str]) -> Array:
    return bits32(matmul_int4(case["a"], case["b"], numbers(case["scales"]), int(case["group"][0])))


def _rescale(case: Case, match: re.Match[str]) -> Array:
    rows, columns, bias = (numbers(case[role]) for role in ("rows", "columns", "bias"))
    return bits16(rescale(case["sums"], rows, columns, bias, "bf16"))


def _decoded(format: str) -> Callable[[Case, re.Match[str]], Array]:
    codes = np.arange(256, dtype=np.uint8)
    return lambda case, match: decode_fp8(codes, format).astype(np.float64)


_FP8 = r"(?P<format>fp8_e4m3|fp8_e5m2)(_\d+)?"
_CODES = r"(?P<format>int8|int4|fp8_e4m3|fp8_e5m2)_(?P<scale>fp32|fp16|bf16)(_\d+)?"
_NUMBERED = r".*"

OUTPUTS: tuple[Output, ...] = (
    Output("int8", _NUMBERED, "sums", ("a", "b"), lambda c, m: matmul_int8(c["a"], c["b"])),
    Output("int4", _NUMBERED, "sums", ("a", "b", "scales", "group"), _sums_int4),
    Output(
        "sparse24_int8", _NUMBERED, "sums", ("a", "values", "indices"),
        lambda c, m: matmul_2to4(c["a"], c["values"], c["indices"]),
    ),
    Output("sparse24_int8", _NUMBERED, "keep", ("w",), lambda c, m: prune_2to4(numbers(c["w"]))),
    Output(
        "sparse24_int8", _NUMBERED, "values", ("codes",), lambda c, m: compress_2to4(c["codes"])[0]
    ),
    Output(
        "sparse24_int8", _NUMBERED, "indices", ("codes",), lambda c, m: compress_2to4(c["codes"])[1]
    ),
    Output(
        "bf16", _NUMBERED, "sums", ("a", "b"),
        lambda c, m: bits32(matmul_chain(numbers(c["a"]), numbers(c["b"]))),
    ),
    Output(
        "fp8", _FP8, "sums", ("a", "b"),
        lambda c, m: bits32(
            matmul_chain(decode_fp8(c["a"], _format(m)), decode_fp8(c["b"], _format(m)))
        ),
    ),
    Output("attention", _NUMBERED, "out", ("q", "k", "v", "scale", "causal"), _attention),
    Output(
        "vector", r"(?P<fn>rms_norm|layer_norm)(_\d+)?", "y",
        ("x", "weight", "bias", "eps", "lanes"), _norm,
    ),
    Output(
        "vector", r"softmax(_\d+)?", "y", ("x",),
        lambda c, m: bits16(softmax(numbers(c["x"]), "bf16")),
    ),
    Output(
        "vector", r"(?P<fn>(?!softmax|rms_norm|layer_norm).*)", "y", ("x",),
        lambda c, m: bits16(activation(numbers(c["x"]), m["fn"], "bf16")),
    ),
    Output("quantize", _CODES, "absmax", ("x",), lambda c, m: bits32(absmax(numbers(c["x"])))),
    Output(
        "quantize", _CODES, "scales", ("absmax",),
        lambda c, m: bits32(scales(numbers(c["absmax"]), _format(m), m["scale"])),
    ),
    Output(
        "quantize", _CODES, "codes", ("x", "scales"),
        lambda c, m: quantize(numbers(c["x"]), numbers(c["scales"]), _format(m)),
    ),
    Output("quantize", r"rescale(_\d+)?", "y", ("sums", "rows", "columns", "bias"), _rescale),
    Output(
        "rounding", r"(?P<format>bf16|fp16)", "y", ("x",),
        lambda c, m: bits32(round_to(numbers(c["x"]), _format(m))),
    ),
    Output(
        "rounding", _FP8, "y", ("x",), lambda c, m: encode_fp8(numbers(c["x"]), _format(m))
    ),
    *(
        Output(
            "casts", name, role, ("x",),
            lambda c, m, fmt=fmt: encode_fp8(numbers(c["x"]), fmt),  # type: ignore[misc]  # mypy cannot infer a default of a lambda
        )
        for name, fmt in (("e4m3fn", "fp8_e4m3"), ("e5m2", "fp8_e5m2"))
        for role in ("gfloat_TiesToEven_sat",)
    ),
    *(
        Output("decode_tables", f"{maker}{name}{tail}", "", (), _decoded(fmt))
        for maker, tail in (("gfloat_", ""), ("mldtypes_", ""), ("", "_torch"))
        for name, fmt in (("e4m3fn", "fp8_e4m3"), ("e5m2", "fp8_e5m2"))
    ),
)  # fmt: skip


def find(set_name: str, array: str) -> tuple[Output, str, re.Match[str]] | None:
    """Return what computes an array, its case, and the match of the case; None: nothing does."""
    case, _, role = array.rpartition("__")
    for output in OUTPUTS:
        if output.set != set_name or output.role != (role if output.role else ""):
            continue
        name = case if output.role else array
        match = re.fullmatch(output.case, name)
        if match is not None:
            return output, name, match
    return None
