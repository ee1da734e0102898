"""The table of torch functions: which op each of them is, and with which attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from accelsim.graph.ir import Attr
from accelsim.graph.record_call import Call, Draft, Refusal, Rule, axes_text, axis_of
from accelsim.graph.record_contract import contract_rules, mask_is_causal
from accelsim.graph.record_layout import layout_rules

#: Functions that only ask, or that steer torch: they compute nothing.
QUERIES = frozenset({
    "shape", "size", "dim", "ndim", "ndimension", "dtype", "device", "layout", "numel", "nelement",
    "is_floating_point", "is_complex", "is_contiguous", "is_cuda", "is_meta", "is_cpu", "is_mps",
    "is_xla", "is_xpu", "is_hpu", "is_mtia", "is_npu", "is_quantized", "is_sparse", "is_nested",
    "is_leaf", "is_inference", "is_pinned", "requires_grad", "grad", "grad_fn", "names", "stride",
    "storage_offset", "element_size", "itemsize", "nbytes", "data_ptr", "get_device", "__len__",
    "__hash__", "__repr__", "__format__", "__str__", "_version", "_is_view", "result_type",
    "is_tensor", "can_cast", "promote_types", "is_autocast_enabled", "_set_grad_enabled",
    "set_default_dtype", "get_default_dtype", "is_shared", "untyped_storage", "has_names",
    "is_same_size", "__dlpack_device__", "is_neg", "is_conj", "is_signed", "output_nr", "_base",
    "get_default_device", "_has_compatible_shallow_copy_type", "retains_grad", "dim_order",
})  # fmt: skip

#: Functions of one or two operands and the ``fn`` of the ``elementwise`` op.
BINARY: Mapping[str, str] = {
    "add": "add", "__add__": "add", "__radd__": "add", "__iadd__": "add",
    "sub": "sub", "subtract": "sub", "__sub__": "sub", "__isub__": "sub", "rsub": "sub",
    "__rsub__": "sub", "mul": "mul", "multiply": "mul", "__mul__": "mul", "__rmul__": "mul",
    "__imul__": "mul", "div": "div", "divide": "div", "true_divide": "div", "__truediv__": "div",
    "__div__": "div", "__rdiv__": "div", "__rtruediv__": "div", "__itruediv__": "div",
    "__idiv__": "div", "floor_divide": "div", "__floordiv__": "div", "__rfloordiv__": "div",
    "maximum": "maximum", "minimum": "minimum",
}  # fmt: skip
REVERSED = frozenset({"rsub", "__rsub__", "__rdiv__", "__rtruediv__", "__rpow__", "__rfloordiv__"})
FLOORED = frozenset({"floor_divide", "__floordiv__", "__rfloordiv__"})
UNARY: Mapping[str, str] = {
    "neg": "neg", "negative": "neg", "__neg__": "neg", "abs": "abs", "absolute": "abs",
    "square": "square", "sqrt": "sqrt", "rsqrt": "rsqrt", "exp": "exp", "log": "log", "sin": "sin",
    "cos": "cos", "__abs__": "abs",
}  # fmt: skip
COMPARE: Mapping[str, str] = {
    "eq": "eq", "__eq__": "eq", "ne": "ne", "__ne__": "ne", "lt": "lt", "__lt__": "lt",
    "less": "lt", "le": "le", "__le__": "le", "less_equal": "le", "gt": "gt", "__gt__": "gt",
    "greater": "gt", "ge": "ge", "__ge__": "ge", "greater_equal": "ge", "not_equal": "ne",
    "isinf": "isinf", "isnan": "isnan", "isfinite": "isfinite",
}  # fmt: skip
LOGICAL: Mapping[str, str] = {
    "logical_and": "and", "__and__": "and", "bitwise_and": "and", "__iand__": "and",
    "logical_or": "or", "__or__": "or", "bitwise_or": "or", "__ior__": "or", "__rand__": "and",
    "logical_not": "not", "__invert__": "not", "bitwise_not": "not", "logical_xor": "xor",
    "__xor__": "xor", "__ror__": "or",
}  # fmt: skip
ACTIVATION: Mapping[str, str] = {
    "relu": "relu", "relu6": "relu6", "gelu": "gelu", "silu": "silu", "sigmoid": "sigmoid",
    "tanh": "tanh", "hardswish": "hardswish", "hardsigmoid": "hardsigmoid", "softplus": "softplus",
}  # fmt: skip
REDUCE: Mapping[str, str] = {
    "sum": "sum", "mean": "mean", "max": "max", "amax": "max", "min": "min", "amin": "min",
    "all": "all", "any": "any", "argmax": "argmax", "cumsum": "cumsum",
}  # fmt: skip
FILL: Mapping[str, str] = {
    "arange": "arange", "zeros": "full", "ones": "full", "full": "full", "empty": "full",
    "zeros_like": "full", "ones_like": "full", "full_like": "full", "empty_like": "full",
    "new_zeros": "full", "new_ones": "full", "new_full": "full", "new_empty": "full",
    "scalar_tensor": "full", "linspace": "linspace", "eye": "eye", "zero": "full", "fill": "full",
}  # fmt: skip
CAST = frozenset({
    "to", "type", "type_as", "float", "half", "bfloat16", "double", "int", "long", "bool", "short",
    "byte", "char", "cpu", "cuda",
})  # fmt: skip
#: Powers that have a cheaper op of their own.
POWERS: Mapping[float, str] = {2: "square", 0.5: "sqrt", -0.5: "rsqrt"}


def _operands(call: Call, count: int) -> tuple[tuple[torch.Tensor, ...], dict[str, Attr]]:
    """Split operands into tensors and a Python scalar, which becomes an attribute."""
    given = [call.arg(0, "input"), *(call.arg(i, "other") for i in range(1, count))]
    tensors = tuple(value for value in given if isinstance(value, torch.Tensor))
    attrs: dict[str, Attr] = {}
    for position, value in enumerate(given):
        if isinstance(value, (int, float)):
            attrs["scalar"] = value
            if position == 0:
                attrs["scalar_first"] = True
    return tensors, attrs


def _binary(call: Call) -> Draft:
    tensors, attrs = _operands(call, 2)
    if call.name in REVERSED:
        if "scalar" in attrs:
            attrs["scalar_first"] = True
        tensors = tuple(reversed(tensors))
    alpha = call.kwargs.get("alpha", 1)
    if alpha != 1:
        attrs["alpha"] = alpha
    if call.name in FLOORED or call.kwargs.get("rounding_mode") == "floor":
        attrs["rounding"] = "floor"
    return Draft("elementwise", tensors, {"fn": BINARY[call.name], **attrs})


def _unary(call: Call) -> Draft:
    return Draft("elementwise", (call.x,), {"fn": UNARY[call.name]})


def _pow(call: Call) -> Draft:
    tensors, attrs = _operands(call, 2)
    exponent = attrs.get("scalar")
    if call.name == "__rpow__":
        attrs["scalar_first"] = True
    first = bool(attrs.get("scalar_first"))
    if isinstance(exponent, (int, float)) and not first and exponent in POWERS:
        return Draft("elementwise", tensors, {"fn": POWERS[exponent]})
    return Draft("elementwise", tensors, {"fn": "pow", **attrs})


def _compare(call: Call) -> Draft:
    tensors, attrs = _operands(call, 2)
    return Draft("elementwise", tensors, {"fn": "compare", "op": COMPARE[call.name], **attrs})


def _logical(call: Call) -> Draft:
    tensors, attrs = _operands(call, 2)
    return Draft("elementwise", tensors, {"fn": "logical", "op": LOGICAL[call.name], **attrs})


def _where(call: Call) -> Draft:
    if len(call.args) < 3:
        raise Refusal("where(condition) alone makes a size that depends on values")
    attrs: dict[str, Attr] = {"fn": "where"}
    for value, name in zip(call.args[1:3], ("if_true", "if_false"), strict=True):
        if not isinstance(value, torch.Tensor):
            attrs[name] = value
    tensors = tuple(value for value in call.args[:3] if isinstance(value, torch.Tensor))
    return Draft("elementwise", tensors, attrs)


def _masked_fill(call: Call) -> Draft:
    mask, value = call.arg(1, "mask"), call.arg(2, "value")
    if isinstance(value, torch.Tensor):
        return Draft("elementwise", (mask, value, call.x), {"fn": "where"})
    attrs: dict[str, Attr] = {"fn": "where", "if_true": value}
    if mask.dim() >= 2 and mask_is_causal(~mask, *mask.shape[-2:]):
        attrs["hides"] = "future"
    return Draft("elementwise", (mask, call.x), attrs)


def _clamp(call: Call) -> Draft:
    bounds = {
        name: call.arg(position, name)
        for position, name in ((1, "min"), (2, "max"))
        if call.arg(position, name) is not None
    }
    tensors = [value for value in bounds.values() if isinstance(value, torch.Tensor)]
    attrs = {n: v for n, v in bounds.items() if not isinstance(v, torch.Tensor)}
    return Draft("elementwise", (call.x, *tensors), {"fn": "clamp", **attrs})


def _triangle(call: Call) -> Draft:
    attrs: dict[str, Attr] = {"fn": "where", "op": call.name}
    return Draft("elementwise", (call.x,), attrs | {"diagonal": call.arg(1, "diagonal", 0)})


def _activation(call: Call) -> Draft:
    fn = ACTIVATION[call.name]
    if call.name == "gelu" and call.arg(1, "approximate", "none") == "tanh":
        fn = "gelu_tanh"
    return Draft("activation", (call.x,), {"fn": fn})


def _hardtanh(call: Call) -> Draft:
    low, high = float(call.arg(1, "min_val", -1.0)), float(call.arg(2, "max_val", 1.0))
    if (low, high) == (0.0, 6.0):
        return Draft("activation", (call.x,), {"fn": "relu6"}, "relu6")
    return Draft("elementwise", (call.x,), {"fn": "clamp", "min": low, "max": high})


def _reduce(call: Call) -> Draft:
    other = call.arg(1, "other")
    if call.name in ("max", "min") and isinstance(other, torch.Tensor):
        fn = "maximum" if call.name == "max" else "minimum"
        return Draft("elementwise", (call.x, other), {"fn": fn})
    axes = axes_text(call.arg(1, "dim"), call.x.dim())
    attrs: dict[str, Attr] = {"fn": REDUCE[call.name], "axes": axes}
    if call.arg(2, "keepdim", False) is True:
        attrs["keepdim"] = True
    return Draft("reduce", (call.x,), attrs)


def _select(call: Call) -> Draft:
    """``topk`` and ``sort``: values and indices."""
    if call.name == "topk":
        attrs: dict[str, Attr] = {"fn": "topk", "k": int(call.arg(1, "k"))}
        axis = call.arg(2, "dim", -1)
    else:
        attrs, axis = {"fn": "sort"}, call.arg(1, "dim", -1)
    at = axis_of(axis if isinstance(axis, int) else -1, call.x.dim())
    return Draft("reduce", (call.x,), attrs | {"axes": str(at), "row": call.x.shape[at]})


def _histogram(call: Call) -> Draft:
    return Draft("reduce", (call.x,), {"fn": "histogram", "bins": int(call.arg(1, "bins"))})


def _softmax(call: Call) -> Draft:
    axis = axis_of(int(call.arg(1, "dim", -1)), call.x.dim())
    return Draft("softmax", (call.x,), {"row": call.x.shape[axis], "axis": axis})


def _fill(call: Call) -> Draft:
    attrs: dict[str, Attr] = {"fn": FILL[call.name]}
    if call.name == "arange":
        numbers = [value for value in call.args if isinstance(value, (int, float))]
        attrs["start"] = numbers[0] if len(numbers) > 1 else call.kwargs.get("start", 0)
        attrs["step"] = numbers[2] if len(numbers) > 2 else call.kwargs.get("step", 1)
    elif attrs["fn"] == "full":
        value: Any = 1 if "ones" in call.name else 0
        if "full" in call.name or call.name in ("fill", "scalar_tensor"):
            value = call.kwargs.get("fill_value", call.args[-1] if call.args else 0)
        attrs["value"] = value if isinstance(value, (int, float, bool)) else 0
    return Draft("fill", (), attrs)


def _cast(call: Call) -> Draft | None:
    if call.out is call.x:
        return None
    if call.out.dtype == call.x.dtype:
        return Draft("view", (call.x,), {"fn": "reshape"})
    return Draft("elementwise", (call.x,), {"fn": "cast"}, "cast")


def _copy_into(call: Call) -> Draft:
    """``x.copy_(y)``: the new bytes of x, cast and broadcast on the way."""
    source = call.arg(1, "src")
    same = source.dtype == call.x.dtype
    if same and source.shape == call.x.shape:
        return Draft("copy", (source,), {"fn": "clone"}, outputs=(call.x,))
    return Draft("elementwise", (source,), {"fn": "cast"}, outputs=(call.x,))


def _rows() -> dict[str, Rule]:
    """Return the rules of the functions that stand in a table above."""
    tables: tuple[tuple[Any, Rule], ...] = (
        (BINARY, _binary), (UNARY, _unary), (COMPARE, _compare), (LOGICAL, _logical),
        (ACTIVATION, _activation), (REDUCE, _reduce), (FILL, _fill), (CAST, _cast),
    )  # fmt: skip
    return {name: rule for table, rule in tables for name in table}


#: Every torch function that has a model, by its name without the trailing underscore.
FUNCTIONS: Mapping[str, Rule] = {
    **_rows(),
    **layout_rules(),
    **contract_rules(),
    "pow": _pow, "__pow__": _pow, "__rpow__": _pow, "where": _where, "masked_fill": _masked_fill,
    "clamp": _clamp, "clip": _clamp, "clamp_min": _clamp, "tril": _triangle, "triu": _triangle,
    "softmax": _softmax, "hardtanh": _hardtanh, "topk": _select, "sort": _select,
    "argsort": _select, "histc": _histogram, "copy": _copy_into,
}  # fmt: skip
