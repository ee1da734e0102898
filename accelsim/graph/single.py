"""Graphs of one op, from the named sizes of a table row: what ``predict`` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accelsim.errors import InputError, UnknownNameError
from accelsim.graph.ir import FORMAT_BITS, Attr, Graph, Op, Tensor
from accelsim.graph.ops import verify
from accelsim.graph.ops.conv import out_size

Sizes = Mapping[str, int]
_FLOATS = ("fp64", "fp32", "fp16", "bf16")
#: Results of narrow formats leave the chip rescaled to this one.
RESULT_FORMAT = "bf16"


@dataclass(frozen=True, slots=True)
class SingleOp:
    """One kind of row: its columns, with defaults for those that may be empty."""

    name: str
    columns: tuple[str, ...]
    defaults: Mapping[str, int]
    build: Callable[[Sizes, str], Graph]


def single_graph(op: str, dtype: str, sizes: Sizes) -> Graph:
    """Return the verified graph of one op.

    Args:
        op: a name of ``SINGLE_OPS``.
        dtype: format of the operands; results of formats below 16 bits are ``RESULT_FORMAT``.
        sizes: the op's columns; columns with a default may be left out.

    Raises:
        UnknownNameError: no such op or format.
        InputError: a size is missing or below its least value.
    """
    if op not in SINGLE_OPS:
        raise UnknownNameError("op", op, SINGLE_OPS)
    if dtype not in FORMAT_BITS:
        raise UnknownNameError("number format", dtype, FORMAT_BITS)
    row = SINGLE_OPS[op]
    full = {**row.defaults, **sizes}
    for column in row.columns:
        least = 0 if column in ("padding", "causal") else 1
        if column not in full:
            raise InputError(f"{op} needs {column} (columns: {', '.join(row.columns)})")
        if full[column] < least:
            raise InputError(f"{op}: {column} is {full[column]}, at least {least} is needed")
    return verify(row.build(full, dtype))


def _result(dtype: str) -> str:
    return dtype if dtype in _FLOATS else RESULT_FORMAT


def _graph(kind: str, ins: list[Tensor], shape: tuple[int, ...], attrs: dict[str, Attr]) -> Graph:
    """One op on inputs of one format; sums of narrow formats are rescaled as they leave."""
    dtype = ins[0].format
    out = Tensor("out", shape, format=_result(dtype))
    if dtype == out.format or kind == "attention":
        op = Op(kind, kind, tuple(t.name for t in ins), ("out",), attrs)
        return Graph(kind, {t.name: t for t in (*ins, out)}, (op,), ("out",))
    sums = Tensor("sums", shape, format="int32" if dtype.startswith("int") else "fp32")
    ops = (
        Op(kind, kind, tuple(t.name for t in ins), ("sums",), attrs),
        Op("rescale", "rescale", ("sums",), ("out",)),
    )
    return Graph(kind, {t.name: t for t in (*ins, sums, out)}, ops, ("out",))


def _gemm(s: Sizes, dtype: str) -> Graph:
    if s["batch"] == 1:
        x = Tensor("x", (s["M"], s["K"]), "input", dtype)
        weight = Tensor("weight", (s["N"], s["K"]), "weight", dtype)
        return _graph("matmul", [x, weight], (s["M"], s["N"]), {})
    x = Tensor("x", (s["batch"], s["M"], s["K"]), "input", dtype)
    other = Tensor("other", (s["batch"], s["K"], s["N"]), "input", dtype)
    return _graph("batched_matmul", [x, other], (s["batch"], s["M"], s["N"]), {})


def _attention(s: Sizes, dtype: str) -> Graph:
    query = (s["batch"], s["heads"], s["seq_q"], s["head_dim"])
    cache = (s["batch"], s["kv_heads"], s["seq_kv"], s["head_dim"])
    ins = [Tensor("q", query, "input", dtype)]
    ins += [Tensor(name, cache, "cache", dtype) for name in ("k", "v")]
    return _graph("attention", ins, query, {"causal": bool(s["causal"])})


def _conv2d(s: Sizes, dtype: str) -> Graph:
    x = Tensor("x", (s["batch"], s["C"], s["H"], s["W"]), "input", dtype)
    weight = Tensor("weight", (s["K"], s["C"] // s["groups"], s["R"], s["S"]), "weight", dtype)
    attrs: dict[str, Attr] = {"groups": s["groups"]}
    for side in "hw":
        attrs[f"stride_{side}"], attrs[f"padding_{side}"] = s["stride"], s["padding"]
    height = out_size(s["H"], s["R"], s["stride"], s["padding"])
    width = out_size(s["W"], s["S"], s["stride"], s["padding"])
    return _graph("conv2d", [x, weight], (s["batch"], s["K"], height, width), attrs)


def _rows(kind: str, fn: str) -> Callable[[Sizes, str], Graph]:
    def build(s: Sizes, dtype: str) -> Graph:
        x = Tensor("x", (s["M"], s["N"]), "input", dtype)
        out = Tensor("out", (s["M"], s["N"]), format=dtype)
        attrs: dict[str, Attr] = {"fn": fn, "row": s["N"]}
        op = Op(kind, kind, ("x",), ("out",), attrs)
        return Graph(kind, {"x": x, "out": out}, (op,), ("out",))

    return build


_ATTENTION = ("batch", "seq_q", "seq_kv", "heads", "kv_heads", "head_dim", "causal")
_CONV = ("batch", "C", "H", "W", "K", "R", "S", "stride", "padding", "groups")
_ROW = ("M", "N")
_CONV_DEFAULTS = {"batch": 1, "stride": 1, "padding": 0, "groups": 1}

#: Ops that a row can name.
SINGLE_OPS: Mapping[str, SingleOp] = {
    row.name: row
    for row in (
        SingleOp("gemm", ("M", "N", "K", "batch"), {"batch": 1}, _gemm),
        SingleOp("attention_prefill", _ATTENTION, {"batch": 1, "causal": 1}, _attention),
        SingleOp("attention_decode", _ATTENTION, {"batch": 1, "causal": 0}, _attention),
        SingleOp("conv2d", _CONV, _CONV_DEFAULTS, _conv2d),
        SingleOp("softmax", _ROW, {}, _rows("softmax", "softmax")),
        SingleOp("layernorm", _ROW, {}, _rows("norm", "layer_norm")),
        SingleOp("gelu", _ROW, {}, _rows("activation", "gelu")),
        SingleOp("silu", _ROW, {}, _rows("activation", "silu")),
    )
}
