"""Which array of which set is computed by which kernel: one table.

Arrays are named ``case__role``. An output is computed from arrays of the same case whose roles it
names. Numbers stand as bits: uint32 is binary32, uint16 is bfloat16. docs/vectors.md lists them for
users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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
Arrays = Mapping[str, Array]

#: Codes whose bits without the sign lie above these are NaN.
NAN_ABOVE = {
    "fp8_e4m3": 0x7E, "fp8_e5m2": 0x7C, "fp16": 0x7C00, "bf16": 0x7F80, "fp32": 0x7F800000,
}  # fmt: skip
#: Formats as the makers of casts and decode tables spell them.
SPELLED = {"e4m3fn": "fp8_e4m3", "e5m2": "fp8_e5m2", "bfloat16": "bf16", "float16": "fp16"}


class Unfit(Exception):
    """An output cannot be computed; the text says why."""


def numbers(stored: Array) -> Array:
    """Return float32 numbers of their bits: binary32 in uint32, bfloat16 in uint16.

    Raises:
        ValueError: an array of another type.
    """
    if stored.dtype == np.uint16:
        stored = stored.astype(np.uint32) << np.uint32(16)
    if stored.dtype not in (np.uint32, np.float32):
        raise ValueError(f"numbers stand as bits, in uint32 or uint16, not in {stored.dtype}")
    return stored.view(np.float32)


def bits32(values: Array) -> Array:
    """Return binary32 bits."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def bits16(values: Array) -> Array:
    """Return bfloat16 bits of numbers that are bfloat16."""
    return (bits32(values) >> np.uint32(16)).astype(np.uint16)


def bits_fp16(values: Array) -> Array:
    """Return binary16 bits of numbers that are binary16."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is turned into a quiet one
        return values.astype(np.float16).view(np.uint16)


@dataclass(frozen=True)
class Output:
    """An array that a kernel computes.

    Attributes:
        set: name of the set.
        case: pattern of the cases.
        role: what follows the case in the array's name; "" for arrays without a case.
        needs: roles of the operands.
        holds: format of the codes or bits, which says what is NaN; may name groups of ``case``.
        compute: from the operands, with the name of the case in ``match``.
    """

    set: str
    case: str
    role: str
    needs: tuple[str, ...]
    holds: str
    compute: Callable[[Arrays, re.Match[str]], Array]


@dataclass(frozen=True)
class Job:
    """An output of one case.

    Attributes:
        output: what is computed.
        case: name of the case.
        match: of the case's name with the pattern of the output.
    """

    output: Output
    case: str
    match: re.Match[str]

    @property
    def nan_above(self) -> int | None:
        """Codes above this, without their sign, are NaN; None: none is."""
        holds = self.output.holds.format(**self.match.groupdict())
        return NAN_ABOVE.get(SPELLED.get(holds, holds))

    def compute(self, arrays: Arrays) -> Array:
        """Return what the kernel makes of the operands.

        Raises:
            Unfit: operands are absent, or do not fit the kernel or each other.
        """
        start = f"{self.case}__"
        case = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
        absent = [start + need for need in self.output.needs if need not in case]
        if absent:
            raise Unfit(f"it is computed from {absent[0]}, which is not there")
        try:
            return self.output.compute(case, self.match)
        except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            raise Unfit(f"its operands do not fit: {error}") from None


def _format(match: re.Match[str]) -> str:
    return SPELLED.get(match["format"], match["format"])


def _attention(case: Arrays, match: re.Match[str]) -> Array:
    operands = (numbers(case[role]) for role in ("q", "k", "v"))
    scale = float(numbers(case["scale"])[0])
    mask = case.get("mask")
    return bits16(
        attention(
            *operands,
            scale=scale,
            causal=bool(case["causal"][0]),
            window=int(case["window"][0]) if "window" in case else 0,
            softcap=float(numbers(case["softcap"])[0]) if "softcap" in case else 0.0,
            mask=mask if mask is None or mask.dtype == np.bool_ else numbers(mask),
            probabilities="bf16",
            format="bf16",
        )
    )


def _norm(case: Arrays, match: re.Match[str]) -> Array:
    x, weight, bias = (numbers(case[role]) for role in ("x", "weight", "bias"))
    eps, lanes = float(numbers(case["eps"])[0]), int(case["lanes"][0])
    if match["fn"] == "rms_norm":
        return bits16(rms_norm(x, weight, eps, lanes, "bf16"))
    return bits16(layer_norm(x, weight, bias, eps, lanes, "bf16"))


def _sums_int4(case: Arrays, match: re.Match[str]) -> Array:
    return bits32(matmul_int4(case["a"], case["b"], numbers(case["scales"]), int(case["group"][0])))


def _rescale(case: Arrays, match: re.Match[str]) -> Array:
    rows, columns, bias = (numbers(case[role]) for role in ("rows", "columns", "bias"))
    return bits16(rescale(case["sums"], rows, columns, bias, "bf16"))


def _cast(case: Arrays, match: re.Match[str]) -> Array:
    x, target = numbers(case["x"]), _format(match)
    if target.startswith("fp8"):
        return encode_fp8(x, target)
    return bits16(round_to(x, target)) if target == "bf16" else bits_fp16(round_to(x, target))


def _decoded(format: str) -> Callable[[Arrays, re.Match[str]], Array]:
    codes = np.arange(256, dtype=np.uint8)
    return lambda case, match: decode_fp8(codes, format).astype(np.float64)


_FP8 = r"(?P<format>fp8_e4m3|fp8_e5m2)(_\w+)?"
_CODES = r"(?P<format>int8|int4|fp8_e4m3|fp8_e5m2)_(?P<scale>fp32|fp16|bf16)(_\w+)?"
_ANY = r".*"

OUTPUTS: tuple[Output, ...] = (
    Output("int8", _ANY, "sums", ("a", "b"), "int", lambda c, m: matmul_int8(c["a"], c["b"])),
    Output("int4", _ANY, "sums", ("a", "b", "scales", "group"), "fp32", _sums_int4),
    Output(
        "sparse24_int8", _ANY, "keep", ("w",), "bool", lambda c, m: prune_2to4(numbers(c["w"]))
    ),
    Output(
        "sparse24_int8", _ANY, "values", ("codes",), "int",
        lambda c, m: compress_2to4(c["codes"])[0],
    ),
    Output(
        "sparse24_int8", _ANY, "indices", ("codes",), "int",
        lambda c, m: compress_2to4(c["codes"])[1],
    ),
    Output(
        "sparse24_int8", _ANY, "sums", ("a", "values", "indices"), "int",
        lambda c, m: matmul_2to4(c["a"], c["values"], c["indices"]),
    ),
    Output(
        "bf16", _ANY, "sums", ("a", "b"), "fp32",
        lambda c, m: bits32(matmul_chain(numbers(c["a"]), numbers(c["b"]))),
    ),
    Output(
        "fp8", _FP8, "sums", ("a", "b"), "fp32",
        lambda c, m: bits32(
            matmul_chain(decode_fp8(c["a"], _format(m)), decode_fp8(c["b"], _format(m)))
        ),
    ),
    Output("attention", _ANY, "out", ("q", "k", "v", "scale", "causal"), "bf16", _attention),
    Output(
        "vector", r"(?P<fn>rms_norm|layer_norm)(_\d+)?", "y",
        ("x", "weight", "bias", "eps", "lanes"), "bf16", _norm,
    ),
    Output(
        "vector", r"softmax(_\d+)?", "y", ("x",), "bf16",
        lambda c, m: bits16(softmax(numbers(c["x"]), "bf16")),
    ),
    Output(
        "vector", r"(?P<fn>(?!softmax|rms_norm|layer_norm).*?)(_\d+)?", "y", ("x",), "bf16",
        lambda c, m: bits16(activation(numbers(c["x"]), m["fn"], "bf16")),
    ),
    Output(
        "quantize", _CODES, "absmax", ("x",), "fp32", lambda c, m: bits32(absmax(numbers(c["x"])))
    ),
    Output(
        "quantize", _CODES, "scales", ("absmax",), "fp32",
        lambda c, m: bits32(scales(numbers(c["absmax"]), _format(m), m["scale"])),
    ),
    Output(
        "quantize", _CODES, "codes", ("x", "scales"), "{format}",
        lambda c, m: quantize(numbers(c["x"]), numbers(c["scales"]), _format(m)),
    ),
    Output(
        "quantize", r"rescale(_\d+)?", "y", ("sums", "rows", "columns", "bias"), "bf16", _rescale
    ),
    Output(
        "rounding", r"(?P<format>bf16|fp16)", "y", ("x",), "fp32",
        lambda c, m: bits32(round_to(numbers(c["x"]), _format(m))),
    ),
    Output("rounding", _FP8, "y", ("x",), "{format}", _cast),
    *(
        Output("casts", rf"(?P<format>{formats})", role, ("x",), "{format}", _cast)
        # Nearest, ties to even: FP8 saturates here, the wider formats go to infinity.
        for formats, role in (
            ("e4m3fn|e5m2", "gfloat_TiesToEven_sat"), ("e4m3fn", "torch"),
            ("bfloat16|float16", "gfloat_TiesToEven_ovf"), ("bfloat16|float16", "torch"),
            ("bfloat16", "mldtypes"),
        )
    ),
    *(
        Output("decode_tables", f"{maker}_{name}", "", (), "number", _decoded(SPELLED[name]))
        for maker in ("gfloat", "mldtypes", "torch")
        for name in ("e4m3fn", "e5m2")
    ),
)  # fmt: skip


def find(set_name: str, array: str) -> Job | None:
    """Return what computes an array; None: nothing does."""
    case, _, role = array.rpartition("__")
    for output in OUTPUTS:
        if output.set != set_name or (output.role and output.role != role):
            continue
        name = case if output.role else array
        match = re.fullmatch(output.case, name)
        if match is not None:
            return Job(output, name, match)
    return None


def derivable(set_name: str, operands: Iterable[str]) -> tuple[str, ...]:
    """Return the outputs that follow from operands or from each other, in the order of the table.

    The table lists an output behind those that it is computed from.
    """
    known, found = set(operands), []
    cases = list(dict.fromkeys(name.rpartition("__")[0] for name in sorted(known)))
    for output in OUTPUTS:
        for case in cases if output.role else ("",):
            name = f"{case}__{output.role}" if output.role else output.case
            fits = not output.role or re.fullmatch(output.case, case)
            there = all(f"{case}__{need}" in known for need in output.needs)
            if output.set == set_name and fits and there and name not in known:
                known.add(name)
                found.append(name)
    return tuple(found)
