"""Straight-through gradients of the operators of torch.

They take and return tensors of torch, of which they use methods alone, so nothing is imported.
``ctx`` holds the tensors that the operator was called with, and its ``arguments``, in which
tensors are None.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from accelsim_kernels.affine import limits
from accelsim_kernels.attention_gradient import Options, attention_gradient
from accelsim_kernels.codec import decode, encode
from accelsim_kernels.quantize import QMAX

#: Of the leading arguments; the others get none.
Gradients = tuple[Any, ...]


@cache
def _ends(fmt: str) -> tuple[float, float]:
    """Return the least and the largest number of a format."""
    ends = decode(encode(np.array([-np.inf, np.inf], np.float32), fmt), fmt)
    return float(ends[0]), float(ends[1])


def rows(x: Any) -> Any:
    """Return a tensor as a matrix of rows."""
    return x.reshape(-1, x.shape[-1]) if x.dim() != 2 else x


def cast_backward(ctx: Any, grad: Any) -> Gradients:
    """Pass from the format's least to its largest number."""
    (x,), (low, high) = ctx.saved_tensors, _ends(ctx.arguments[1])
    return ((grad * ((x >= low) & (x <= high))).to(x.dtype),)


def fake_quantize_backward(ctx: Any, grad: Any) -> Gradients:
    """Pass where no code is clipped."""
    x, scales = ctx.saved_tensors
    passes = rows(x).abs() <= scales[:, None] * QMAX[ctx.arguments[2]]
    return ((grad * passes.reshape(x.shape)).to(x.dtype),)


def identity(ctx: Any, grad: Any) -> Gradients:
    """Pass everywhere: scales of blocks follow their largest magnitude."""
    (x,) = ctx.saved_tensors
    return (grad.to(x.dtype),)


def affine_backward(ctx: Any, grad: Any) -> Gradients:
    """Pass where no code is clipped."""
    (x, scales, points), (fmt, group) = ctx.saved_tensors, ctx.arguments[3:5]
    flat, (low, high) = rows(x), limits(fmt)
    if scales.dim() == 1:
        scales, points = scales[:, None], points[:, None]
    elif group:
        scales, points = (
            s.repeat_interleave(group, 1)[:, : flat.shape[1]] for s in (scales, points)
        )
    codes = (flat / scales).round() + points
    passes = (codes >= low) & (codes <= high)
    return ((grad * passes.reshape(x.shape)).to(x.dtype),)


def product_backward(ctx: Any, grad: Any) -> Gradients:
    """Return the gradients of ``a b^T``, as numbers."""
    a, b, *_ = ctx.saved_tensors
    wide = grad.float()
    for_a = (wide @ b.float()).to(a.dtype) if ctx.needs_input_grad[0] else None
    for_b = (wide.T @ a.float()).to(b.dtype) if ctx.needs_input_grad[1] else None
    return for_a, for_b


def attention_backward(ctx: Any, grad: Any) -> Gradients:
    """Return those of softmax attention."""
    q, k, v, *mask = ctx.saved_tensors
    scale, causal, window, softcap = ctx.arguments[4:8]
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    options = Options(factor, causal, window, softcap)
    return attention_gradient(grad, (q, k, v, mask[0] if mask else None), options)
