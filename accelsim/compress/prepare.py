"""What leaves a model's function as it is and makes it easier to round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.edits import EditedValues, Replace, Scale
from accelsim.compress.lockstep import Lockstep, largest_inputs, some_rows
from accelsim.compress.methods.awq import awq_factors
from accelsim.compress.methods.smoothquant import smooth_factors
from accelsim.compress.pairs import Pair
from accelsim.compress.shelf import Shelf
from accelsim.compress.targets import Target
from accelsim.graph.ir import Op
from accelsim_kernels.rounding import round_to

Float32 = npt.NDArray[np.float32]
Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]

#: Rows that AWQ measures candidates on.
AWQ_ROWS = 1024


@dataclass
class Mover:
    """Moves scales of pairs into the values of a model.

    Attributes:
        pairs: in the order of the graph.
        targets: the products that are compressed.
        values: of the model, which are changed.
        storage: format in which plain weights are stored.
        shelf: where factors are kept.
    """

    pairs: Sequence[Pair]
    targets: Sequence[Target]
    values: EditedValues
    storage: str
    shelf: Shelf

    def run(self, lockstep: Callable[[str], Lockstep], progress: Progress) -> None:
        """Find what is not known yet, then change the values.

        Args:
            lockstep: gives the calibration text on its way up to an op.
            progress: told how far the work is.
        """
        missing = [pair for pair in self.pairs if self.shelf.get(_key(pair)) is None]
        if missing:
            by_reader = {pair.readers[0].name: pair for pair in missing}
            steps, done = lockstep(missing[-1].readers[0].name), 0
            for op in steps.ops():
                pair = by_reader.get(op.name)
                if pair is not None:
                    self.shelf.put(_key(pair), {"factors": self._factors(pair, steps)})
                    done += 1
                    progress("scales that move into weights", done, len(missing))
        for pair in self.pairs:
            self._apply(pair)

    def _factors(self, pair: Pair, steps: Lockstep) -> Array:
        weights = [self._rows(op) for op in pair.readers]
        if pair.step.name == "smoothquant":
            inputs = largest_inputs(steps.rows(pair.tensor))
            return smooth_factors(inputs, weights, pair.step.alpha)
        rules = {target.op.name: target.rule for target in self.targets}
        readers = [(w, rules.get(op.name)) for w, op in zip(weights, pair.readers, strict=True)]
        rows = some_rows(steps.rows(pair.tensor), AWQ_ROWS)
        return awq_factors(rows, readers, pair.step.grid)

    def _rows(self, op: Op) -> Float32:
        read = self.values.read(op.inputs[1])
        return np.ascontiguousarray(read.T if op.attrs.get("weight_is_kn") else read)

    def _apply(self, pair: Pair) -> None:
        part = self.shelf.get(_key(pair))
        if part is None:
            raise KeyError(pair.source.name)
        factors = part["factors"]
        if pair.source.kind == "norm":
            factors = self._divide_norm(pair.source, factors)
        else:
            self._divide_product(pair.source, factors)
        for op in pair.readers:
            axis = 0 if op.attrs.get("weight_is_kn") else 1
            self.values.add(op.inputs[1], Scale(axis, factors))

    def _divide_norm(self, op: Op, factors: Array) -> Array:
        """Divide a norm's weight; return what it was divided by when it is stored, exactly."""
        old = self.values.read(op.inputs[1])
        new = round_to((old / factors).astype(np.float32), self.storage)
        found = np.where(new != 0, old.astype(np.float64) / np.where(new != 0, new, 1), 1.0)
        new = np.where(new != 0, new, old)
        self.values.add(op.inputs[1], Replace(new))
        if len(op.inputs) > 2:
            self.values.add(op.inputs[2], Scale(0, 1.0 / found))
        return found

    def _divide_product(self, op: Op, factors: Array) -> None:
        axis = 1 if op.attrs.get("weight_is_kn") else 0
        self.values.add(op.inputs[1], Scale(axis, 1.0 / factors))
        if len(op.inputs) > 2:
            self.values.add(op.inputs[2], Scale(0, 1.0 / factors))


def _key(pair: Pair) -> str:
    return f"factors:{pair.source.name}"
