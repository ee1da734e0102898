"""Kinds that work element by element: arithmetic, activations, rotary embedding."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.graph.ops.table import OPS, Attrs, OpKind, Tensors

#: Vector primitives per output element of each function of ``elementwise``.
ELEMENTWISE: Mapping[str, Mapping[str, int]] = {
    "add": {"add": 1},
    "sub": {"sub": 1},
    "mul": {"mul": 1},
    "div": {"div": 1},
    "neg": {"neg": 1},
    "abs": {"abs": 1},
    "pow": {"log": 1, "mul": 1, "exp": 1},
    "square": {"mul": 1},
    "sqrt": {"sqrt": 1},
    "rsqrt": {"rsqrt": 1},
    "exp": {"exp": 1},
    "log": {"log": 1},
    "sin": {"sin": 1},
    "cos": {"cos": 1},
    "maximum": {"max": 1},
    "minimum": {"min": 1},
    "clamp": {"max": 1, "min": 1},
    "compare": {"compare": 1},
    "logical": {"compare": 1},
    "where": {"select": 1},
    "cast": {"convert": 1},
    "gated_silu": {"sigmoid": 1, "mul": 2},
    "gated_gelu": {"mul": 3, "erf": 1, "add": 1},
    "gated_gelu_tanh": {"mul": 5, "add": 2, "tanh": 1},
}

#: Vector primitives per element of each function of ``activation``.
ACTIVATIONS: Mapping[str, Mapping[str, int]] = {
    "relu": {"max": 1},
    "relu6": {"max": 1, "min": 1},
    "gelu": {"mul": 2, "erf": 1, "add": 1},
    "gelu_tanh": {"mul": 4, "add": 2, "tanh": 1},
    "quick_gelu": {"mul": 2, "sigmoid": 1},
    "silu": {"sigmoid": 1, "mul": 1},
    "sigmoid": {"sigmoid": 1},
    "tanh": {"tanh": 1},
    "hardswish": {"add": 1, "max": 1, "min": 1, "mul": 2},
    "hardsigmoid": {"add": 1, "max": 1, "min": 1, "mul": 1},
    "softplus": {"exp": 1, "log": 1, "add": 1},
}

#: Rotary embedding per element: two products, one sum, one sign.
ROTARY: Mapping[str, int] = {"mul": 2, "add": 1, "neg": 1}


def _scaled(per_element: Mapping[str, int], count: int) -> Mapping[str, int]:
    return {name: n * count for name, n in per_element.items()}


def _elementwise(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    return _scaled(ELEMENTWISE[str(attrs["fn"])], outs[0].numel)


def _activation(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    return _scaled(ACTIVATIONS[str(attrs["fn"])], outs[0].numel)


def _rotary(ins: Tensors, outs: Tensors, attrs: Attrs) -> Mapping[str, int]:
    return _scaled(ROTARY, sum(t.numel for t in outs))


def broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Return the common shape by the rules of NumPy, or None."""
    rank = max(len(shape) for shape in shapes)
    result = []
    for axis in range(rank):
        sizes = {s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0} - {1}
        if len(sizes) > 1:
            return None
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def _check_fn(known: Mapping[str, object], attrs: Attrs) -> str | None:
    fn = attrs.get("fn")
    return None if fn in known else f"no model for fn {fn!r} (known: {', '.join(known)})"


def _check_elementwise(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    wrong = _check_fn(ELEMENTWISE, attrs)
    if wrong or not ins:
        return wrong
    shape = broadcast([t.shape for t in ins])
    return None if shape == outs[0].shape else f"inputs broadcast to {shape}"


def _check_same(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    return None if ins[0].shape == outs[0].shape else "input and output differ in shape"


def _check_activation(ins: Tensors, outs: Tensors, attrs: Attrs) -> str | None:
    return _check_fn(ACTIVATIONS, attrs) or _check_same(ins, outs, attrs)


OPS.add(
    "elementwise",
    OpKind(
        "elementwise",
        "vector",
        f"broadcast arithmetic; fn is one of {', '.join(ELEMENTWISE)}",
        vector_work=_elementwise,
        check=_check_elementwise,
    ),
)
OPS.add(
    "activation",
    OpKind(
        "activation",
        "vector",
        f"fn is one of {', '.join(ACTIVATIONS)}",
        vector_work=_activation,
        check=_check_activation,
    ),
)
OPS.add(
    "rotary",
    OpKind(
        "rotary",
        "vector",
        "rotary position embedding of x[B, H, S, D] with cos and sin",
        vector_work=_rotary,
        check=_check_same,
    ),
)
