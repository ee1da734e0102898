"""Kinds that move data without arithmetic, and views, which cost nothing."""

from __future__ import annotations

import math

from accelsim.graph.ops.table import OPS, Access, Attrs, OpKind, Tensors


def _gather_access(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    """Only what is chosen is read: whole rows of the table, or single elements."""
    table, out = ins[0], outs[0]
    if attrs.get("fn", "rows") == "rows":
        chosen = ins[1].numel * (table.bits // max(1, table.shape[0]))
    else:
        chosen = out.numel * table.bits // max(1, table.numel)
    read = {table.name: chosen} | {index.name: index.bits for index in ins[1:]}
    return Access(read, {out.name: out.bits})


def _check_gather(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    if attrs.get("fn", "rows") != "rows":
        return None
    wanted = (*ins[1].shape, *ins[0].shape[1:])
    return None if outs[0].shape == wanted else f"the output needs the shape {list(wanted)}"


def _copy_access(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    """An update writes its first operand into the second, whose other bytes stay untouched."""
    if not attrs.get("update"):
        return Access({t.name: t.bits for t in ins}, {t.name: t.bits for t in outs})
    share = ins[0].numel / max(1, outs[0].numel)
    return Access({ins[0].name: ins[0].bits}, {outs[0].name: round(outs[0].bits * share)})


def _append_access(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    """The new entries are read once and written behind the old ones, which stay where they are."""
    new = ins[0]
    share = new.numel / max(1, outs[0].numel)
    return Access({new.name: new.bits}, {outs[0].name: round(outs[0].bits * share)})


def _check_append(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    new, cache = ins[0].shape, outs[0].shape
    past = ins[1].shape[-2] if len(ins) > 1 else 0
    wanted = (*new[:-2], past + new[-2], new[-1])
    return None if cache == wanted else f"the cache becomes {list(wanted)}, not {list(cache)}"


def _fill_access(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    """An update writes the ranges of its attributes and leaves the rest of its operand."""
    if not attrs.get("update"):
        return Access({}, {t.name: t.bits for t in outs})
    out = outs[0]
    part = math.prod(int(attrs.get(f"size_{i}", size)) for i, size in enumerate(out.shape))
    return Access({}, {out.name: out.bits * part // max(1, out.numel)})


def _nothing(ins: Tensors, outs: Tensors, attrs: Attrs) -> Access:
    return Access({}, {})


def _check_view(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    if any(out.numel > ins[0].numel and not attrs.get("expand") for out in outs):
        return "a view cannot hold more elements than its input"
    return None


OPS.add(
    "gather",
    OpKind(
        "gather",
        "memory",
        "rows of table[R, ...] at indices[...]; with fn=elements, single elements along an axis",
        access=_gather_access,
        check=_check_gather,
    ),
)
OPS.add(
    "copy",
    OpKind(
        "copy",
        "memory",
        "fn: cat, stack, pad, repeat or a layout that must be made; with update, new bytes "
        "written into a part of the second operand",
        access=_copy_access,
    ),
)
OPS.add(
    "fill",
    OpKind(
        "fill",
        "memory",
        "fn: constants written at run time (full, arange, mask); with update, into a part",
        access=_fill_access,
    ),
)
OPS.add(
    "kv_append",
    OpKind(
        "kv_append",
        "memory",
        "new[B, H, S, D] written behind cache[B, H, T, D]",
        access=_append_access,
        check=_check_append,
    ),
)
OPS.add(
    "view",
    OpKind(
        "view",
        "free",
        "fn: reshape, permute (perm), slice (start_i, size_i, step_i), split (axis), expand: "
        "another name for the same bytes",
        access=_nothing,
        check=_check_view,
    ),
)
