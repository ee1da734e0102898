"""What an op would compute without any rounding: FP64, from the numbers that it is given.

This is the yardstick that errors are measured against, and an oracle for the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.graph.ir import Op
from accelsim_kernels.matmul import matmul_fp64
from accelsim_kernels.rounding import round_to

Float64 = npt.NDArray[np.float64]
Inputs = Sequence[npt.NDArray[Any]]


def _matmul(op: Op, ins: Inputs) -> Float64:
    """Weights come as ``[n, k]``."""
    x = ins[0]
    rows = matmul_fp64(np.ascontiguousarray(x.reshape(-1, x.shape[-1])), ins[1])
    out = rows.reshape(*x.shape[:-1], ins[1].shape[0])
    return np.asarray(out + ins[2] if len(ins) > 2 else out)


def _batched(op: Op, ins: Inputs) -> Float64:
    b = np.swapaxes(ins[1], -1, -2) if op.attrs.get("transpose_b") else ins[1]
    return np.asarray(np.matmul(ins[0], b))


def _norm(op: Op, ins: Inputs) -> Float64:
    row, eps = int(op.attrs["row"]), float(op.attrs["eps"])
    x = ins[0].reshape(-1, row)
    if op.attrs["fn"] == "layer_norm":
        x = x - x.mean(axis=-1, keepdims=True)
    made = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + eps)
    if len(ins) > 1:
        made = made * ins[1].reshape(-1)
    if len(ins) > 2:
        made = made + ins[2].reshape(-1)
    return np.asarray(made.reshape(ins[0].shape))


def softmax(x: Float64, axis: int = -1) -> Float64:
    """Softmax along an axis; a row that is hidden throughout gives zeros."""
    largest = np.max(x, axis=axis, keepdims=True)
    weight = np.exp(x - np.where(np.isfinite(largest), largest, 0.0))
    total = weight.sum(axis=axis, keepdims=True)
    return np.asarray(weight / np.where(total == 0.0, 1.0, total))


def _softmax(op: Op, ins: Inputs) -> Float64:
    return softmax(ins[0], int(op.attrs.get("axis", -1)))


def _visible(op: Op, queries: int, keys: int) -> npt.NDArray[np.bool_]:
    row = np.arange(queries)[:, None] + keys - queries
    column = np.arange(keys)[None, :]
    seen = np.ones((queries, keys), np.bool_)
    if op.attrs.get("causal"):
        seen &= column <= row
        if op.attrs.get("window"):
            seen &= column > row - int(op.attrs["window"])
    return seen


def _attention(op: Op, ins: Inputs) -> Float64:
    q, k, v = ins[:3]
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.matmul(q, np.swapaxes(k, -1, -2)) * float(op.attrs["scale"])
    cap = float(op.attrs.get("softcap", 0.0))
    scores = cap * np.tanh(scores / cap) if cap else scores
    seen = _visible(op, q.shape[2], k.shape[2])
    if len(ins) > 3 and ins[3].dtype == np.bool_:
        seen = seen & (~ins[3] if op.attrs.get("mask_hides") else ins[3])
    elif len(ins) > 3:
        scores = scores + ins[3]
    return np.asarray(np.matmul(softmax(np.where(seen, scores, -np.inf)), v))


def _sigmoid(x: Float64) -> Float64:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _gelu_tanh(x: Float64) -> Float64:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _gelu(x: Float64) -> Float64:
    erf = np.array([math.erf(v) for v in (x / math.sqrt(2.0)).reshape(-1).tolist()])
    return np.asarray(0.5 * x * (1.0 + erf.reshape(x.shape)))


ACTIVATIONS: Mapping[str, Callable[[Float64], Float64]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "silu": lambda x: x * _sigmoid(x),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "hardswish": lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "hardsigmoid": lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "softplus": lambda x: np.logaddexp(0.0, x),
}
_BINARY: Mapping[str, Callable[[Float64, Float64], Float64]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "maximum": np.maximum, "minimum": np.minimum,
    "gated_silu": lambda gate, up: ACTIVATIONS["silu"](gate) * up,
    "gated_gelu": lambda gate, up: ACTIVATIONS["gelu"](gate) * up,
    "gated_gelu_tanh": lambda gate, up: ACTIVATIONS["gelu_tanh"](gate) * up,
}  # fmt: skip


def _activation(op: Op, ins: Inputs) -> Float64:
    return ACTIVATIONS[str(op.attrs["fn"])](ins[0])


def _elementwise(op: Op, ins: Inputs) -> Float64 | None:
    fn = str(op.attrs["fn"])
    if fn == "cast" and np.issubdtype(ins[0].dtype, np.floating):
        return np.asarray(ins[0])
    if fn not in _BINARY or len(ins) != 2 or "alpha" in op.attrs:
        return None
    return _BINARY[fn](ins[0], ins[1])


def _rotary(op: Op, ins: Inputs) -> Float64:
    x, cosine, sine = ins
    half = x.shape[-1] // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return np.asarray(x * cosine + turned * sine)


#: Op kinds that round something, and what they would be without.
IDEAL: Mapping[str, Callable[[Op, Inputs], Float64 | None]] = {
    "matmul": _matmul,
    "batched_matmul": _batched,
    "norm": _norm,
    "softmax": _softmax,
    "attention": _attention,
    "activation": _activation,
    "elementwise": _elementwise,
    "rotary": _rotary,
}


def ideal(op: Op, ins: Inputs) -> Float64 | None:
    """Return what an op computes without rounding; None for what only moves or counts.

    Args:
        op: an op of the graph as it was recorded.
        ins: its inputs: FP64, masks as they are, weights as ``[n, k]``.
    """
    found = IDEAL.get(op.kind)
    return None if found is None else found(op, ins)


def rounded(values: Float64, fmt: str) -> npt.NDArray[np.float32]:
    """Return FP64 values rounded once to a float format, ties to even.

    FP32 on the way is cut and marked as inexact in its last bit (rounding to odd), so that the
    second step rounds as if it saw every bit.
    """
    near = values.astype(np.float32)
    if fmt == "fp32":
        return near
    inexact = near.astype(np.float64) != values
    beyond = inexact & (np.abs(near) > np.abs(values))
    cut = np.where(beyond, np.nextafter(near, np.float32(0)), near)
    odd = np.where(inexact, cut.view(np.uint32) | np.uint32(1), cut.view(np.uint32))
    return round_to(odd.view(np.float32), fmt)
