"""Views and copies: whether bytes move is asked of torch, by comparing storages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from accelsim.graph.ir import Attr
from accelsim.graph.record_call import Call, Draft, Refusal, Rule, axis_of, shares_storage

#: Functions whose result has the elements of the input in the same order.
RESHAPES = (
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "view_as",
    "reshape_as", "detach", "alias", "dropout", "contiguous", "clone", "data", "feature_dropout",
    "requires_grad_", "atleast_2d", "atleast_3d", "_unsafe_view", "dropout_", "alpha_dropout",
)  # fmt: skip
EXPANDS = ("expand", "expand_as", "broadcast_to")
SPLITS = ("split", "chunk", "unbind", "tensor_split", "split_with_sizes", "hsplit", "vsplit")
#: Functions that always make new bytes out of old ones, and the argument that says how.
REARRANGES: Mapping[str, str] = {
    "repeat": "repeats", "tile": "dims", "roll": "shifts", "flip": "dims",
    "repeat_interleave": "repeats",
}  # fmt: skip


def _layout(call: Call, fn: str, attrs: Mapping[str, Attr]) -> Draft | None:
    """Draft a view when the bytes are the same, a copy when torch made new ones."""
    if call.out is call.x:
        return None
    same = shares_storage(call.out, call.x)
    return Draft("view" if same else "copy", (call.x,), {"fn": fn, **attrs})


def _reshape(call: Call) -> Draft | None:
    return _layout(call, "reshape", {})


def _expand(call: Call) -> Draft | None:
    return _layout(call, "expand", {"expand": True})


def _permuted(call: Call) -> tuple[int, ...]:
    """Return the source axis of every result axis, for each of torch's spellings."""
    rank, name = call.x.dim(), call.name
    order = list(range(rank))
    if name in ("T", "t", "numpy_T"):
        return tuple(reversed(order))
    if name in ("mT", "adjoint"):
        return (*order[:-2], rank - 1, rank - 2)
    if name == "permute":
        dims = call.args[1:] if len(call.args) > 2 else call.arg(1, "dims")
        listed = dims if isinstance(dims, (tuple, list, torch.Size)) else (dims,)
        return tuple(axis_of(int(axis), rank) for axis in listed)
    first, second = call.arg(1, "dim0"), call.arg(2, "dim1")
    if name == "movedim":
        order.insert(axis_of(second, rank), order.pop(axis_of(first, rank)))
        return tuple(order)
    a, b = axis_of(first, rank), axis_of(second, rank)
    order[a], order[b] = order[b], order[a]
    return tuple(order)


def _permute(call: Call) -> Draft | None:
    return _layout(call, "permute", {"perm": ",".join(str(axis) for axis in _permuted(call))})


def _split(call: Call) -> Draft:
    axis = call.arg(1, "dim", 0) if call.name == "unbind" else call.arg(2, "dim", 0)
    return Draft("view", (call.x,), {"fn": "split", "axis": axis_of(axis, call.x.dim())})


def slice_attrs(shape: tuple[int, ...], index: Any) -> dict[str, Attr]:
    """Return the ranges that an index takes; axes that it does not mention are left out.

    The result of the ranges, reshaped to the output, is the indexed tensor: axes that an integer
    drops and axes that None adds have one element.

    Raises:
        Refusal: an index that is not made of integers, slices, None and an ellipsis.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    axes = sum(1 for part in parts if part is not None and part is not Ellipsis)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    at = next(i for i, part in enumerate(parts) if part is Ellipsis)
    parts[at : at + 1] = [slice(None)] * (len(shape) - axes)
    attrs: dict[str, Attr] = {"fn": "slice"}
    axis = 0
    for part in parts:
        if part is None:
            continue
        size = shape[axis]
        if isinstance(part, slice):
            start, stop, step = part.indices(size)
            count = len(range(start, stop, step))
        elif (number := _one_number(part)) is not None:
            start, step, count = axis_of(number, size), 1, 1
        else:
            raise Refusal(f"indexing with {type(part).__name__} has no model")
        if part != slice(None):  # also when it covers the axis: the graph's form is of no size
            attrs[f"start_{axis}"], attrs[f"size_{axis}"] = start, count
            if step != 1:
                attrs[f"step_{axis}"] = step
        axis += 1
    return attrs if len(attrs) > 1 else {"fn": "reshape"}


def _one_number(part: Any) -> int | None:
    """Return the position of an integer, or of a list of one, which keeps its axis."""
    if isinstance(part, (list, tuple)) and len(part) == 1:
        part = part[0]
    return part if isinstance(part, int) and not isinstance(part, bool) else None


def _getitem(call: Call) -> Draft | None:
    index = call.args[1]
    parts = index if isinstance(index, tuple) else (index,)
    chosen = [part for part in parts if isinstance(part, torch.Tensor)]
    if chosen:
        return _advanced(call, parts, chosen)
    return _layout(call, "slice", slice_attrs(tuple(call.x.shape), index))


def _advanced(call: Call, parts: tuple[Any, ...], chosen: list[torch.Tensor]) -> Draft:
    if any(part.dtype == torch.bool for part in chosen):
        raise Refusal("indexing with a mask makes a size that depends on values")
    if len(parts) == 1:
        return Draft("gather", (call.x, chosen[0]), {"fn": "rows"})
    return Draft("gather", (call.x, *chosen), {"fn": "elements"})


def _narrow(call: Call) -> Draft | None:
    axis = axis_of(call.arg(1, "dim"), call.x.dim())
    index: list[Any] = [slice(None)] * call.x.dim()
    if call.name == "select":
        index[axis] = int(call.arg(2, "index"))
    else:
        start = int(call.arg(2, "start"))
        index[axis] = slice(start, start + int(call.arg(3, "length")))
    return _layout(call, "slice", slice_attrs(tuple(call.x.shape), tuple(index)))


def _setitem(call: Call) -> Draft:
    target, index, value = call.args[:3]
    rows = isinstance(index, torch.Tensor) and index.dtype != torch.bool
    if rows and isinstance(value, torch.Tensor):
        where: dict[str, Attr] = {"fn": "scatter", "axis": 0, "update": True}
        return Draft("copy", (value, target, index), where, "scatter", (target,))
    attrs = slice_attrs(tuple(target.shape), index) | {"update": True}
    if isinstance(value, torch.Tensor):
        return Draft("copy", (value, target), attrs, "update", (target,))
    return Draft("fill", (target,), attrs | {"value": value}, "update", (target,))


def _scatter(call: Call) -> Draft:
    """Elements of a source, or a number, at positions along an axis; the rest is the target's."""
    axis, index = axis_of(call.arg(1, "dim"), call.x.dim()), call.arg(2, "index")
    source = call.arg(3, "src", call.kwargs.get("value"))
    attrs: dict[str, Attr] = {"fn": "scatter", "axis": axis, "update": True}
    if isinstance(source, torch.Tensor):
        return Draft("copy", (source, call.x, index), attrs)
    return Draft("copy", (index, call.x), attrs | {"value": source})


def _cat(call: Call) -> Draft:
    parts = call.arg(0, "tensors")
    kept = tuple(part for part in parts if part.dim() > 1 or part.numel())
    axis = axis_of(call.arg(1, "dim", 0), call.out.dim())
    return Draft("copy", kept, {"fn": "stack" if call.name == "stack" else "cat", "axis": axis})


def _pad(call: Call) -> Draft:
    pads, rank = list(call.arg(1, "pad")), call.x.dim()
    attrs: dict[str, Attr] = {"fn": "pad"}
    for i in range(0, len(pads), 2):
        axis = rank - 1 - i // 2
        attrs[f"before_{axis}"], attrs[f"after_{axis}"] = pads[i], pads[i + 1]
    mode = call.arg(2, "mode", "constant")
    if mode != "constant":
        attrs["mode"] = mode
    return Draft("copy", (call.x,), attrs)


def _rearrange(call: Call) -> Draft:
    how = call.args[1:] if len(call.args) > 1 else call.kwargs.get(REARRANGES[call.name], ())
    if any(isinstance(part, torch.Tensor) for part in how):
        raise Refusal("the amount is a tensor, so the size depends on values")
    return Draft("copy", (call.x,), {"fn": call.name, "how": _text(how), **_axis(call)})


def _axis(call: Call) -> Mapping[str, Attr]:
    axis = call.kwargs.get("dim")
    return {"axis": axis_of(axis, call.x.dim())} if isinstance(axis, int) else {}


def _text(value: Any) -> str:
    """Return nested numbers as text without spaces."""
    if isinstance(value, (tuple, list, torch.Size)):
        return ",".join(_text(part) for part in value)
    return str(value)


def layout_rules() -> dict[str, Rule]:
    """Return the rule of every function that renames, moves or joins bytes."""
    rules: dict[str, Rule] = dict.fromkeys(RESHAPES, _reshape)
    rules |= dict.fromkeys(EXPANDS, _expand)
    rules |= dict.fromkeys(SPLITS, _split)
    rules |= dict.fromkeys(REARRANGES, _rearrange)
    permutes = ("transpose", "permute", "T", "mT", "t", "swapaxes", "swapdims", "movedim")
    rules |= dict.fromkeys(permutes, _permute)
    rules |= dict.fromkeys(("cat", "concat", "concatenate", "stack"), _cat)
    rules |= {"__getitem__": _getitem, "__setitem__": _setitem, "pad": _pad}
    rules |= {"scatter": _scatter}
    return rules | {"narrow": _narrow, "select": _narrow}
