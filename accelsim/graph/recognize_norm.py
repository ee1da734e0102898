"""Rules for norms that a model spells as arithmetic instead of calling a module."""

from __future__ import annotations

from accelsim.graph.ir import Attr, Op
from accelsim.graph.rewrite import Rewrite, Scope


def _step_over(scope: Scope, name: str, fn: str) -> tuple[str, list[Op]]:
    op = scope.private(name, "elementwise", fn=fn)
    return (name, []) if op is None else (op.inputs[0], [op])


def _reciprocal_root(scope: Scope, name: str) -> tuple[str, list[Op]] | None:
    """Match ``rsqrt(mean_of_squares + eps)`` and return the squared tensor and the ops."""
    root = scope.private(name, "elementwise", fn="rsqrt")
    if root is None:
        return None
    shifted = scope.private(root.inputs[0], "elementwise", fn="add")
    if shifted is None or len(shifted.inputs) != 1 or "scalar" not in shifted.attrs:
        return None
    mean = scope.private(shifted.inputs[0], "reduce", fn="mean")
    if mean is None:
        return None
    squared = scope.private(mean.inputs[0], "elementwise", fn="square")
    if squared is None:
        return None
    last = str(len(scope.tensor(mean.inputs[0]).shape) - 1)
    if mean.attrs.get("axes") != last:
        return None
    return squared.inputs[0], [root, shifted, mean, squared]


def _normalized(scope: Scope, op: Op) -> tuple[str, list[Op]] | None:
    """Match ``x * rsqrt(mean(x^2) + eps)`` with any op as its last step."""
    if op.kind != "elementwise" or op.attrs.get("fn") != "mul" or len(op.inputs) != 2:
        return None
    for source, root in (op.inputs, tuple(reversed(op.inputs))):
        match = _reciprocal_root(scope, root)
        if match is not None and match[0] == source:
            return source, match[1]
    return None


def _read_only_by(scope: Scope, name: str, ops: list[Op]) -> bool:
    readers = {scope.graph.ops[i].name for i in scope.graph.consumers[name]}
    return name not in scope.kept and readers <= {op.name for op in ops}


def _epsilon(ops: list[Op]) -> dict[str, Attr]:
    return next(({"eps": op.attrs["scalar"]} for op in ops if "scalar" in op.attrs), {})


def _made(op: Op, fn: str, inputs: tuple[str, ...], row: int, inner: list[Op]) -> Rewrite:
    label = f"{op.module}.{fn}" if op.module else fn
    attrs: dict[str, Attr] = {"fn": fn, "row": row, **_epsilon(inner)}
    return Rewrite(Op(label, "norm", inputs, op.outputs, attrs, op.module), inner)


def spelled_rms_norm(scope: Scope, op: Op) -> Rewrite | None:
    """``weight * cast(x * rsqrt(mean(x^2) + eps))``, in fp32 inside, is one rms_norm."""
    if op.kind != "elementwise" or op.attrs.get("fn") != "mul" or len(op.inputs) != 2:
        return None
    for weight, body in (op.inputs, tuple(reversed(op.inputs))):
        row = scope.tensor(weight).shape
        if scope.tensor(weight).role != "weight" or len(row) != 1:
            continue
        name, casts = _step_over(scope, body, "cast")
        scaled = scope.private(name, "elementwise", fn="mul")
        match = None if scaled is None else _normalized(scope, scaled)
        if scaled is None or match is None or scope.tensor(match[0]).shape[-1:] != row:
            continue
        source, inner = match
        if _centred(scope, source) is not None:  # a layer norm, whose rule comes to it
            continue
        consumed = [*casts, scaled, *inner]
        wide = scope.maker(source)
        cast = wide is not None and wide.attrs.get("fn") == "cast"
        if wide is not None and cast and _read_only_by(scope, source, consumed):
            source, consumed = wide.inputs[0], [*consumed, wide]
        if scope.tensor(source).shape != scope.tensor(op.outputs[0]).shape:
            continue
        return _made(op, "rms_norm", (source, weight), row[0], consumed)
    return None


def _centred(scope: Scope, name: str) -> tuple[str, list[Op]] | None:
    """Match ``x - mean(x)`` and return x and the ops."""
    op = scope.maker(name)
    if op is None or op.kind != "elementwise" or op.attrs.get("fn") != "sub" or len(op.inputs) != 2:
        return None
    mean = scope.private(op.inputs[1], "reduce", fn="mean")
    if mean is None or mean.inputs[0] != op.inputs[0]:
        return None
    return op.inputs[0], [op, mean]


def spelled_layer_norm(scope: Scope, op: Op) -> Rewrite | None:
    """``(x - mean) * rsqrt(mean((x - mean)^2) + eps) * weight + bias`` is one layer_norm."""
    if op.kind != "elementwise" or op.attrs.get("fn") != "add" or len(op.inputs) != 2:
        return None
    for bias, product in (op.inputs, tuple(reversed(op.inputs))):
        outer = scope.private(product, "elementwise", fn="mul")
        if scope.tensor(bias).role != "weight" or outer is None or len(outer.inputs) != 2:
            continue
        for weight, body in (outer.inputs, tuple(reversed(outer.inputs))):
            scaled = scope.private(body, "elementwise", fn="mul")
            match = None if scaled is None else _normalized(scope, scaled)
            centred = None if match is None else _centred(scope, match[0])
            if scaled is None or match is None or centred is None:
                continue
            consumed = [outer, scaled, *match[1], *centred[1]]
            shape, row = scope.tensor(op.outputs[0]).shape, scope.tensor(weight).shape
            fits = scope.tensor(centred[0]).shape == shape and row == shape[-1:]
            fits = fits and scope.tensor(weight).role == "weight"
            if fits and _read_only_by(scope, match[0], consumed):
                return _made(op, "layer_norm", (centred[0], weight, bias), row[0], consumed)
    return None
