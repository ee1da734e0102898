"""Views, copies and constants: values move, no bit changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.ir import Attr
from accelsim.sim.bindings.pointwise import DTYPES
from accelsim.sim.bindings.values import Array, Call, Value


def ranges(attrs: Mapping[str, Attr], rank: int) -> tuple[slice, ...]:
    """Return the index that ``start_i``, ``size_i`` and ``step_i`` describe."""
    found = []
    for axis in range(rank):
        if f"start_{axis}" not in attrs:
            found.append(slice(None))
            continue
        start, step = int(attrs[f"start_{axis}"]), int(attrs.get(f"step_{axis}", 1))
        found.append(slice(start, start + step * int(attrs[f"size_{axis}"]), step))
    return tuple(found)


def _no_kernel(call: Call) -> InputError:
    return InputError(
        f"{call.op.name}: no kernel for {call.op.kind} with {dict(call.op.attrs)}: its values "
        "cannot be computed"
    )


def view(call: Call) -> Sequence[Value]:
    """Another name for the same values."""
    x, attrs = call.array(0), call.op.attrs
    fn, shape = str(attrs["fn"]), call.outputs[0].shape
    if fn == "split":
        sizes = [out.shape for out in call.outputs]
        axis = int(attrs["axis"])
        width = [size[axis] if len(size) == x.ndim else 1 for size in sizes]
        parts = np.split(x, np.cumsum(width)[:-1], axis=axis)
        return [part.reshape(size) for part, size in zip(parts, sizes, strict=True)]
    if fn == "permute":
        return [x.transpose([int(axis) for axis in str(attrs["perm"]).split(",")])]
    if fn == "slice":
        return [x[ranges(attrs, x.ndim)].reshape(shape)]
    if fn == "expand":
        return [np.broadcast_to(x, shape)]
    if fn == "reshape":
        return [x.reshape(shape)]
    raise _no_kernel(call)


def copy(call: Call) -> Sequence[Value]:
    """New bytes with the old values."""
    attrs, shape = call.op.attrs, call.outputs[0].shape
    fn = str(attrs["fn"])
    parts = [call.array(i) for i in range(len(call.values))]
    if attrs.get("update") and fn == "slice":
        whole = parts[1].copy()
        where = ranges(attrs, whole.ndim)
        whole[where] = np.broadcast_to(parts[0], whole[where].shape)
        return [whole]
    if attrs.get("update"):
        raise _no_kernel(call)
    if fn == "cat":
        return [np.concatenate(parts, axis=int(attrs["axis"]))]
    if fn == "stack":
        return [np.stack(parts, axis=int(attrs["axis"]))]
    if fn in ("reshape", "clone", "permute", "slice", "expand"):
        return [np.ascontiguousarray(view(call)[0]) if fn != "clone" else parts[0].reshape(shape)]
    raise _no_kernel(call)


def _full(call: Call) -> Array:
    return np.full(call.outputs[0].shape, call.op.attrs["value"])


def _arange(call: Call) -> Array:
    attrs, count = call.op.attrs, call.outputs[0].shape[0]
    start, step = (attrs.get(name, default) for name, default in (("start", 0), ("step", 1)))
    return np.array([start + i * step for i in range(count)])  # type: ignore[operator]  # numbers


def _mask(call: Call) -> Array:
    """A causal or windowed mask: True shows; as numbers, what is hidden is minus infinity."""
    queries, keys = call.outputs[0].shape[-2:]
    row = np.arange(queries)[:, None] + keys - queries
    column = np.arange(keys)[None, :]
    seen = np.ones((queries, keys), np.bool_)
    if call.op.attrs.get("causal"):
        seen &= column <= row
    if call.op.attrs.get("window"):
        seen &= column > row - int(call.op.attrs["window"])
    if call.format == "bool":
        return np.broadcast_to(seen, call.outputs[0].shape)
    hidden = np.where(seen, np.float32(0), np.float32(-np.inf))
    return np.broadcast_to(hidden, call.outputs[0].shape)


FILLS: Mapping[str, Callable[[Call], Array]] = {"full": _full, "arange": _arange, "mask": _mask}


def fill(call: Call) -> Sequence[Value]:
    """Constants that are written at run time."""
    fn = str(call.op.attrs.get("fn"))
    if fn not in FILLS or call.op.attrs.get("update"):
        raise _no_kernel(call)
    made = FILLS[fn](call)
    return [made.astype(DTYPES.get(call.format, np.float32))]


def gather(call: Call) -> Sequence[Value]:
    """Rows of a table."""
    if call.op.attrs.get("fn", "rows") != "rows":
        raise _no_kernel(call)
    table, index = call.array(0), call.array(1)
    if index.size and (index.min() < 0 or index.max() >= len(table)):
        raise InputError(
            f"{call.op.name}: index {int(index.max())} into a table of {len(table)} rows"
        )
    return [table[index]]


def kv_append(call: Call) -> Sequence[Value]:
    """New keys or values behind the old ones."""
    new = call.array(0)
    return [new if len(call.values) == 1 else np.concatenate([call.array(1), new], axis=-2)]


MOVEMENT: dict[str, Callable[[Call], Sequence[Value]]] = {
    "view": view,
    "copy": copy,
    "fill": fill,
    "gather": gather,
    "kv_append": kv_append,
}
