"""Rules that give back what frameworks spell out: rotary embedding, attention, norms.

Every rule requires that nobody else reads what it swallows, so that no value is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from accelsim.graph.ir import Graph, Op
from accelsim.graph.ops.table import OPS
from accelsim.graph.recognize_attention import (
    experts_per_token,
    grouped_heads,
    mask_to_flag,
    spelled_attention,
    transposed_weight,
)
from accelsim.graph.recognize_norm import spelled_layer_norm, spelled_rms_norm
from accelsim.graph.rewrite import Rewrite, Rule, Scope, apply, drop_dead, drop_same_views


def _join(module: str, label: str) -> str:
    return f"{module}.{label}" if module else label


def identity(scope: Scope, op: Op) -> Rewrite | None:
    """Multiplying by one and adding the integer zero change nothing."""
    if op.kind != "elementwise" or len(op.inputs) != 1 or op.attrs.get("scalar_first"):
        return None
    fn, scalar = op.attrs.get("fn"), op.attrs.get("scalar")
    source, result = scope.tensor(op.inputs[0]), scope.tensor(op.outputs[0])
    if source.format != result.format or source.shape != result.shape or "rounding" in op.attrs:
        return None
    one = fn in ("mul", "div") and scalar == 1 and not isinstance(scalar, bool)
    zero = fn in ("add", "sub") and scalar == 0 and "int" in result.format
    if not (one or zero):
        return None
    return Rewrite(replace(op, kind="view", attrs={"fn": "reshape"}))


def _half_turned(scope: Scope, name: str) -> tuple[str, list[Op]] | None:
    """Match ``cat(-x[..., d/2:], x[..., :d/2])`` and return x and the ops of the match."""
    joined = scope.private(name, "copy", fn="cat")
    if joined is None or len(joined.inputs) != 2:
        return None
    turned = scope.private(joined.inputs[0], "elementwise", fn="neg")
    first = scope.private(joined.inputs[1], "view", fn="slice")
    if turned is None or first is None:
        return None
    second = scope.private(turned.inputs[0], "view", fn="slice")
    if second is None or second.inputs != first.inputs:
        return None
    source = scope.tensor(first.inputs[0])
    axis, half = len(source.shape) - 1, source.shape[-1] // 2
    wanted = {f"start_{axis}": half, f"size_{axis}": half}
    low, high = {**first.attrs, "fn": ""}, {**second.attrs, "fn": ""}
    if low != {**wanted, f"start_{axis}": 0, "fn": ""} or high != {**wanted, "fn": ""}:
        return None
    return source.name, [joined, turned, first, second]


def rotary(scope: Scope, op: Op) -> Rewrite | None:
    """``x * cos + rotate_half(x) * sin`` is one rotary embedding of x."""
    if op.kind != "elementwise" or op.attrs.get("fn") != "add" or len(op.inputs) != 2:
        return None
    straight = scope.private(op.inputs[0], "elementwise", fn="mul")
    turned = scope.private(op.inputs[1], "elementwise", fn="mul")
    if straight is None or turned is None or len(straight.inputs) != 2 or len(turned.inputs) != 2:
        return None
    for rotated, sine in (turned.inputs, tuple(reversed(turned.inputs))):
        match = _half_turned(scope, rotated)
        if match is None or match[0] not in straight.inputs:
            continue
        source, inner = match
        cosine = straight.inputs[1 - straight.inputs.index(source)]
        if scope.tensor(source).shape != scope.tensor(op.outputs[0]).shape:
            return None
        made = Op(
            _join(op.module, "rotary"), "rotary", (source, cosine, sine), op.outputs, {}, op.module
        )
        return Rewrite(made, (straight, turned, *inner))
    return None


#: Activations that, times a second tensor, are one gated activation.
GATES: Mapping[str, str] = {
    "silu": "gated_silu",
    "gelu": "gated_gelu",
    "gelu_tanh": "gated_gelu_tanh",
}


def gated_activation(scope: Scope, op: Op) -> Rewrite | None:
    """``act(gate) * up`` of a gated MLP is one op of two operands, the gate first."""
    if op.kind != "elementwise" or op.attrs.get("fn") != "mul" or len(op.inputs) != 2:
        return None
    for gate, up in (op.inputs, tuple(reversed(op.inputs))):
        act = scope.private(gate, "activation")
        if act is None or act.attrs.get("fn") not in GATES or gate == up:
            continue
        source = scope.tensor(act.inputs[0])
        if source.shape != scope.tensor(up).shape:
            continue
        fn = GATES[str(act.attrs["fn"])]
        made = Op(
            _join(op.module, fn), "elementwise", (source.name, up), op.outputs, {"fn": fn},
            op.module,
        )  # fmt: skip
        return Rewrite(made, (act,))
    return None


def folded_layout(scope: Scope, op: Op) -> Rewrite | None:
    """A copy that only reorders what an op has just written is folded into that op's writes."""
    if op.kind != "copy" or op.attrs.get("fn") != "reshape" or len(op.inputs) != 1:
        return None
    source, passed = scope.through_views(op.inputs[0])
    if any(view.attrs.get("fn") == "expand" for view in passed) or not scope.only_reader(source):
        return None
    maker = scope.maker(source)
    writes = maker is not None and OPS[maker.kind].engine in ("array", "vector", "memory")
    if not writes or (maker is not None and maker.kind == "kv_append"):
        return None
    return Rewrite(replace(op, kind="view"))


#: The rules in the order in which they are tried on an op.
RULES: tuple[Rule, ...] = (
    identity,
    rotary,
    gated_activation,
    spelled_rms_norm,
    spelled_layer_norm,
    spelled_attention,
    transposed_weight,
    experts_per_token,
    mask_to_flag,
    grouped_heads,
    folded_layout,
)


def recognize(graph: Graph) -> Graph:
    """Return the graph with everything spelled out given back as one op, and nothing unread."""
    return drop_dead(drop_same_views(apply(drop_dead(drop_same_views(graph)), RULES)))
