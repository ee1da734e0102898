"""Small torch modules to record; only for tests that have made sure of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from accelsim.graph.ir import Graph, Op
from accelsim.graph.record import record_module


class Function(nn.Module):
    """A module around a function, with a few weights."""

    def __init__(self, function: Callable[..., Any], **weights: Any) -> None:
        super().__init__()
        self.function = function
        for name, weight in weights.items():
            setattr(self, name, nn.Parameter(weight))

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def meta(*shape: int, dtype: Any = None) -> Any:
    return torch.empty(shape, device="meta", dtype=dtype or torch.bfloat16)


def record(function: Callable[..., Any], *args: Any, **weights: Any) -> Graph:
    return record_module(Function(function, **weights), args)


def only(graph: Graph) -> Op:
    assert len(graph.ops) == 1, [op.name for op in graph.ops]
    return graph.ops[0]
