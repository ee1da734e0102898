"""Functions that the array executes, and those that look along a row or a window."""

from __future__ import annotations

import math
from typing import Any

import torch

from accelsim.graph.ir import Attr
from accelsim.graph.record_call import Call, Draft, Refusal, Rule, pair


def _linear(call: Call) -> Draft:
    bias = call.arg(2, "bias")
    operands = (call.x, call.arg(1, "weight"), *((bias,) if bias is not None else ()))
    return Draft("matmul", operands)


def _matmul(call: Call) -> Draft:
    b = call.arg(1, "other", call.arg(1, "mat2", call.arg(1, "tensor")))
    if call.x.dim() < 2 or b.dim() < 2:
        raise Refusal("a product with a vector has no model; unsqueeze it to a matrix")
    if isinstance(b, torch.nn.Parameter) and b.dim() == 2:
        return Draft("matmul", (call.x, b), {"weight_is_kn": True})
    return Draft("batched_matmul", (call.x, b))


def _addmm(call: Call) -> Draft:
    """``addmm(bias, x, weight)``: how GPT-2 spells a linear layer with a [K, N] weight."""
    if call.kwargs.get("beta", 1) != 1 or call.kwargs.get("alpha", 1) != 1:
        raise Refusal("addmm with alpha or beta has no model")
    bias, x, weight = call.args[:3]
    return Draft("matmul", (x, weight, bias), {"weight_is_kn": True})


def _grouped(call: Call) -> Draft:
    """Each row times the weight of its expert; rows are sorted by expert."""
    weight, offsets = call.arg(1, "mat_b", call.arg(1, "weight")), call.kwargs.get("offs")
    if call.x.dim() != 2 or weight.dim() != 3 or offsets is None:
        raise Refusal("grouped_mm is modelled for rows [S, K], weights [E, K, N] and offsets")
    operands = (call.x, weight, offsets)
    return Draft("grouped_matmul", operands, {"experts": weight.shape[0], "weight_is_kn": True})


def _conv(call: Call) -> Draft:
    stride, dilation = pair(call.arg(3, "stride", 1)), pair(call.arg(5, "dilation", 1))
    weight, bias, padding = call.arg(1, "weight"), call.arg(2, "bias"), call.arg(4, "padding", 0)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[-2:], strict=True)]
        if any(r % 2 for r in reach):
            raise Refusal("padding='same' with an even kernel pads one side more: pad explicitly")
        padding = tuple(r // 2 for r in reach)
    pads = pair(0 if padding == "valid" else padding)
    attrs: dict[str, Attr] = {"groups": int(call.arg(6, "groups", 1))}
    for i, side in enumerate("hw"):
        attrs[f"stride_{side}"], attrs[f"padding_{side}"] = stride[i], pads[i]
        attrs[f"dilation_{side}"] = dilation[i]
    return Draft("conv2d", (call.x, weight, *((bias,) if bias is not None else ())), attrs)


def _embedding(call: Call) -> Draft:
    """Torch puts the indices first in the function and the table first in our op."""
    return Draft("gather", (call.arg(1, "weight"), call.x), {"fn": "rows"})


def _index_select(call: Call) -> Draft:
    axis, index = call.arg(1, "dim"), call.arg(2, "index")
    if call.name == "index_select" and axis == 0:
        return Draft("gather", (call.x, index), {"fn": "rows"})
    return Draft("gather", (call.x, index), {"fn": "elements", "axis": axis})


def _attention(call: Call) -> Draft:
    """One op for the whole of attention, with as many key heads as there are."""
    q, k, v = call.x, call.arg(1, "key"), call.arg(2, "value")
    mask, causal = call.arg(3, "attn_mask"), bool(call.arg(5, "is_causal", False))
    scale = call.arg(6, "scale")
    if q.dim() != 4:
        raise Refusal("attention is modelled on [batch, heads, tokens, depth]: add an axis")
    if causal and q.shape[2] != k.shape[2]:
        raise Refusal("is_causal with more keys than queries counts from the first: slice")
    attrs: dict[str, Attr] = {"causal": causal}
    attrs["scale"] = float(scale) if scale is not None else 1.0 / math.sqrt(q.shape[-1])
    if mask is None:
        return Draft("attention", (q, k, v), attrs, "attention")
    if mask_is_causal(mask, q.shape[2], k.shape[2]):
        return Draft("attention", (q, k, v), attrs | {"causal": True}, "attention")
    return Draft("attention", (q, k, v, mask), attrs, "attention")


def mask_is_causal(mask: torch.Tensor, queries: int, keys: int) -> bool:
    """Tell whether a mask with values is the lower triangle that ends at the last key."""
    if mask.is_meta or queries < 2 or tuple(mask.shape[-2:]) != (queries, keys):
        return False
    seen = mask if mask.dtype == torch.bool else mask == 0
    triangle = torch.ones(queries, keys, dtype=torch.bool, device=mask.device)
    return bool((seen == triangle.tril(keys - queries)).all())


def _pool(call: Call) -> Draft:
    kernel = pair(call.arg(1, "kernel_size"))
    stride, padding = pair(call.arg(2, "stride") or kernel), pair(call.arg(3, "padding", 0))
    fn = "max_pool" if "max" in call.name else "avg_pool"
    attrs: dict[str, Attr] = {"fn": fn, "window": math.prod(kernel)}
    for i, side in enumerate("hw"):
        attrs[f"kernel_{side}"], attrs[f"stride_{side}"] = kernel[i], stride[i]
        attrs[f"padding_{side}"] = padding[i]
    return Draft("reduce", (call.x,), attrs)


def _adaptive(call: Call) -> Draft:
    axes = 1 if call.name.endswith("1d") else 2
    window = math.prod(
        -(-before // after)
        for before, after in zip(call.x.shape[-axes:], call.out.shape[-axes:], strict=True)
    )
    return Draft("reduce", (call.x,), {"fn": "avg_pool", "window": window, "adaptive": True})


def _norm(call: Call) -> Draft:
    """Functional norms; modules are recognized at their boundary and do not come here."""
    fn = {"layer_norm": "layer_norm", "rms_norm": "rms_norm", "group_norm": "group_norm",
          "batch_norm": "batch_norm"}[call.name]  # fmt: skip
    names = {"batch_norm": ("weight", "bias", "running_mean", "running_var")}
    scale: list[Any] = [call.kwargs.get(name) for name in names.get(fn, ("weight", "bias"))]
    places = {"batch_norm": (3, 4, 1, 2), "rms_norm": (2,)}.get(fn, (2, 3))
    for i, place in enumerate(places):
        scale[i] = scale[i] if scale[i] is not None else call.arg(place, "")
    row = 1
    if fn in ("layer_norm", "rms_norm"):
        row = math.prod(call.arg(1, "normalized_shape"))
    elif fn == "group_norm":
        row = math.prod(call.x.shape[1:]) // int(call.arg(1, "num_groups"))
    given = tuple(part for part in scale if isinstance(part, torch.Tensor))
    return Draft("norm", (call.x, *given), {"fn": fn, "row": row})


def contract_rules() -> dict[str, Rule]:
    """Return the rule of every function of this file."""
    rules: dict[str, Rule] = dict.fromkeys(("matmul", "mm", "bmm", "__matmul__"), _matmul)
    rules |= dict.fromkeys(("grouped_mm", "_grouped_mm"), _grouped)
    rules |= dict.fromkeys(("conv2d",), _conv)
    rules |= dict.fromkeys(("index_select", "gather", "take_along_dim"), _index_select)
    rules |= dict.fromkeys(("max_pool2d", "avg_pool2d", "_max_pool2d"), _pool)
    rules |= dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), _adaptive)
    rules |= dict.fromkeys(("layer_norm", "rms_norm", "group_norm", "batch_norm"), _norm)
    return rules | {
        "linear": _linear, "addmm": _addmm, "embedding": _embedding,
        "scaled_dot_product_attention": _attention,
    }  # fmt: skip
