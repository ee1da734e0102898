"""Along a row: norms, softmax, reductions, attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from accelsim.errors import InputError
from accelsim.sim.bindings.pointwise import stored
from accelsim.sim.bindings.values import Array, Call, Value
from accelsim_kernels.attention import attention as attend
from accelsim_kernels.nonlinear import softmax as row_softmax
from accelsim_kernels.normalize import layer_norm, rms_norm, row_sum
from accelsim_kernels.rounding import PLAIN, round_to


def norm(call: Call) -> Sequence[Value]:
    """RMS and layer norm over rows, FP32 inside, rounded once."""
    fn, row = str(call.op.attrs["fn"]), int(call.op.attrs["row"])
    x = np.ascontiguousarray(call.array(0), dtype=np.float32).reshape(-1, row)
    weight = np.asarray(call.values[1]) if len(call.values) > 1 else None
    bias = np.asarray(call.values[2]) if len(call.values) > 2 else None
    eps = call.op.attrs.get("eps")
    if eps is None or fn not in ("rms_norm", "layer_norm"):
        raise InputError(f"{call.op.name}: no kernel for {fn} with {dict(call.op.attrs)}")
    lanes, shape = call.chip.lanes, call.outputs[0].shape
    if fn == "rms_norm":
        return [rms_norm(x, weight, float(eps), lanes, call.format).reshape(shape)]
    return [layer_norm(x, weight, bias, float(eps), lanes, call.format).reshape(shape)]


def softmax(call: Call) -> Sequence[Value]:
    """Softmax over the last axis."""
    x = call.array(0)
    axis = int(call.op.attrs.get("axis", x.ndim - 1))
    moved = np.ascontiguousarray(np.moveaxis(x, axis, -1), dtype=np.float32)
    made = row_softmax(moved.reshape(-1, moved.shape[-1]), call.format).reshape(moved.shape)
    return [np.moveaxis(made, -1, axis)]


def attention(call: Call) -> Sequence[Value]:
    """``softmax(scale q k^T) v``, whole, in the chip's arithmetic of attention."""
    attrs = call.op.attrs
    q, k, v = (np.ascontiguousarray(call.array(i), dtype=np.float32) for i in range(3))
    if "widened" in attrs:
        k, v = (round_to(x, str(attrs["widened"])) for x in (k, v))
    mask = call.array(3) if len(call.values) > 3 else None
    if mask is not None and attrs.get("mask_hides"):
        mask = ~mask.astype(np.bool_)
    # Probabilities enter the second product in the format of its other operand.
    storage = call.inputs[2].format
    return [
        attend(
            q, k, v, call.chip.attention,
            scale=float(attrs["scale"]),
            causal=bool(attrs.get("causal", False)),
            window=int(attrs.get("window", 0)),
            softcap=float(attrs.get("softcap", 0.0)),
            mask=mask,
            probabilities=storage if storage in PLAIN else call.format,
            format=call.format,
        )
    ]  # fmt: skip


def _axes(call: Call, rank: int) -> tuple[int, ...]:
    text = str(call.op.attrs.get("axes", ""))
    return tuple(int(part) for part in text.split(",")) if text else tuple(range(rank))


def _total(call: Call, x: Array, axes: tuple[int, ...]) -> Array:
    """Sums in the order of the vector unit's lanes."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    moved = np.ascontiguousarray(x.transpose(*kept, *axes), dtype=np.float32)
    lead = tuple(x.shape[axis] for axis in kept)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    return row_sum(moved.reshape(-1, count), call.chip.lanes).reshape(lead)


def reduce(call: Call) -> Sequence[Value]:
    """Sums, means and extrema over axes."""
    fn, x = str(call.op.attrs["fn"]), call.array(0)
    axes = _axes(call, x.ndim)
    if fn in ("sum", "mean") and np.issubdtype(x.dtype, np.floating):
        made = _total(call, x, axes)
        count = np.float32(np.prod([x.shape[axis] for axis in axes]))
        made = made / count if fn == "mean" else made
    elif fn == "cumsum" and not np.issubdtype(x.dtype, np.floating):
        made = np.cumsum(x, axis=axes[0])
    elif fn in EXACT and len(call.outputs) == 1:
        made = EXACT[fn](x, axes)
    else:
        raise InputError(f"{call.op.name}: no kernel for reduce {fn}")
    return [stored(np.asarray(made).reshape(call.outputs[0].shape), call.format)]


#: Reductions that round nothing.
EXACT: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "max": lambda x, axes: np.max(x, axis=axes),
    "min": lambda x, axes: np.min(x, axis=axes),
    "all": lambda x, axes: np.all(x, axis=axes),
    "any": lambda x, axes: np.any(x, axis=axes),
    "sum": lambda x, axes: np.sum(x, axis=axes),
    "argmax": lambda x, axes: np.argmax(x, axis=axes[-1]),
}

ROWS: dict[str, Callable[[Call], Sequence[Value]]] = {
    "norm": norm,
    "softmax": softmax,
    "attention": attention,
    "reduce": reduce,
}
