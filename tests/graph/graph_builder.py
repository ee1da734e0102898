"""A few lines to write small graphs with."""

from __future__ import annotations

from typing import Any

from accelsim.graph.ir import Graph, Op, Role, Tensor


class Builder:
    """Collects tensors and ops; every method returns the name of a tensor."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []

    def given(self, name: str, *shape: int, role: Role = "input", format: str = "bf16") -> str:
        self.tensors[name] = Tensor(name, shape, role, format)
        return name

    def op(
        self, kind: str, inputs: tuple[str, ...], shape: tuple[int, ...], *, name: str = "",
        format: str = "bf16", **attrs: Any,
    ) -> str:  # fmt: skip
        name = name or f"m.{attrs.get('fn', kind)}_{len(self.ops)}"
        self.tensors[name] = Tensor(name, shape, "activation", format)
        self.ops.append(Op(name, kind, inputs, (name,), attrs, "m"))
        return name

    def graph(self, *outputs: str) -> Graph:
        return Graph("small", self.tensors, tuple(self.ops), outputs)


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]
