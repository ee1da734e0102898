"""Products: of codes, of plain numbers, and the conversions around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from accelsim.errors import InputError
from accelsim.sim.bindings.sums import coded_sums, plain_sums, sums_of_numbers
from accelsim.sim.bindings.values import Array, Call, Coded, Float32, Sums, Value
from accelsim.sim.bindings.weights import StoredWeight
from accelsim_kernels.hadamard import hadamard
from accelsim_kernels.quantize import absmax, dequantize, quantize, rescale, scales
from accelsim_kernels.rounding import round_to


def _rows(x: Array) -> Array:
    """[..., k] as contiguous [rows, k]."""
    return np.ascontiguousarray(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]))


def _fast_sums(coded: Coded, weight: StoredWeight) -> Array:
    """Products of what the codes stand for, in the host's own order of additions."""
    x = coded.dense().reshape(-1, coded.shape[-1])
    return x @ weight.dense.T


def _coded_product(call: Call, x: Coded, weight: StoredWeight) -> Sums:
    arithmetic = call.chip.arithmetic(x.format, weight.format)
    bias = np.asarray(call.values[2]) if len(call.values) > 2 else None
    if call.chip.ideal:
        ones = np.ones(x.codes.shape[0], np.float32)
        return Sums(_fast_sums(x, weight), ones, None, bias)
    columns = None if weight.group or weight.scales is None else weight.scales[:, 0]
    return Sums(coded_sums(x.codes, x.format, weight, arithmetic), x.scales, columns, bias)


def matmul(call: Call) -> Sequence[Value]:
    """``x[..., k]`` times a stored weight: sums where codes are multiplied, else numbers."""
    x, weight = call.values[0], call.values[1]
    if isinstance(x, Coded):
        return [_coded_product(call, x, weight)]
    fmt, rows = call.inputs[0].format, _rows(x)
    how = call.chip.arithmetic(fmt, weight.format)
    sums = rows @ weight.dense.T if call.chip.ideal else plain_sums(rows, fmt, weight, how)
    if len(call.values) > 2:
        sums = sums + np.asarray(call.values[2], np.float32)
    return [round_to(sums, call.format).reshape(call.outputs[0].shape)]


def batched_matmul(call: Call) -> Sequence[Value]:
    """``a[..., m, k]`` times ``b[..., k, n]``, one product after the other."""
    a, b = call.array(0), call.array(1)
    if not call.op.attrs.get("transpose_b"):
        b = np.swapaxes(b, -1, -2)
    shape = call.outputs[0].shape
    lead = shape[:-2]
    a = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    b = np.broadcast_to(b, (*lead, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
    formats = call.inputs[0].format, call.inputs[1].format
    how = call.chip.arithmetic(*formats)
    out = np.empty((len(a), *shape[-2:]), np.float32)
    for i in range(len(a)):
        pair = np.ascontiguousarray(a[i]), np.ascontiguousarray(b[i])
        out[i] = sums_of_numbers(*pair, formats, how)
    return [round_to(out, call.format).reshape(shape)]


def absmax_scale(call: Call) -> Sequence[Value]:
    """The scale of each row from its largest magnitude."""
    x = call.array(0)
    largest = absmax(_rows(x))
    found = scales(largest, str(call.op.attrs["codes"]), call.format)
    return [found.reshape(call.outputs[0].shape)]


def quantize_rows(call: Call) -> Sequence[Value]:
    """Codes of x by the scales of its rows."""
    if len(call.values) < 2:
        raise InputError(
            f"{call.op.name}: a scale for the whole tensor must be calibrated, and no calibration "
            "is built; recipes with one scale per token need none"
        )
    x, row_scales = call.array(0), np.asarray(call.values[1], np.float32).reshape(-1)
    codes = quantize(_rows(x), row_scales, call.format)
    return [Coded(codes, row_scales, call.format, x.shape)]


def as_coded(x: Float32, fmt: str, scale_format: str) -> Float32:
    """Return the numbers that codes of x stand for, one scale per row of the last axis."""
    rows = _rows(x)
    row_scales = scales(absmax(rows), fmt, scale_format)
    return dequantize(quantize(rows, row_scales, fmt), row_scales, fmt).reshape(x.shape)


def rescale_sums(call: Call) -> Sequence[Value]:
    """Sums times the scales of both operands, plus the bias, in the storage format."""
    sums: Sums = call.values[0]
    out: Float32 = rescale(sums.values, sums.rows, sums.columns, sums.bias, call.format)
    return [out.reshape(call.outputs[0].shape)]


def rotate_rows(call: Call) -> Sequence[Value]:
    """Rows times a Hadamard matrix, in FP32, rounded once."""
    try:
        found = hadamard(_rows(call.array(0).astype(np.float32, copy=False)))
    except ValueError as error:
        raise InputError(f"{call.op.name}: {error}") from None
    return [round_to(found, call.format).reshape(call.outputs[0].shape)]


LINEAR: dict[str, Callable[[Call], Sequence[Value]]] = {
    "matmul": matmul,
    "batched_matmul": batched_matmul,
    "absmax": absmax_scale,
    "quantize": quantize_rows,
    "rescale": rescale_sums,
    "hadamard": rotate_rows,
}
