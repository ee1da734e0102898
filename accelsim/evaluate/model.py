"""A model in a recipe on a chip's arithmetic: from tokens to logits, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError
from accelsim.graph.ir import Graph
from accelsim.graph.model import ModelSource
from accelsim.graph.request import GraphRequest
from accelsim.graph.values import ModelValues
from accelsim.recipe.annotate import annotate
from accelsim.recipe.schema import Recipe
from accelsim.sim.interpret import Interpreter, StoredModel
from accelsim.sim.numerics import ChipNumerics, reference

Array = npt.NDArray[Any]
Tokens = npt.NDArray[np.int64]

#: What a checkpoint is compared in: no rounding but FP32's.
FP32 = Recipe(schema_version=1, name="fp32", storage="fp32")


def values_of(source: ModelSource) -> ModelValues:
    """Return where a model's values come from.

    Raises:
        InputError: it has none, or is no language model.
        CheckpointError: weights are missing or misshapen.
    """
    if source.kind != "language":
        raise InputError(
            f"{source.name}: values are computed for language models, this is a {source.kind} model"
        )
    if source.values is None:
        raise InputError(
            f"{source.name}: no weights, so no values: give tiny, or a Hugging Face folder that "
            "holds safetensors beside its config.json"
        )
    return source.values


class RunningModel:
    """One model, compressed by one recipe, in one arithmetic.

    Args:
        source: the model.
        stored: its weights; shared by models that differ in recipe or arithmetic.
        recipe: how it is compressed.
        chip: the arithmetic.
    """

    def __init__(
        self, source: ModelSource, stored: StoredModel, recipe: Recipe, chip: ChipNumerics
    ) -> None:
        self.source, self.stored, self.recipe, self.chip = source, stored, recipe, chip
        self._annotated: dict[GraphRequest, tuple[Graph, Graph]] = {}

    @classmethod
    def reference(cls, source: ModelSource, stored: StoredModel) -> RunningModel:
        """Return the model as its checkpoint is, in FP32."""
        return cls(source, stored, FP32, reference())

    def graphs(self, request: GraphRequest) -> tuple[Graph, Graph]:
        """Return the graph of a request as it was recorded, and annotated by the recipe."""
        if request not in self._annotated:
            recorded = self.source.graph(request)
            self._annotated[request] = (recorded, annotate(recorded, self.recipe))
        return self._annotated[request]

    def logits(self, tokens: Tokens) -> Array:
        """Return ``[batch, length, vocabulary]`` logits of ``[batch, length]`` tokens."""
        return self._prefill(tokens)["logits"]

    def caches(self, tokens: Tokens) -> Mapping[str, Array]:
        """Return the caches that tokens leave behind, under the names that a decode step reads."""
        return {
            name.replace("kv_append_", "past_"): value
            for name, value in self._prefill(tokens).items()
            if "kv_append_" in name
        }

    def _prefill(self, tokens: Tokens) -> dict[str, Array]:
        batch, length = tokens.shape
        request = GraphRequest("prefill", batch, length, logits="all")
        _, graph = self.graphs(request)
        outputs = Interpreter(graph, self.stored, self.chip).run({"input_ids": tokens})
        return {"logits": outputs[graph.outputs[0]], **outputs}

    @cached_property
    def vocabulary(self) -> int:
        """Rows of the table of tokens."""
        graph, _ = self.graphs(GraphRequest("prefill", 1, 1, logits="all"))
        table = next(op.inputs[0] for op in graph.ops if "input_ids" in op.inputs)
        return graph.tensors[table].shape[0]
