"""The vectors that ship.

Arrays are named ``case__role``; an output is computed from arrays of the same case. Numbers stand
as bits: uint32 is binary32, uint16 is bfloat16. docs/vectors.md lists them for users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from accelsim.validate.catalog.bits import Array, bits16, bits32, bits_fp16, numbers
from accelsim.validate.catalog.output import Case, Output
from accelsim_kernels.attention import attention
from accelsim_kernels.cast import decode_fp8, encode_fp8
from accelsim_kernels.integer import matmul_int4, matmul_int8
from accelsim_kernels.matmul import matmul_chain
from accelsim_kernels.nonlinear import activation, softmax
from accelsim_kernels.normalize import layer_norm, rms_norm
from accelsim_kernels.quantize import absmax, quantize, rescale, scales
from accelsim_kernels.rounding import round_to
from accelsim_kernels.sparse import compress_2to4, matmul_2to4, prune_2to4


def _attention(case: Case) -> Array:
    q, k, v = (numbers(case[role]) for role in ("q", "k", "v"))
    given = case.arrays
    mask = given.get("mask")
    return bits16(
        attention(
            q,
            k,
            v,
            scale=float(numbers(case["scale"])[0]),
            causal=bool(case["causal"][0]),
            window=int(given["window"][0]) if "window" in given else 0,
            softcap=float(numbers(given["softcap"])[0]) if "softcap" in given else 0.0,
            mask=mask if mask is None or mask.dtype == np.bool_ else numbers(mask),
            probabilities="bf16",
            format="bf16",
        )
    )


def _norm(case: Case) -> Array:
    x, weight, bias = (numbers(case[role]) for role in ("x", "weight", "bias"))
    eps, lanes = float(numbers(case["eps"])[0]), int(case["lanes"][0])
    if case.fields["fn"] == "rms_norm":
        return bits16(rms_norm(x, weight, eps, lanes, "bf16"))
    return bits16(layer_norm(x, weight, bias, eps, lanes, "bf16"))


def _sums_int4(case: Case) -> Array:
    group = int(case["group"][0])
    return bits32(matmul_int4(case["a"], case["b"], numbers(case["scales"]), group))


def _sums_fp8(case: Case) -> Array:
    return bits32(matmul_chain(*(decode_fp8(case[role], case.format()) for role in "ab")))


def _rescale(case: Case) -> Array:
    rows, columns, bias = (numbers(case[role]) for role in ("rows", "columns", "bias"))
    return bits16(rescale(case["sums"], rows, columns, bias, "bf16"))


def _cast(case: Case) -> Array:
    x, target = numbers(case["x"]), case.format()
    if target.startswith("fp8"):
        return encode_fp8(x, target)
    return bits16(round_to(x, target)) if target == "bf16" else bits_fp16(round_to(x, target))


Fields = Mapping[str, str | tuple[str, ...]]

#: How cases are named: a template, and what its places may hold.
Naming = tuple[str, Fields]


def _function(names: str | tuple[str, ...]) -> Naming:
    return "{fn}{more}", {"fn": names, "more": r"(?:_\d+)?"}


_ANY: Naming = ("{any}", {"any": r".*"})
#: A name behind the case, where there are several.
_MORE = r"(?:_\w+)?"
_FP8: Naming = ("{format}{more}", {"format": ("fp8_e4m3", "fp8_e5m2"), "more": _MORE})
_PLAIN: Naming = ("{format}", {"format": ("bf16", "fp16")})
_RESCALE: Naming = ("rescale{more}", {"more": _MORE})
_CODES: Naming = (
    "{format}_{scale}{more}",
    {
        "format": ("int8", "int4", "fp8_e4m3", "fp8_e5m2"), "scale": ("fp32", "fp16", "bf16"),
        "more": _MORE,
    },
)  # fmt: skip


def _output(
    name: str, needs: str, holds: str, compute: Callable[[Case], Array], naming: Naming = _ANY
) -> Output:
    """Return a row for the arrays ``case__role`` of a set.

    Args:
        name: set and role.
        needs: roles of the operands; a question mark stands behind those that may be absent.
        holds: format of the codes or bits.
        compute: the kernel.
        naming: of the cases.
    """
    set_name, role = name.split("/")
    case, fields = naming
    roles = needs.split()
    places = {role.rstrip("?"): f"{case}__{role.rstrip('?')}" for role in roles}
    may = [role.rstrip("?") for role in roles if role.endswith("?")]
    return Output(
        set_name, f"{case}__{role}", fields,
        {role: place for role, place in places.items() if role not in may}, holds, compute,
        {role: places[role] for role in may}, key="",
    )  # fmt: skip


OUTPUTS: tuple[Output, ...] = (
    _output("int8/sums", "a b", "int", lambda c: matmul_int8(c["a"], c["b"])),
    _output("int4/sums", "a b scales group", "fp32", _sums_int4),
    _output("sparse24_int8/keep", "w", "bool", lambda c: prune_2to4(numbers(c["w"]))),
    _output("sparse24_int8/values", "codes", "int", lambda c: compress_2to4(c["codes"])[0]),
    _output("sparse24_int8/indices", "codes", "int", lambda c: compress_2to4(c["codes"])[1]),
    _output(
        "sparse24_int8/sums",
        "a values indices",
        "int",
        lambda c: matmul_2to4(c["a"], c["values"], c["indices"]),
    ),
    _output(
        "bf16/sums",
        "a b",
        "fp32",
        lambda c: bits32(matmul_chain(numbers(c["a"]), numbers(c["b"]))),
    ),
    _output("fp8/sums", "a b", "fp32", _sums_fp8, _FP8),
    _output("attention/out", "q k v scale causal window? softcap? mask?", "bf16", _attention),
    _output(
        "vector/y",
        "x weight bias eps lanes",
        "bf16",
        _norm,
        _function(("rms_norm", "layer_norm")),
    ),
    _output(
        "vector/y",
        "x",
        "bf16",
        lambda c: bits16(softmax(numbers(c["x"]), "bf16")),
        _function(("softmax",)),
    ),
    _output(
        "vector/y",
        "x",
        "bf16",
        lambda c: bits16(activation(numbers(c["x"]), c.fields["fn"], "bf16")),
        _function(r"(?!softmax|rms_norm|layer_norm).*?"),
    ),
    _output("quantize/absmax", "x", "fp32", lambda c: bits32(absmax(numbers(c["x"]))), _CODES),
    _output(
        "quantize/scales",
        "absmax",
        "fp32",
        lambda c: bits32(scales(numbers(c["absmax"]), c.format(), c.fields["scale"])),
        _CODES,
    ),
    _output(
        "quantize/codes",
        "x scales",
        "{format}",
        lambda c: quantize(numbers(c["x"]), numbers(c["scales"]), c.format()),
        _CODES,
    ),
    _output("quantize/y", "sums rows columns bias", "bf16", _rescale, _RESCALE),
    _output(
        "rounding/y",
        "x",
        "fp32",
        lambda c: bits32(round_to(numbers(c["x"]), c.format())),
        _PLAIN,
    ),
    _output("rounding/y", "x", "{format}", _cast, _FP8),
)
