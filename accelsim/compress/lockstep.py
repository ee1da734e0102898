"""All batches of a calibration text through a graph, op by op.

When an op's turn comes, its inputs are there for all batches, computed by weights that are
compressed already; and only the values that later ops read are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.graph.ir import Graph, Op, Tensor
from accelsim.sim.bindings.weights import StoredWeight
from accelsim.sim.interpret import Interpreter, StoredModel, Values
from accelsim.sim.numerics import REFERENCE_LANES, ChipNumerics

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

#: FP32 in the host's own order of additions: what it differs in from a chip's is far below what
#: compression changes.
ARITHMETIC = ChipNumerics("calibration", {}, REFERENCE_LANES, ideal=True)
#: Rows that are widened to FP64 at once.
_ROWS = 4096


class Working(StoredModel):
    """Weights while a model is compressed: of the op at hand alone, compressed ones as they are."""

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self.made: dict[str, Float32] = {}
        self._held: tuple[str, Any] = ("", None)

    def product(self, op: Op, tensor: Tensor) -> StoredWeight:
        """Return the weight of a product, as numbers alone."""
        if self._held[0] != op.name:
            rows = self.made.get(tensor.name)
            if rows is None:
                read = self.values.read(tensor.name)
                rows = np.ascontiguousarray(read.T if op.attrs.get("weight_is_kn") else read)
            self._held = (op.name, StoredWeight("fp32", None, rows, rows))
        found: StoredWeight = self._held[1]
        return found

    def plain(self, tensor: Tensor) -> Array:
        """Return a weight or constant that no product reads."""
        if self._held[0] != tensor.name:
            self._held = (tensor.name, super().plain(tensor))
            self._plain.clear()
        found: Array = self._held[1]
        return found


class Lockstep:
    """A graph in FP32 with one set of values per batch.

    Args:
        graph: as it was recorded, its tensors in FP32.
        model: the weights.
        batches: tokens ``[batch, length]`` each.
        last: name of the op before which the run ends.
    """

    def __init__(self, graph: Graph, model: Working, batches: Sequence[Array], last: str) -> None:
        count = next(i for i, op in enumerate(graph.ops) if op.name == last) + 1
        ops = graph.ops[:count]
        used = {name for op in ops for name in (*op.inputs, *op.outputs)}
        tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
        self.graph = replace(graph, ops=ops, tensors=tensors, outputs=())
        self.model = model
        self.values: list[dict[str, Any]] = [{"input_ids": tokens} for tokens in batches]
        self._steps = [
            Interpreter(self.graph, model, ARITHMETIC).steps({}, values) for values in self.values
        ]
        self._gone = _last_readers(self.graph)

    def ops(self) -> Iterator[Op]:
        """Yield each op before it runs."""
        for index, op in enumerate(self.graph.ops):
            yield op
            if index + 1 < len(self.graph.ops):
                self._advance(index)

    def _advance(self, index: int) -> None:
        for steps, values in zip(self._steps, self.values, strict=True):
            next(steps)
            for name in self._gone.get(index, ()):
                values.pop(name, None)

    def rows(self, name: str) -> Iterator[Float32]:
        """Yield a tensor's values of each batch as rows ``[tokens, k]``."""
        for values in self.values:
            yield values[name].reshape(-1, values[name].shape[-1])


def _last_readers(graph: Graph) -> Mapping[int, list[str]]:
    """Names by the op that reads them last; the interpreter keeps caches, nobody reads these."""
    last: dict[str, int] = {}
    for index, op in enumerate(graph.ops):
        for name in (*op.inputs, *op.outputs):
            last[name] = index
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        found.setdefault(index, []).append(name)
    return found


def second_moment(rows: Iterator[Float32]) -> Float64:
    """Return ``X^T X`` over all rows, in FP64."""
    total: Float64 | None = None
    for part in rows:
        for first in range(0, len(part), _ROWS):
            wide = part[first : first + _ROWS].astype(np.float64)
            found = wide.T @ wide
            total = found if total is None else np.add(total, found, out=total)
    return np.zeros((0, 0)) if total is None else total


def largest_inputs(rows: Iterator[Float32]) -> Float32:
    """Return the largest magnitude of each column over all rows."""
    found: Float32 = np.maximum.reduce([np.abs(part).max(axis=0) for part in rows])
    return found


def some_rows(rows: Iterator[Float32], count: int) -> Float32:
    """Return at most ``count`` rows, spread evenly over all."""
    parts = list(rows)
    total = sum(len(part) for part in parts)
    step = -(-total // count)
    return np.concatenate([part[::step] for part in parts])
