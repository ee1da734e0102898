"""How much each part of a model matters: the larger its score, the later it is taken away.

By magnitude a part has the product of the norms of what it reads through and writes through, which
is zero exactly when it writes nothing. By activation it has the energy of what it writes into the
residual stream on a calibration text (heads, channels), of what is read from it (width), or one
minus the cosine between what enters and leaves a layer (X. Men et al., ShortGPT, arXiv 2403.03853).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.structured.family import name_of
from accelsim.compress.structured.plan import Sizes
from accelsim.errors import InputError
from accelsim.graph.request import GraphRequest

Float64 = npt.NDArray[np.float64]
#: Values of a tensor by name, in FP32.
Read = Callable[[str], npt.NDArray[np.float32]]

Q, K, V, OUT = (f"self_attn.{part}_proj.weight" for part in "qkvo")
GATE, UP, DOWN = (f"mlp.{part}_proj.weight" for part in ("gate", "up", "down"))
EMBEDDING, LAST_NORM = "model.embed_tokens.weight", "model.norm.weight"


@dataclass(frozen=True)
class Scores:
    """Scores of every part.

    Attributes:
        heads: ``[layers, query heads]``.
        ffn: ``[layers, channels]``.
        hidden: ``[channels]``.
        layers: ``[layers]``.
    """

    heads: Float64
    ffn: Float64
    hidden: Float64
    layers: Float64

    def check(self, sizes: Sizes) -> None:
        """Check shapes and numbers.

        Raises:
            InputError: those of another model, or numbers that have no order.
        """
        wanted = {
            "heads": (sizes.layers, sizes.kv_heads * sizes.queries),
            "ffn": (sizes.layers, sizes.ffn),
            "hidden": (sizes.hidden,),
            "layers": (sizes.layers,),
        }
        for name, shape in wanted.items():
            found = np.asarray(getattr(self, name))
            if found.shape != shape:
                raise InputError(f"scores: {name} is {list(found.shape)}, {list(shape)} is needed")
            if not np.isfinite(found).all():
                raise InputError(f"scores: {name} holds numbers that are NaN or infinite")


def _squares(values: npt.NDArray[np.float32], axis: int) -> Float64:
    """Return the sums of squares of a matrix, one for each place of an axis."""
    found: Float64 = np.square(values, dtype=np.float64).sum(1 - axis)
    return found


def by_magnitude(read: Read, sizes: Sizes) -> Scores:
    """Return scores from the weights alone, one layer in memory at a time."""
    count, heads = sizes.layers, sizes.kv_heads * sizes.queries
    scores = Scores(
        np.empty((count, heads)), np.empty((count, sizes.ffn)), np.zeros(sizes.hidden),
        np.empty(count),
    )  # fmt: skip
    written = _squares(read(EMBEDDING), 1)
    readers = np.zeros(sizes.hidden)
    for layer in range(count):
        held = {role: read(name_of(layer, role)) for role in (Q, K, V, OUT, GATE, UP, DOWN)}
        values = _squares(held[V], 0).reshape(sizes.kv_heads, -1).sum(1)
        outputs = _squares(held[OUT], 1).reshape(heads, -1).sum(1)
        scores.heads[layer] = np.sqrt(np.repeat(values, sizes.queries) * outputs)
        inner = _squares(held[UP], 0) * _squares(held[GATE], 0)
        scores.ffn[layer] = np.sqrt(inner * _squares(held[DOWN], 1))
        scores.layers[layer] = scores.heads[layer].sum() + scores.ffn[layer].sum()
        written += _squares(held[OUT], 0) + _squares(held[DOWN], 0)
        readers += sum(_squares(held[role], 1) for role in (Q, K, V, GATE, UP))
    scores.hidden[:] = np.sqrt(written * readers)
    return scores


class _Watched:
    """Sums over the tokens of a calibration text, op by op."""

    def __init__(self, read: Read, sizes: Sizes) -> None:
        self._read, self._sizes = read, sizes
        heads = sizes.kv_heads * sizes.queries
        self.scores = Scores(
            np.zeros((sizes.layers, heads)), np.zeros((sizes.layers, sizes.ffn)),
            np.zeros(sizes.hidden), np.zeros(sizes.layers),
        )  # fmt: skip
        self._stream: npt.NDArray[Any] | None = None

    def see(self, kind: str, weight: str, x: npt.NDArray[Any]) -> None:
        """Take in what an op with a weight reads."""
        rows = np.asarray(x).reshape(-1, x.shape[-1])
        layer, role = _split(weight)
        if kind == "norm" and role in ("input_layernorm.weight", LAST_NORM):
            if self._stream is not None:
                before = (self._sizes.layers if layer is None else layer) - 1
                self.scores.layers[before] += (1.0 - _cosines(self._stream, rows)).sum()
            self._stream = rows
            if layer is None:
                self._stream = None
        if kind == "matmul" and layer is not None:
            self._product(layer, role, weight, rows)

    def _product(self, layer: int, role: str, weight: str, rows: npt.NDArray[Any]) -> None:
        energy = np.square(rows, dtype=np.float64).sum(0)
        if role == OUT:
            w = self._read(weight)
            depth = self._sizes.head_dim
            for head in range(self.scores.heads.shape[1]):
                part = slice(head * depth, (head + 1) * depth)
                made = rows[:, part] @ w[:, part].T
                self.scores.heads[layer, head] += np.square(made, dtype=np.float64).sum()
        elif role == DOWN:
            self.scores.ffn[layer] += energy * _squares(self._read(weight), 1)
        elif role in (Q, GATE):
            roles = (Q, K, V) if role == Q else (GATE, UP)
            reach = sum(_squares(self._read(name_of(layer, one)), 1) for one in roles)
            share: Float64 = energy * reach
            # Every norm's readers weigh alike, however large they are.
            self.scores.hidden[:] += share / max(share.sum(), 1e-300)


def _split(weight: str) -> tuple[int | None, str]:
    if not weight.startswith("model.layers."):
        return None, weight
    number, _, role = weight.removeprefix("model.layers.").partition(".")
    return int(number), role


def _cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Float64:
    a, b = a.astype(np.float64), b.astype(np.float64)
    size = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    found: Float64 = (a * b).sum(1) / np.where(size == 0.0, 1.0, size)
    return np.where(size == 0.0, 1.0, found)


def by_activation(model: Any, tokens: npt.NDArray[np.int64], sizes: Sizes) -> Scores:
    """Return scores from what flows through a model on a calibration text.

    Args:
        model: a ``RunningModel`` in FP32.
        tokens: ``[batch, length]``.
        sizes: of the model.
    """
    watched = _Watched(model.stored.values.read, sizes)
    for kind, weight, x in _read_by_ops(model, tokens):
        watched.see(kind, weight, x)
    return watched.scores


def _read_by_ops(
    model: Any, tokens: npt.NDArray[np.int64]
) -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
    """Yield kind, weight and first input of every op that has a weight, row by row of tokens."""
    from accelsim.sim.interpret import Interpreter

    request = GraphRequest("prefill", 1, tokens.shape[1], logits="all")
    _, graph = model.graphs(request)
    for row in tokens:
        run = Interpreter(graph, model.stored, model.chip)
        for step in run.steps({"input_ids": row[None]}, {}):
            if step.op.kind in ("matmul", "norm") and len(step.op.inputs) > 1:
                yield step.op.kind, step.op.inputs[1], step.ins[0]
