"""Element by element: arithmetic, activations, rotary embedding.

Every function of the vector unit rounds its result to FP32, and what an op leaves is rounded to
its tensor's format. Functions that are several in a model's own code (rotary embedding, gated
activation) round where that code does, so that a fused op has the bits of the spelled one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from accelsim.errors import InputError
from accelsim.sim.bindings.values import Array, Call, Value
from accelsim_kernels.nonlinear import activation, exp
from accelsim_kernels.rounding import PLAIN, round_to


def stored(values: Array, fmt: str) -> Array:
    """Return values in the number type in which they travel, rounded to their format."""
    if fmt in PLAIN:
        return round_to(np.ascontiguousarray(values, dtype=np.float32), fmt)
    return values.astype(DTYPES[fmt])


#: Types of everything that is not rounded.
DTYPES: Mapping[str, Any] = {
    "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64, "bool": np.bool_,
    "uint8": np.uint8, "fp64": np.float64,
}  # fmt: skip


def _wide(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Evaluate in FP64, where the platform's last bit does not reach FP32."""
    return lambda x: function(x.astype(np.float64)).astype(np.float32)


UNARY: Mapping[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": _wide(lambda x: 1.0 / np.sqrt(x)),
    "exp": exp,
    "log": _wide(np.log),
    "sin": _wide(np.sin),
    "cos": _wide(np.cos),
    "cast": lambda x: x,
}
BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
COMPARISONS: Mapping[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
}  # fmt: skip
GATES: Mapping[str, str] = {
    "gated_silu": "silu", "gated_gelu": "gelu", "gated_gelu_tanh": "gelu_tanh",
}  # fmt: skip


def _operands(call: Call) -> list[Array]:
    """Return tensors and the scalar in the order of the function's arguments."""
    found = [call.array(i) for i in range(len(call.values))]
    if "scalar" in call.op.attrs:
        scalar = call.op.attrs["scalar"]
        like = found[0].dtype
        # A number of Python takes the type that torch computes in.
        kept = like if np.issubdtype(like, np.floating) or isinstance(scalar, int) else np.float32
        found.insert(0 if call.op.attrs.get("scalar_first") else 1, np.asarray(scalar, kept))
    return found


def _computed(call: Call, fn: str) -> Array:
    given = _operands(call)
    if fn in UNARY:
        return UNARY[fn](given[0])
    if fn in BINARY and len(given) == 2 and "alpha" not in call.op.attrs:
        if call.op.attrs.get("rounding") == "floor":
            return np.floor_divide(*given)
        return BINARY[fn](*given)
    if fn in ("compare", "logical"):
        return _logic(call, given)
    if fn == "where":
        return _where(call, given)
    if fn == "clamp" and len(given) == 1:
        low, high = call.op.attrs.get("min"), call.op.attrs.get("max")
        return np.clip(given[0], low, high)
    raise InputError(f"{call.op.name}: no kernel for elementwise {fn} with {dict(call.op.attrs)}")


def _logic(call: Call, given: list[Array]) -> Array:
    op = str(call.op.attrs.get("op"))
    if op == "not":
        return np.logical_not(given[0])
    if op not in COMPARISONS or len(given) != 2:
        raise InputError(f"{call.op.name}: no kernel for comparison {op!r}")
    return COMPARISONS[op](*given)


def _where(call: Call, given: list[Array]) -> Array:
    attrs, rest = call.op.attrs, given[1:]
    if "op" in attrs:
        raise InputError(f"{call.op.name}: no kernel for {attrs['op']}")
    branches = [attrs[key] if key in attrs else rest.pop(0) for key in ("if_true", "if_false")]
    return np.where(given[0], *branches)


def elementwise(call: Call) -> Sequence[Value]:
    """Broadcast arithmetic."""
    fn = str(call.op.attrs["fn"])
    if fn in GATES:
        gate = activation(np.ascontiguousarray(call.array(0)), GATES[fn], call.format)
        return [stored(gate * call.array(1), call.format)]
    made = np.broadcast_to(_computed(call, fn), call.outputs[0].shape)
    return [stored(made, call.format)]


def activate(call: Call) -> Sequence[Value]:
    """An activation function of one operand."""
    x = np.ascontiguousarray(call.array(0))
    return [activation(x, str(call.op.attrs["fn"]), call.format)]


def rotary(call: Call) -> Sequence[Value]:
    """``x * cos + (-x2, x1) * sin`` with both products rounded, as a model spells it."""
    x, cosine, sine = (call.array(i) for i in range(3))
    half = x.shape[-1] // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    straight = stored(x * cosine, call.format)
    return [stored(straight + stored(turned * sine, call.format), call.format)]


POINTWISE: dict[str, Callable[[Call], Sequence[Value]]] = {
    "elementwise": elementwise,
    "activation": activate,
    "rotary": rotary,
}
