"""Error of every op of a run, split by cause, against the checkpoint in FP32 run beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.evaluate.error import sqnr_db
from accelsim.evaluate.model import RunningModel
from accelsim.graph.ir import Graph, Op
from accelsim.graph.request import GraphRequest
from accelsim.sim.bindings import compute
from accelsim.sim.bindings.values import Call, Coded
from accelsim.sim.bindings.weights import StoredWeight
from accelsim.sim.ideal import ideal, rounded
from accelsim.sim.interpret import Interpreter, Step
from accelsim.sim.numerics import ChipNumerics
from accelsim.sim.result import LayerError
from accelsim_kernels.rounding import PLAIN

Array = npt.NDArray[Any]

#: Rows that a sample looks at, and products that it looks into.
SAMPLED_ROWS, SAMPLED_PRODUCTS = 64, 64


@dataclass(frozen=True)
class Sampling:
    """Which rows of which products are computed exactly while the rest runs fast.

    Attributes:
        chip: the exact arithmetic.
        products: names of the products.
        rows: how many rows of each.
    """

    chip: ChipNumerics
    products: frozenset[str]
    rows: int = SAMPLED_ROWS

    @classmethod
    def of(cls, graph: Graph, chip: ChipNumerics) -> Sampling:
        """Choose products that are spread evenly over the graph."""
        names = [op.name for op in graph.ops if op.kind == "matmul"]
        step = max(1, -(-len(names) // SAMPLED_PRODUCTS))
        return cls(chip, frozenset(names[::step]))

    def chosen(self, count: int) -> Array:
        """Return the numbers of rows that are spread evenly over ``count``."""
        return np.unique(np.linspace(0, count - 1, min(count, self.rows)).astype(np.int64))


@dataclass(frozen=True)
class Compared:
    """The run of a chip beside the FP32 run: error per recorded op, and both logits."""

    errors: Mapping[str, LayerError]
    logits: Array
    truth: Array


def compare(
    chip: RunningModel,
    truth: RunningModel,
    request: GraphRequest,
    inputs: tuple[Mapping[str, Array], Mapping[str, Array]],
    sampling: Sampling | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Compared:
    """Run a request in both and compare op by op.

    Args:
        chip: the compressed model in the chip's arithmetic.
        truth: the model in FP32.
        request: what to run.
        inputs: of the chip's graph and of the FP32 one; they differ in their caches.
        sampling: compute products in the host's floating point but for these rows.
        progress: told ops done and in total.
    """
    recorded, annotated = chip.graphs(request)
    ends = {annotated.producer[op.outputs[0]]: op for op in recorded.ops}
    held = {index: (*op.inputs, *op.outputs) for index, op in ends.items()}
    mine: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    wanted = Interpreter(truth.graphs(request)[1], truth.stored, truth.chip).steps(
        inputs[1], theirs
    )
    errors: dict[str, LayerError] = {}
    product: Step | None = None
    running = Interpreter(annotated, chip.stored, chip.chip, held)
    for index, step in enumerate(running.steps(inputs[0], mine)):
        product = step if step.op.kind == "matmul" else product
        op = ends.get(index)
        if op is None:
            continue
        reader = _Reader(recorded, annotated, chip, mine, sampling)
        errors[op.name] = reader.error(op, step, product, next(wanted))
        progress(len(errors), len(recorded.ops))
    name = recorded.outputs[0]
    return Compared(errors, mine[name], theirs[name])


@dataclass(frozen=True)
class _Reader:
    """What one op got wrong, read off the values around it."""

    recorded: Graph
    annotated: Graph
    model: RunningModel
    values: Mapping[str, Any]
    sampling: Sampling | None

    def error(self, op: Op, step: Step, product: Step | None, truth: Step) -> LayerError:
        out = self.annotated.tensors[op.outputs[0]]
        if out.format not in PLAIN:
            return LayerError()
        made, wanted = np.asarray(self.values[out.name]), np.asarray(truth.outs[0])
        off = made.astype(np.float64) - wanted
        far = LayerError(
            sqnr_propagated_db=sqnr_db(wanted, off), max_abs_error=float(np.abs(off).max())
        )
        plain = [self._uncoded(op, name) for name in op.inputs]
        coded = step if step.op.name == op.name or product is None else product
        stored = [_as_numbers(value) for value in coded.ins]
        if self.sampling is not None and op.kind == "matmul":
            return self._sampled(op, step, coded, plain, far)
        exact, given = ideal(op, plain), ideal(op, stored)
        if exact is None or given is None:
            return far
        best = rounded(given, out.format)
        return _with_causes(far, exact, best - exact, made.astype(np.float64) - best)

    def _uncoded(self, op: Op, name: str) -> Array:
        """Values of an input without the recipe: weights as the checkpoint holds them."""
        tensor = self.recorded.tensors[name]
        if tensor.role not in ("weight", "constant") or name in self.values:
            return _as_numbers(self.values[name])
        raw = self.model.stored.values.read(name).astype(np.float64)
        return raw.T if op.attrs.get("weight_is_kn") and raw.ndim == 2 else raw

    def _sampled(
        self, op: Op, step: Step, coded: Step, plain: Sequence[Array], far: LayerError
    ) -> LayerError:
        sampling = self.sampling
        if sampling is None or op.name not in sampling.products:
            return far
        count = math.prod(plain[0].shape[:-1])
        rows = sampling.chosen(count)
        few = [plain[0].reshape(count, -1)[rows], *plain[1:]]
        part = _rows_of(coded.ins[0], rows)
        exact = ideal(op, few)
        given = ideal(op, [_as_numbers(part), *[_as_numbers(value) for value in coded.ins[1:]]])
        if exact is None or given is None:
            return far
        best = rounded(given, self.annotated.tensors[op.outputs[0]].format)
        made = self._exactly(step, coded, part, sampling.chip, best.shape)
        found = _with_causes(far, exact, best - exact, made - best)
        return LayerError(
            found.sqnr_quantization_db, found.sqnr_arithmetic_db, found.sqnr_propagated_db,
            found.max_abs_error, stderr_db(exact, best - exact),
        )  # fmt: skip

    def _exactly(
        self, step: Step, coded: Step, part: Any, chip: ChipNumerics, shape: tuple[int, ...]
    ) -> Array:
        """Run a product, and the rescaling behind it, on a few rows in the chip's arithmetic."""
        made = self._again(coded, [part, *coded.ins[1:]], chip, shape)
        if step is not coded:
            made = self._again(step, [made], chip, shape)
        return np.asarray(made, np.float64)

    def _again(
        self, step: Step, ins: Sequence[Any], chip: ChipNumerics, shape: tuple[int, ...]
    ) -> Any:
        outs = tuple(replace(tensor, shape=shape) for tensor in self.annotated.outs(step.op))
        return compute(Call(step.op, self.annotated.ins(step.op), outs, ins, chip))[0]


def _rows_of(value: Any, rows: Array) -> Any:
    if isinstance(value, Coded):
        return Coded(
            np.ascontiguousarray(value.codes[rows]), value.scales[rows], value.format,
            (len(rows), value.shape[-1]),
        )  # fmt: skip
    return np.ascontiguousarray(np.asarray(value).reshape(-1, value.shape[-1])[rows])


def _as_numbers(value: Any) -> Array:
    """Return FP64 values of whatever an op reads; masks stay what they are."""
    if isinstance(value, StoredWeight):
        return value.dense.astype(np.float64)
    dense = value.dense() if isinstance(value, Coded) else np.asarray(value)
    return dense.astype(np.float64) if np.issubdtype(dense.dtype, np.floating) else dense


def _with_causes(far: LayerError, exact: Array, formats: Array, arithmetic: Array) -> LayerError:
    return LayerError(
        sqnr_db(exact, formats), sqnr_db(exact, arithmetic), far.sqnr_propagated_db,
        far.max_abs_error,
    )  # fmt: skip


def stderr_db(signal: Array, error: Array) -> float | None:
    """Return the standard error of a ratio in dB over rows, by the ratio estimator's variance."""
    s, n = (np.square(x.reshape(len(x), -1)).sum(-1) for x in (signal, error))
    count, ratio = len(s), n.sum() / s.sum() if s.sum() else 0.0
    if count < 2 or ratio == 0.0:
        return None
    variance = float(np.square(n - ratio * s).sum()) / (count * (count - 1)) / float(s.mean()) ** 2
    return 10.0 / math.log(10.0) * math.sqrt(variance) / float(ratio)
