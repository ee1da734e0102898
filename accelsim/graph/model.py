"""What every model can be asked for, wherever it comes from."""

from __future__ import annotations

from typing import Protocol

from accelsim.graph.ir import Graph
from accelsim.graph.request import GraphRequest, Kind
from accelsim.graph.values import ModelValues


class ModelSource(Protocol):
    """Something that gives the graph of a model at any size."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def kind(self) -> Kind:
        """What the model reads."""

    @property
    def values(self) -> ModelValues | None:
        """Where the values of its weights come from; None when only shapes are known."""

    def graph(self, request: GraphRequest) -> Graph:
        """Return the verified graph of a request."""
