"""The gradient of attention, straight through its arithmetic: that of softmax in real numbers.

Takes and returns tensors of torch, of which it uses methods alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Options(NamedTuple):
    """What attention was called with."""

    scale: float
    causal: bool
    window: int
    softcap: float


def _hidden(scores: Any, mask: Any, options: Options) -> Any:
    """Return the mask of the keys that are not seen ``[S, T]`` or broader, or None."""
    queries, keys = scores.shape[-2:]
    hidden = None if mask is None else (mask.isneginf() if mask.is_floating_point() else ~mask)
    if options.causal:
        ones = scores.new_ones((queries, keys)).bool()
        late = ones.triu(keys - queries + 1)
        if options.window:
            late = late | ones.tril(keys - queries - options.window)
        hidden = late if hidden is None else hidden | late
    return hidden


def attention_gradient(
    grad: Any, tensors: tuple[Any, Any, Any, Any], options: Options
) -> tuple[Any, Any, Any]:
    """Return the gradients of q, k and v ``[B, H or G, tokens, depth]``, computed in float32.

    Args:
        grad: of the result ``[B, H, S, E]``.
        tensors: q, k, v and the mask or None, as attention takes them.
        options: the rest.
    """
    q, k, v, mask = tensors
    group = q.shape[1] // k.shape[1]
    wide_q, wide_grad = q.float(), grad.float()
    wide_k, wide_v = (x.float().repeat_interleave(group, 1) for x in (k, v))
    scores = wide_q @ wide_k.transpose(-1, -2) * options.scale
    slope = None
    if options.softcap > 0.0:
        bent = (scores / options.softcap).tanh()
        scores, slope = options.softcap * bent, 1.0 - bent * bent
    if mask is not None and mask.is_floating_point():
        scores = scores + mask
    hidden = _hidden(scores, mask, options)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -float("inf"))
    # A query that sees no key has the row 0 / 0: its weights are zero.
    weights = scores.softmax(-1).nan_to_num(0.0)
    grad_v = weights.transpose(-1, -2) @ wide_grad
    inner = wide_grad @ wide_v.transpose(-1, -2)
    moved = weights * (inner - (inner * weights).sum(-1, keepdim=True))
    moved = (moved if slope is None else moved * slope) * options.scale
    grad_q, grad_k = moved @ wide_k, moved.transpose(-1, -2) @ wide_q
    shape = (k.shape[0], k.shape[1], group)
    grad_k, grad_v = (x.reshape(*shape, *x.shape[2:]).sum(2) for x in (grad_k, grad_v))
    return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype)
