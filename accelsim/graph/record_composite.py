"""Functions that are several ops: spelled here with functions that the tables know."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from accelsim.graph.record_call import Refusal


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[tokens, batch, width] to [batch, heads, tokens, depth]."""
    tokens, batch, width = x.shape
    return x.reshape(tokens, batch, heads, width // heads).permute(1, 2, 0, 3)


def _projections(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, weight: Any, bias: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One product for self-attention, three otherwise, as torch does it."""
    if query is key and key is value:
        q, k, v = F.linear(query, weight, bias).chunk(3, dim=-1)
        return q, k, v
    weights = weight.chunk(3)
    biases = bias.chunk(3) if bias is not None else (None, None, None)
    q, k, v = (
        F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    return q, k, v


#: Positions of the arguments of ``multi_head_attention_forward``.
MHA_NAMES = (
    "query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias",
    "bias_k", "bias_v", "add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias",
)  # fmt: skip


def _multi_head_attention(*args: Any, **options: Any) -> tuple[torch.Tensor, None]:
    """``nn.MultiheadAttention`` without its seldom options, attention kept whole."""
    given = dict(zip(MHA_NAMES, args, strict=False)) | options
    for seldom in ("bias_k", "bias_v", "key_padding_mask"):
        if given.get(seldom) is not None:
            raise Refusal(f"multi_head_attention_forward with {seldom} has no model")
    query, heads, weight = given["query"], given["num_heads"], given["in_proj_weight"]
    if weight is None or query.dim() != 3 or given.get("add_zero_attn"):
        raise Refusal("multi_head_attention_forward needs one in_proj_weight and a batch")
    q, k, v = _projections(query, given["key"], given["value"], weight, given["in_proj_bias"])
    causal = bool(given.get("is_causal", False))
    mixed = F.scaled_dot_product_attention(
        _heads(q, heads), _heads(k, heads), _heads(v, heads),
        attn_mask=None if causal else given.get("attn_mask"), is_causal=causal,
    )  # fmt: skip
    merged = mixed.permute(2, 0, 1, 3).reshape(query.shape)
    return F.linear(merged, given["out_proj_weight"], given["out_proj_bias"]), None


def _glu(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    value, gate = x.chunk(2, dim=dim)
    return value * torch.sigmoid(gate)


def _baddbmm(
    input: torch.Tensor, batch1: torch.Tensor, batch2: torch.Tensor, *, beta: float = 1,
    alpha: float = 1,
) -> torch.Tensor:  # fmt: skip
    product = torch.bmm(batch1, batch2)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return scaled + (input if beta == 1 else input * beta)


def _addcmul(
    x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, value: float = 1
) -> torch.Tensor:
    product = a * b
    return x + (product if value == 1 else product * value)


def _normalize(
    x: torch.Tensor, p: float = 2.0, dim: int = -1, eps: float = 1e-12, out: None = None
) -> torch.Tensor:
    if p != 2.0:
        raise Refusal("normalize is modelled for p=2")
    length = torch.sqrt(torch.square(x).sum(dim, keepdim=True))
    return x / torch.clamp(length, min=eps)


def _iterate(x: torch.Tensor) -> Iterator[torch.Tensor]:
    return iter(x.unbind(0))


def _einsum(equation: str, *operands: Any) -> torch.Tensor:
    """Two operands as one batched product of permuted views."""
    listed = len(operands) == 1 and isinstance(operands[0], (list, tuple))
    given = operands[0] if listed else operands
    terms, _, result = equation.replace(" ", "").partition("->")
    names = terms.split(",")
    if len(given) != 2 or len(names) != 2 or "." in equation or not result:
        raise Refusal(f"einsum {equation!r}: two operands and an explicit result are modelled")
    left, right = names
    batch = [n for n in left if n in right and n in result]
    inner = [n for n in left if n in right and n not in result]
    rows = [n for n in left if n not in right]
    columns = [n for n in right if n not in left]
    if set(rows + columns + batch) != set(result) or len(set(left)) != len(left):
        raise Refusal(f"einsum {equation!r} sums an index of one operand: write it as a sum")
    sizes = dict(zip(left, given[0].shape, strict=True))
    sizes |= dict(zip(right, given[1].shape, strict=True))
    a = _grouped(given[0], left, (batch, rows, inner), sizes)
    b = _grouped(given[1], right, (batch, inner, columns), sizes)
    made = batch + rows + columns
    full = torch.matmul(a, b).reshape([sizes[n] for n in made])
    return full.permute([made.index(n) for n in result])


def _grouped(
    x: torch.Tensor, names: str, groups: tuple[list[str], ...], sizes: Mapping[str, int]
) -> torch.Tensor:
    """Bring axes into the order of the groups; all but the first group become one axis each."""
    order = [names.index(n) for group in groups for n in group]
    shape = [sizes[n] for n in groups[0]]
    shape += [math.prod(sizes[n] for n in group) for group in groups[1:]]
    return x.permute(order).reshape(shape)


#: Name of a torch function to its spelling.
COMPOSITES: Mapping[str, Callable[..., Any]] = {
    "multi_head_attention_forward": _multi_head_attention,
    "glu": _glu,
    "baddbmm": _baddbmm,
    "addcmul": _addcmul,
    "normalize": _normalize,
    "einsum": _einsum,
    "__iter__": _iterate,
}
