"""Runs an annotated graph on real values, op by op, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError, RunError
from accelsim.graph.ir import Graph, Op, Tensor
from accelsim.sim.bindings import compute
from accelsim.sim.bindings.pointwise import DTYPES, stored
from accelsim.sim.bindings.values import Call, Value
from accelsim.sim.bindings.weights import StoredWeight, store, store_coded
from accelsim.sim.numerics import ChipNumerics
from accelsim_kernels.cast import all_finite
from accelsim_kernels.rounding import PLAIN, round_to

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One executed op with what it read and made."""

    op: Op
    ins: Sequence[Any]
    outs: Sequence[Value]


class Values(Protocol):
    """Where the values of weights and constants come from."""

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """Return the values of one, in FP32."""


class StoredModel:
    """A model's weights in the formats of a recipe, stored once for any number of runs."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self._products: dict[tuple[Any, ...], StoredWeight] = {}
        self._plain: dict[tuple[str, str], Array] = {}

    def product(self, op: Op, tensor: Tensor) -> StoredWeight:
        """Return the weight of a product as its op wants it."""
        how = ("group", "scale_format", "scale_rule", "sparsity", "weight_is_kn", "widened")
        key = (tensor.name, tensor.format, tensor.density, *(op.attrs.get(name) for name in how))
        if key not in self._products:
            self._products[key] = self._stored(op, tensor)
        return self._products[key]

    def _stored(self, op: Op, tensor: Tensor) -> StoredWeight:
        """Lay a weight out: as its codes in the checkpoint, or from its numbers."""
        name = _source(tensor)
        codes = getattr(self.values, "coded", None)
        if codes is not None and tensor.format not in PLAIN:
            given = codes(name)
            if given is not None:
                return store_coded(op, tensor, given)
        return store(op, tensor, self.values.read(name))

    def plain(self, tensor: Tensor) -> Array:
        """Return a weight or constant that no product reads."""
        key = (tensor.name, tensor.format)
        if key not in self._plain:
            raw = self.values.read(_source(tensor))
            fmt = tensor.format
            self._plain[key] = round_to(raw, fmt) if fmt in PLAIN else raw.astype(DTYPES[fmt])
        return self._plain[key]


def _source(tensor: Tensor) -> str:
    """Name in the checkpoint: a table that is also read elsewhere has a coded copy."""
    return tensor.name.removesuffix(f".{tensor.format}")


class Interpreter:
    """One annotated graph with one model's weights on one chip's arithmetic.

    Args:
        graph: the annotated graph.
        model: the weights.
        chip: the arithmetic.
        held: by index of an op, tensors that must still be there when it has run, beside those
            that ops read.
    """

    def __init__(
        self,
        graph: Graph,
        model: StoredModel,
        chip: ChipNumerics,
        held: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        self.graph, self.model, self.chip = graph, model, chip
        self._last = _last_uses(graph, held or {})

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the graph's outputs.

        Args:
            inputs: values of the tensors whose role is input or cache, by name.

        Raises:
            InputError: an input is missing or has another shape, or an op has no kernel.
            RunError: an op made NaN or an infinity.
        """
        values: dict[str, Any] = {}
        for _ in self.steps(inputs, values):
            pass
        return {name: values[name] for name in self.graph.outputs}

    def run_part(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a part of a graph, given every value that it reads.

        Raises:
            InputError, RunError: as ``run``.
        """
        known: dict[str, Any] = dict(values)
        for _ in self.steps({}, known):
            pass
        return {name: known[name] for name in self.graph.outputs}

    def steps(self, inputs: Mapping[str, Array], values: dict[str, Any]) -> Iterator[Step]:
        """Run op by op; ``values`` holds what is still needed after each step.

        Raises:
            InputError, RunError: as ``run``.
        """
        values.update(self._given(inputs, values))
        for index, op in enumerate(self.graph.ops):
            tensors = self.graph.ins(op)
            ins = [self._input(op, i, t, values) for i, t in enumerate(tensors)]
            outs = compute(Call(op, tensors, self.graph.outs(op), ins, self.chip))
            for tensor, value in zip(self.graph.outs(op), outs, strict=True):
                _check(op, tensor, value)
                values[tensor.name] = value
            yield Step(op, ins, outs)
            for name in self._last.get(index, ()):
                values.pop(name, None)

    def _given(self, inputs: Mapping[str, Array], known: Mapping[str, Any]) -> dict[str, Array]:
        made = set(self.graph.producer)
        found: dict[str, Array] = {}
        for name, tensor in self.graph.tensors.items():
            if tensor.role not in ("input", "cache") or name in made or name in known:
                continue
            if name not in inputs:
                raise InputError(f"{self.graph.name}: no values for the input {name!r}")
            given = inputs[name]
            if given.shape != tensor.shape:
                raise InputError(
                    f"{self.graph.name}: input {name!r} is {list(given.shape)}, the graph needs "
                    f"{list(tensor.shape)}"
                )
            # A cache in codes travels as the numbers that they stand for.
            codes = tensor.role == "cache" and tensor.format not in PLAIN
            found[name] = given if codes else stored(given, tensor.format)
        return found

    def _input(self, op: Op, index: int, tensor: Tensor, values: Mapping[str, Any]) -> Any:
        if tensor.role not in ("weight", "constant") or tensor.name in values:
            return values[tensor.name]
        if op.kind == "matmul" and index == 1:
            return self.model.product(op, tensor)
        return self.model.plain(tensor)


def _last_uses(graph: Graph, held: Mapping[int, Sequence[str]]) -> Mapping[int, list[str]]:
    last: dict[str, int] = {}
    for index, op in enumerate(graph.ops):
        for name in (*op.inputs, *op.outputs, *held.get(index, ())):
            last[name] = index
    kept = set(graph.outputs)
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        if name not in kept and graph.tensors[name].role == "activation":
            found.setdefault(index, []).append(name)
    return found


def _check(op: Op, tensor: Tensor, value: Value) -> None:
    """Stop at the first op that makes what is not a number: everything after it would be."""
    if not isinstance(value, np.ndarray):
        return
    if value.shape != tensor.shape:
        raise InputError(
            f"{op.name}: made {list(value.shape)}, the graph says {list(tensor.shape)}"
        )
    if value.dtype != np.float32 or all_finite(value) or op.kind == "fill":
        return
    wrong = int((~np.isfinite(value)).sum())
    raise RunError(
        f"{op.name}: made {wrong:,} values of {value.size:,} that are NaN or infinite in "
        f"{tensor.format}; its inputs were finite, so it left the format's range"
    )
