"""Rules around attention: spelled-out products, masks that are a flag, repeated key heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from accelsim.graph.ir import Attr, Op
from accelsim.graph.rewrite import Rewrite, Scope

#: Scores at or below this are hidden: the softmax makes them zero in every format.
HIDDEN = -1e4


def _swapped(scope: Scope, name: str) -> tuple[str, Op] | None:
    """Match a view that swaps the last two axes of four."""
    view = scope.private(name, "view", fn="permute", perm="0,1,3,2")
    return None if view is None else (view.inputs[0], view)


def _scaled(scope: Scope, name: str) -> tuple[str, float, list[Op]]:
    """Step over a multiplication or division by a number."""
    op = scope.private(name, "elementwise")
    if op is None or len(op.inputs) != 1 or op.attrs.get("scalar_first"):
        return name, 1.0, []
    fn, scalar = op.attrs.get("fn"), op.attrs.get("scalar")
    if fn not in ("mul", "div") or not isinstance(scalar, (int, float)) or not scalar:
        return name, 1.0, []
    factor = float(scalar) if fn == "mul" else 1.0 / float(scalar)
    return op.inputs[0], factor, [op]


def _casts(scope: Scope, name: str) -> tuple[str, list[Op]]:
    """Step over changes of number type: softmax in fp32 is part of attention."""
    passed: list[Op] = []
    while (op := scope.private(name, "elementwise", fn="cast")) is not None:
        passed.append(op)
        name = op.inputs[0]
    return name, passed


@dataclass(frozen=True)
class _Mask:
    """What stands between the scores and the softmax."""

    scores: str
    operands: tuple[str, ...] = ()
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    ops: tuple[Op, ...] = ()


def _masked(scope: Scope, name: str) -> _Mask:
    """Step over a mask that is added to the scores, or that replaces what it hides."""
    op = scope.private(name, "elementwise")
    if op is None or len(op.inputs) != 2:
        return _Mask(name)
    if op.attrs.get("fn") == "where" and float(op.attrs.get("if_true", 0.0)) <= HIDDEN:
        if op.attrs.get("hides") == "future":
            return _Mask(op.inputs[1], (), {"causal": True}, (op,))
        return _Mask(op.inputs[1], op.inputs[:1], {"mask_hides": True}, (op,))
    if op.attrs.get("fn") != "add":
        return _Mask(name)
    for scores, mask in (op.inputs, tuple(reversed(op.inputs))):
        source, _, _ = _capped(scope, scores)
        source, _, _ = _scaled(scope, source)
        if scope.private(source, "batched_matmul") is not None:
            return _Mask(scores, (mask,), {}, (op,))
    return _Mask(name)


def _capped(scope: Scope, name: str) -> tuple[str, dict[str, Attr], list[Op]]:
    """Step over ``tanh(scores / cap) * cap``."""
    source, cap, outer = _scaled(scope, name)
    bent = scope.private(source, "activation", fn="tanh") if outer else None
    if bent is None:
        return name, {}, []
    inside, share, inner = _scaled(scope, bent.inputs[0])
    if not inner or abs(share * cap - 1.0) > 1e-9:
        return name, {}, []
    return inside, {"softcap": cap}, [*outer, bent, *inner]


def spelled_attention(scope: Scope, op: Op) -> Rewrite | None:
    """``softmax(q @ k^T * scale + mask) @ v`` is one attention."""
    if op.kind != "batched_matmul" or len(scope.tensor(op.outputs[0]).shape) != 4:
        return None
    weights, after = _casts(scope, op.inputs[0])
    softmax = scope.private(weights, "softmax", axis=3)
    if softmax is None:
        return None
    name, before = _casts(scope, softmax.inputs[0])
    mask = _masked(scope, name)
    name, cap, capping = _capped(scope, mask.scores)
    name, factor, scaling = _scaled(scope, name)
    scores = scope.private(name, "batched_matmul")
    if scores is None:
        return None
    key = _swapped(scope, scores.inputs[1])
    if key is None:
        return None
    query, before_factor, pre = _scaled(scope, scores.inputs[0])
    q, k, v = (scope.tensor(n).shape for n in (query, key[0], op.inputs[1]))
    if len(q) != 4 or q[0] != k[0] or q[1] % k[1] or k[:3] != v[:3]:
        return None
    attrs: dict[str, Attr] = {"causal": False, "scale": factor * before_factor}
    attrs |= {**cap, **mask.attrs}
    inputs = (query, key[0], op.inputs[1], *mask.operands)
    label = f"{op.module}.attention" if op.module else "attention"
    consumed = (*after, softmax, *before, *mask.ops, *capping, *scaling, scores, key[1], *pre)
    return Rewrite(Op(label, "attention", inputs, op.outputs, attrs, op.module), consumed)


def mask_to_flag(scope: Scope, op: Op) -> Rewrite | None:
    """A mask of a known pattern is an attribute of the attention, not a tensor that is read."""
    if op.kind != "attention" or len(op.inputs) != 4:
        return None
    name = op.inputs[3]
    while (maker := scope.maker(name)) is not None and (
        maker.kind == "view" or maker.attrs.get("fn") == "cast"
    ):
        name = maker.inputs[0]
    if maker is None or maker.kind != "fill" or maker.attrs.get("fn") != "mask":
        return None
    keys, queries = scope.tensor(op.inputs[1]).shape[2], scope.tensor(op.inputs[0]).shape[2]
    if scope.tensor(name).shape[-2:] != (queries, keys):
        return None
    attrs = {**op.attrs, "causal": bool(maker.attrs["causal"])}
    if maker.attrs["window"]:
        attrs["window"] = maker.attrs["window"]
    return Rewrite(replace(op, inputs=op.inputs[:3], attrs=attrs))


def _one_of_group(scope: Scope, name: str) -> str | None:
    """Match ``reshape(expand(x[:, :, None]))``, which repeats every key head, and return x."""
    copy = scope.maker(name)
    if copy is None or copy.kind not in ("copy", "view") or copy.attrs.get("fn") != "reshape":
        return None
    wide = scope.maker(copy.inputs[0])
    if wide is None or wide.kind != "view" or wide.attrs.get("fn") != "expand":
        return None
    thin = scope.maker(wide.inputs[0])
    if thin is None or thin.kind != "view" or thin.attrs.get("fn") != "reshape":
        return None
    before, after = scope.tensor(thin.inputs[0]).shape, scope.tensor(wide.outputs[0]).shape
    if len(before) != 4 or len(after) != 5 or before[:2] != after[:2] or before[2:] != after[3:]:
        return None
    repeated = (before[0], before[1] * after[2], *before[2:])
    return thin.inputs[0] if scope.tensor(name).shape == repeated else None


def grouped_heads(scope: Scope, op: Op) -> Rewrite | None:
    """Attention over repeated key and value heads reads each head once for its whole group."""
    if op.kind != "attention":
        return None
    key, value = _one_of_group(scope, op.inputs[1]), _one_of_group(scope, op.inputs[2])
    if key is None or value is None:
        return None
    return Rewrite(replace(op, inputs=(op.inputs[0], key, value, *op.inputs[3:])))


def transposed_weight(scope: Scope, op: Op) -> Rewrite | None:
    """A product with a transposed view of a weight reads the weight as it is stored."""
    if op.kind not in ("batched_matmul", "grouped_matmul") or op.attrs.get("transpose_b"):
        return None
    maker = scope.maker(op.inputs[1])
    rank = 2 if op.kind == "batched_matmul" else 3
    swap = {2: "1,0", 3: "0,2,1"}[rank]
    source = op.inputs[1]
    swapped = maker is not None and maker.kind == "view" and maker.attrs.get("perm") == swap
    if maker is not None and swapped:
        source = maker.inputs[0]
    elif op.kind == "grouped_matmul":
        return None
    tensor = scope.tensor(source)
    if tensor.role != "weight" or len(tensor.shape) != rank:
        return None
    attrs = {key: value for key, value in op.attrs.items() if key != "weight_is_kn"}
    if not swapped:
        attrs["weight_is_kn"] = True
    kind = "matmul" if rank == 2 else op.kind
    made = replace(op, kind=kind, inputs=(op.inputs[0], source, *op.inputs[2:]), attrs=attrs)
    return None if made == op else Rewrite(made)


def experts_per_token(scope: Scope, op: Op) -> Rewrite | None:
    """A product per expert declares how many experts each token takes, read off its router."""
    if op.kind != "grouped_matmul" or "top_k" in op.attrs or len(op.inputs) < 3:
        return None
    maker = scope.maker(op.inputs[2])
    while maker is not None and maker.attrs.get("fn") != "topk":
        maker = scope.maker(maker.inputs[0]) if maker.inputs else None
    if maker is None:
        return None
    return Rewrite(replace(op, attrs={**op.attrs, "top_k": maker.attrs["k"]}))
