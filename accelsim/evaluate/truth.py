"""A model's checkpoint in FP32: what every recipe and every chip is held to."""

from __future__ import annotations

from collections.abc import Callable

from accelsim.evaluate import task
from accelsim.evaluate.model import RunningModel, values_of
from accelsim.evaluate.sample import Encoder
from accelsim.graph.model import ModelSource
from accelsim.graph.request import GraphRequest
from accelsim.sim.interpret import StoredModel


class Truth:
    """A model with its weights, run in FP32; what it answers is computed once.

    Args:
        source: a language model with weights.

    Raises:
        InputError: a model without values, or without a tokenizer.
        CheckpointError: weights that are missing or misshapen.
    """

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self.values = values_of(source)
        self.stored = StoredModel(self.values)
        self.model = RunningModel.reference(source, self.stored)
        self.values.check(source.graph(GraphRequest("prefill", 1, 1, logits="all")))
        self.encoder = Encoder(self.values.folder, self.model.vocabulary)
        self._solved: dict[int, list[bool]] = {}

    def problems(self, count: int) -> list[task.Encoded]:
        """Return the task's first problems in the model's tokens."""
        return task.encode(self.encoder, task.asked(count))

    def solved(self, count: int, progress: Callable[[int, int], None]) -> list[bool]:
        """Return which of the task's first problems the checkpoint answers in FP32."""
        if count not in self._solved:
            encoded = self.problems(count)
            self._solved[count] = task.solved(self.model.logits, encoded, progress)
        return self._solved[count]
