"""Models that have to be recorded: transformers configurations and live modules."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers

from accelsim.errors import CaptureError, InputError
from accelsim.graph.checkpoint import Checkpoint, aligned, compare
from accelsim.graph.family import GraphFamily, fit_family
from accelsim.graph.ir import Graph
from accelsim.graph.quantized.view import KEYS, coded_view, quantization_of
from accelsim.graph.record import record_module
from accelsim.graph.record_hf import HfModel, build_hf, constants_of, live_hf, record_built
from accelsim.graph.request import GraphRequest, Kind
from accelsim.graph.values import ModelValues

#: Recordings of one phase after which a family is worth its own recordings.
WORTH_FITTING = 4


class HfSource:
    """A transformers model: recorded per request, and as a family once many sizes are asked for.

    Args:
        model: the model.
        weights: the checkpoint that belongs to it, under the names of its parameters.
        folder: where the checkpoint lies.
    """

    def __init__(
        self, model: HfModel, weights: Checkpoint | None = None, folder: Path | None = None
    ) -> None:
        self.model = model
        self._weights, self._folder = weights, folder
        self._graphs: dict[GraphRequest, Graph] = {}
        self._families: dict[str, GraphFamily | None] = {}
        self._recorded: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def kind(self) -> Kind:
        """What the model reads."""
        return self.model.kind

    @property
    def parameters(self) -> int:
        """Parameters, tied ones once."""
        return self.model.parameters

    @cached_property
    def values(self) -> ModelValues | None:
        """Where the values of its weights come from; None without a checkpoint."""
        if self._weights is None or self._folder is None:
            return None
        module = self.model.module
        kept = {id(weight): name for name, weight in module.named_parameters()}
        every = module.named_parameters(remove_duplicate=False)
        tied = {name: kept[id(weight)] for name, weight in every if kept[id(weight)] != name}
        tied |= {kept_name: name for name, kept_name in tied.items()}
        return ModelValues(self._weights, constants_of(module), self._folder, tied)

    def graph(self, request: GraphRequest) -> Graph:
        """Return the graph of a request.

        Raises:
            InputError: a decode step of a model that has none.
            CaptureError: the model cannot be recorded.
        """
        if request.phase == "decode" and self.kind != "language":
            raise InputError(f"{self.name}: a {self.kind} model has no decode phase; use prefill")
        if request not in self._graphs:
            family = self._family(request.phase)
            graph = record_built(self.model, request) if family is None else family.build(request)
            self._recorded[request.phase] += 1
            self._graphs[request] = graph
        return self._graphs[request]

    def _family(self, phase: str) -> GraphFamily | None:
        if phase not in self._families and self._recorded[phase] >= WORTH_FITTING:
            try:
                self._families[phase] = fit_family(
                    lambda request: record_built(self.model, request),
                    self.kind, phase, self.model.longest,
                )  # fmt: skip
            except CaptureError:  # sizes that are no polynomials: go on recording each
                self._families[phase] = None
        return self._families.get(phase)


class ModuleSource:
    """A live module with its own example input: one graph, whatever sizes are asked for."""

    kind: Kind = "module"
    values: ModelValues | None = None

    def __init__(self, name: str, module: Any, args: Any, kwargs: Any) -> None:
        self.name = name
        self._call = (module, args, kwargs)
        self._graph: Graph | None = None

    def graph(self, request: GraphRequest) -> Graph:
        """Return the module's graph; its sizes are those of its example input.

        Raises:
            InputError: a decode step.
            CaptureError: the module cannot be recorded.
        """
        if request.phase == "decode":
            raise InputError(
                f"{self.name}: a module with its own example input has no decode phase; return a "
                "transformers config or model to record one"
            )
        if self._graph is None:
            self._graph = record_module(*self._call, name=self.name)
        return self._graph


def open_config(config: Path, name: str, folder: Path, weights: Checkpoint | None) -> HfSource:
    """Return the model of a configuration file, checked against its folder's weights.

    Raises:
        CaptureError: transformers does not know the configuration.
        CheckpointError: the weights are not of this configuration.
    """
    try:
        loaded = transformers.AutoConfig.from_pretrained(
            str(config), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises what it likes for a config it cannot read
        reason = (str(error).strip().splitlines() or [""])[0]
        raise CaptureError(
            f"{config}: transformers cannot read it: {reason}; check model_type (code that a "
            "checkpoint brings along is not run)"
        ) from None
    _without_quantization(loaded)
    model = build_hf(loaded, name)
    if weights is not None:
        quantization = quantization_of(config)
        if quantization is not None:
            weights = coded_view(weights, *quantization)
        module = model.module
        expected = {key: tuple(value.shape) for key, value in module.named_parameters()}
        allowed = {key for key, _ in module.named_parameters(remove_duplicate=False)}
        allowed |= {key for key, _ in module.named_buffers()}
        compare(weights, expected, str(folder), module.base_model_prefix, allowed)
        weights = aligned(weights, allowed, module.base_model_prefix)
    return HfSource(model, weights, folder)


def _without_quantization(config: Any) -> None:
    """Take off the part about codes: the graph is that of the plain model."""
    for part in (config, config.get_text_config()):
        for key in KEYS:
            if hasattr(part, key):
                delattr(part, key)


def open_made(made: Any, name: str) -> HfSource | ModuleSource:
    """Return the model that a user's function made.

    Raises:
        InputError: it made something else.
    """
    if isinstance(made, transformers.PreTrainedConfig):
        return HfSource(build_hf(made, name))
    if isinstance(made, transformers.PreTrainedModel):
        return HfSource(live_hf(made, name))
    if isinstance(made, tuple) and 1 <= len(made) <= 3 and isinstance(made[0], torch.nn.Module):
        module, args, kwargs = made + ((), {})[len(made) - 1 :]
        if isinstance(args, (tuple, list)) and isinstance(kwargs, dict):
            return ModuleSource(name, module, tuple(args), kwargs)
    raise InputError(
        f"{name}: it returned {type(made).__name__}; (module, args, kwargs), a transformers config "
        "or a PreTrainedModel is needed"
    )
