"""A model compressed by a recipe, product by product, in bounded memory.

First what leaves the function of the model as it is: rotations, and scales that move from
activations into weights. Then codes, in the order in which the products run, each with the inputs
that the compressed products before it make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.calibration import windows
from accelsim.compress.edits import EditedValues
from accelsim.compress.grid import Coded, Grid
from accelsim.compress.lockstep import Lockstep, Working, second_moment
from accelsim.compress.methods.choose import calibrated, find_codes
from accelsim.compress.methods.gptq import Moment, weighted_error
from accelsim.compress.pairs import pairs_of
from accelsim.compress.prepare import Mover
from accelsim.compress.rotate import rotate
from accelsim.compress.shelf import Arrays, Shelf
from accelsim.compress.targets import Target, targets_of
from accelsim.evaluate.model import FP32, values_of
from accelsim.evaluate.sample import Encoder
from accelsim.graph.ir import Graph
from accelsim.graph.model import ModelSource
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.request import GraphRequest
from accelsim.recipe.annotate import annotate
from accelsim.recipe.schema import Recipe

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

#: Most windows that run at once.
BATCH = 8
#: The graph that names everything.
SMALL = GraphRequest("prefill", 1, 1, logits="all")


class CompressedValues:
    """Values of a compressed model.

    Args:
        made: the model.
    """

    def __init__(self, made: Compressed) -> None:
        self._made = made
        self._targets = {target.weight: target for target in made.targets}

    def read(self, name: str) -> Float32:
        """Return the values of a weight or constant in FP32, in the checkpoint's layout."""
        target = self._targets.get(name)
        if target is None:
            return self._made.values.read(name)
        numbers = self._made.coded(target).numbers
        return numbers.T if target.op.attrs.get("weight_is_kn") else numbers

    def coded(self, name: str) -> CodedWeight | None:
        """Return the codes and scales of a weight; None where it is plain."""
        target = self._targets.get(name)
        return None if target is None else self._made.coded(target).weight


@dataclass(frozen=True)
class Compressed:
    """A compressed model: codes lie on the shelf, everything else is the checkpoint's.

    Attributes:
        source: the model.
        recipe: how it was compressed.
        values: its plain weights, with what rotations and moved scales change.
        targets: the products whose weights have codes.
        shelf: where the codes are.
    """

    source: ModelSource
    recipe: Recipe
    values: EditedValues
    targets: Sequence[Target]
    shelf: Shelf

    def coded(self, target: Target) -> Coded:
        """Return the weight of a product ``[n, k]``."""
        part = self.shelf.get(_key(target))
        if part is None:
            raise KeyError(target.weight)
        return Grid(target.rule.weight).unpacked(part)

    @cached_property
    def weights(self) -> CompressedValues:
        """The model's weights as the interpreter takes them: codes where there are any."""
        return CompressedValues(self)

    def errors(self) -> Mapping[str, float]:
        """Return the error of each product's output on the calibration text, as a share."""
        parts = ((t.op.name, self.shelf.get(_key(t))) for t in self.targets)
        return {
            name: float(part["error"][0])
            for name, part in parts
            if part is not None and "error" in part
        }


def compress_model(
    source: ModelSource, recipe: Recipe, shelf: Shelf,
    progress: Progress = lambda what, done, total: None,
) -> Compressed:  # fmt: skip
    """Compress a model.

    Args:
        source: a language model with weights.
        recipe: formats, methods and calibration text.
        shelf: what is finished already is taken from it, what gets finished is put there.
        progress: told how far the work is.

    Raises:
        InputError: a recipe or model that cannot be used together, or a text that is too short.
        CheckpointError: weights that are missing, misshapen or not finite.
    """
    values = EditedValues(values_of(source))
    recorded = source.graph(SMALL)
    values_of(source).check(recorded)
    targets = targets_of(recorded, recipe)
    if recipe.rotation is not None:
        rotate(recorded, recipe.rotation, values)
    small = plain_graph(recorded, recipe)
    work = _Work(source, small, recipe, values, targets, shelf, progress)
    pairs = pairs_of(small, recipe, targets)
    Mover(pairs, targets, values, recipe.storage, shelf).run(work.lockstep, progress)
    work.find()
    return Compressed(source, recipe, values, targets, shelf)


def plain_graph(graph: Graph, recipe: Recipe) -> Graph:
    """Return a graph in FP32, with the rotations that a recipe leaves to the chip."""
    return annotate(graph, FP32.model_copy(update={"rotation": recipe.rotation}))


@dataclass
class _Work:
    source: ModelSource
    graph: Graph
    recipe: Recipe
    values: EditedValues
    targets: Sequence[Target]
    shelf: Shelf
    progress: Progress
    tokens: Array | None = None

    def find(self) -> None:
        """Find the codes of all targets that have none."""
        missing = [t for t in self.targets if self.shelf.get(_key(t)) is None]
        looking = [t for t in missing if calibrated(t.rule)]
        if looking:
            self._in_order(looking[-1].op.name)
        for number, target in enumerate(missing):
            if self.shelf.get(_key(target)) is None:
                self._put(target, None)
                self.progress("codes", number + 1, len(missing))

    def lockstep(self, last: str) -> Lockstep:
        """Return the calibration text on its way through the model up to an op."""
        wanted = self.recipe.calibration
        if self.tokens is None:
            table = next(op.inputs[0] for op in self.graph.ops if "input_ids" in op.inputs)
            rows = self.graph.tensors[table].shape[0]
            self.tokens = windows(Encoder(values_of(self.source).folder, rows), wanted)
        size = next(n for n in range(BATCH, 0, -1) if wanted.samples % n == 0)
        asked = GraphRequest("prefill", size, wanted.seq_len, logits="all")
        graph = plain_graph(self.source.graph(asked), self.recipe)
        batches = [self.tokens[i : i + size] for i in range(0, wanted.samples, size)]
        return Lockstep(graph, Working(self.values), batches, last)

    def _in_order(self, last: str) -> None:
        by_op = {target.op.name: target for target in self.targets}
        steps, done = self.lockstep(last), 0
        name, moment = "", None
        for op in steps.ops():
            target = by_op.get(op.name)
            if target is None:
                continue
            source = op.inputs[0]
            part = self.shelf.get(_key(target))
            if part is None:
                if calibrated(target.rule) and name != source:
                    moment = None  # one of them at a time
                    name = source
                    moment = Moment(second_moment(steps.rows(name)))
                part = self._put(target, moment if calibrated(target.rule) else None)
            made = Grid(target.rule.weight).unpacked(part).numbers
            steps.model.made = {target.weight: made}
            done += 1
            self.progress("codes, in the order of the model", done, len(self.targets))

    def _put(self, target: Target, moment: Moment | None) -> Arrays:
        read = self.values.read(target.weight)
        w = np.ascontiguousarray(read.T if target.op.attrs.get("weight_is_kn") else read)
        coded = find_codes(w, target.rule, moment)
        part = dict(coded.packed)
        if moment is not None:
            size = weighted_error(w, np.zeros_like(w), moment)
            off = weighted_error(w, coded.numbers, moment)
            part["error"] = np.array([off / size if size else 0.0])
        self.shelf.put(_key(target), part)
        return part


def _key(target: Target) -> str:
    return f"codes:{target.weight}"
