"""From scores to what stays: heads with their groups, channels, width and layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.structured.family import FFN, HIDDEN, KEY, QUERY, Axis
from accelsim.compress.structured.importance import Scores
from accelsim.compress.structured.plan import PrunePlan, Sizes

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """What stays, in ascending order.

    Attributes:
        layers: numbers of layers.
        kv_heads, queries: by layer of the whole model: heads of keys and values, and query heads.
        ffn: by layer of the whole model: channels.
        hidden: channels of the residual stream.
        head_dim: channels of a head.
    """

    layers: tuple[int, ...]
    kv_heads: dict[int, Indices]
    queries: dict[int, Indices]
    ffn: dict[int, Indices]
    hidden: Indices
    head_dim: int

    def along(self, axis: Axis, layer: int | None) -> Indices | None:
        """Return what stays along an axis of a tensor; None: everything."""
        if axis == HIDDEN:
            return self.hidden
        if axis is None or layer is None:
            return None
        if axis == FFN:
            return self.ffn[layer]
        heads = self.queries[layer] if axis == QUERY else self.kv_heads[layer]
        if axis not in (QUERY, KEY):
            raise ValueError(f"axis is {axis!r}")  # a defect of the table
        rows = heads[:, None] * self.head_dim + np.arange(self.head_dim)
        return np.asarray(rows.reshape(-1), np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it; only of layers that stay."""
        return {
            "layers": list(self.layers),
            "kv_heads": [self.kv_heads[layer].tolist() for layer in self.layers],
            "queries": [self.queries[layer].tolist() for layer in self.layers],
            "ffn": [self.ffn[layer].tolist() for layer in self.layers],
            "hidden": self.hidden.tolist(),
        }


def largest(scores: npt.NDArray[np.float64], count: int) -> Indices:
    """Return the places of the largest scores in ascending order; of equal ones the first stay."""
    order = np.argsort(-scores, kind="stable")[:count]
    return np.sort(order).astype(np.int64)


def choose(plan: PrunePlan, sizes: Sizes, scores: Scores) -> Kept:
    """Return what a plan leaves of a model.

    Raises:
        InputError: the plan does not fit the model, or the scores are of another one.
    """
    left = sizes.after(plan)
    scores.check(sizes)
    groups = scores.heads.reshape(sizes.layers, sizes.kv_heads, sizes.queries)
    kv_heads, queries = {}, {}
    for layer in range(sizes.layers):
        best = np.array([largest(group, left.queries) for group in groups[layer]])
        reached = np.take_along_axis(groups[layer], best, axis=1).sum(1)
        kv_heads[layer] = largest(reached, left.kv_heads)
        queries[layer] = np.concatenate(
            [head * sizes.queries + best[head] for head in kv_heads[layer]]
        )
    return Kept(
        _layers(plan, sizes, left, scores),
        kv_heads,
        queries,
        {layer: largest(scores.ffn[layer], left.ffn) for layer in range(sizes.layers)},
        largest(scores.hidden, left.hidden),
        sizes.head_dim,
    )


def _layers(plan: PrunePlan, sizes: Sizes, left: Sizes, scores: Scores) -> tuple[int, ...]:
    if isinstance(plan.layers, tuple):
        return tuple(layer for layer in range(sizes.layers) if layer not in plan.layers)
    return tuple(largest(scores.layers, left.layers).tolist())
