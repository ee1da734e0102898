"""Graph families: one model and phase at any size, fitted from a few recordings.

The ops of a model do not depend on how much data runs through them; only dimensions do, and each
is a polynomial in batch, sequence and context that is at most linear in each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from accelsim.errors import CaptureError, InputError
from accelsim.graph.ir import Attr, Graph, Op, Role, Tensor
from accelsim.graph.ops import verify
from accelsim.graph.polynomial import Monomial, Polynomial, fit
from accelsim.graph.request import GraphRequest, Kind

Size = int | Polynomial
Record = Callable[[GraphRequest], Graph]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a phase is recorded to be fitted, and in which products of sizes."""

    monomials: tuple[Monomial, ...]
    fitted: tuple[GraphRequest, ...]
    held_out: tuple[GraphRequest, ...]


#: Two values of each size fix a polynomial that is linear in each; none is 1, which torch treats
#: in ways of its own.
BATCHES, LENGTHS = (2, 3), (6, 11)
#: Held out: a middle size, and the longest that the model allows, where a window would show.
HELD_BATCH, HELD_LENGTH, LONG = 5, 19, 4099


def plan(kind: Kind, phase: str, longest: int | None = None) -> Plan:
    """Return where to record a phase of a model.

    Args:
        kind: what the model reads.
        phase: ``prefill`` or ``decode``.
        longest: tokens that the model's positions allow; a fixed length otherwise.
    """
    if kind == "vision":
        images = tuple(GraphRequest(batch=b) for b in BATCHES)
        return Plan(((), ("batch",)), images, (GraphRequest(batch=HELD_BATCH),))
    long = min(longest or LONG, LONG)
    lengths = tuple(n for n in LENGTHS if n < long) or (1,)
    if phase == "decode":
        grid = [GraphRequest("decode", b, context_len=n) for b in BATCHES for n in lengths]
        held = [GraphRequest("decode", HELD_BATCH, context_len=n) for n in (HELD_LENGTH, long - 1)]
        return Plan(_products("context_len"), tuple(grid), tuple(held))
    products = _products("seq_len")
    choices: tuple[str, ...] = ("last",)
    if kind == "language":
        products += (("logits",), ("batch", "logits"))
        choices = ("last", "all")
    at = [(c, b, n) for c in choices for b in BATCHES for n in lengths]
    held_at = [(choices[0], HELD_BATCH, HELD_LENGTH), (choices[-1], HELD_BATCH, long)]
    requests = [
        [GraphRequest("prefill", b, n, logits=c) for c, b, n in points]  # type: ignore[arg-type]  # choices are literals
        for points in (at, held_at)
    ]
    return Plan(products, tuple(requests[0]), tuple(requests[1]))


def _products(length: str) -> tuple[Monomial, ...]:
    return ((), ("batch",), (length,), ("batch", length))


def variables(request: GraphRequest) -> Mapping[str, int]:
    """Return the values of the sizes that polynomials are written in."""
    return {
        "batch": request.batch,
        "seq_len": request.seq_len,
        "context_len": request.context_len,
        "logits": 1 if request.logits == "last" else request.seq_len,
    }


@dataclass(frozen=True, slots=True)
class TensorForm:
    """A tensor whose sizes may be polynomials."""

    name: str
    shape: tuple[Size, ...]
    role: Role
    format: str


@dataclass(frozen=True, slots=True)
class OpForm:
    """An op whose attributes may be polynomials."""

    op: Op
    sizes: tuple[tuple[str, Polynomial], ...] = ()


@dataclass(frozen=True)
class GraphFamily:
    """One phase of a model at any size.

    Attributes:
        name, kind, phase: of every graph of the family.
        tensors, ops, outputs: as in ``Graph``, with polynomials where a size varies.
    """

    name: str
    kind: Kind
    phase: str
    tensors: tuple[TensorForm, ...]
    ops: tuple[OpForm, ...]
    outputs: tuple[str, ...]

    @cached_property
    def _fixed(self) -> Mapping[str, Tensor]:
        """Tensors of constant shape, weights above all, shared by every graph."""
        return {
            form.name: Tensor(form.name, shape, form.role, form.format)
            for form in self.tensors
            if (shape := _constant(form.shape)) is not None
        }

    def build(self, request: GraphRequest) -> Graph:
        """Return the verified graph of a request.

        Raises:
            InputError: the request asks for another phase.
            GraphError: a size at which the family has no graph.
        """
        if request.phase != self.phase:
            raise InputError(f"{self.name}: this family holds {self.phase}, not {request.phase}")
        values = variables(request)
        known: dict[tuple[Size, ...], tuple[int, ...]] = {}
        tensors: dict[str, Tensor] = {}
        for form in self.tensors:
            tensor = self._fixed.get(form.name)
            if tensor is None:
                shape = known.get(form.shape)
                if shape is None:
                    shape = known[form.shape] = tuple(_at(size, values) for size in form.shape)
                tensor = Tensor(form.name, shape, form.role, form.format)
            tensors[form.name] = tensor
        ops = tuple(form.op if not form.sizes else _op_at(form, values) for form in self.ops)
        sizes, tokens = request.sizes(self.kind), request.tokens(self.kind)
        return verify(Graph(self.name, tensors, ops, self.outputs, self.phase, sizes, tokens))


def _constant(shape: tuple[Size, ...]) -> tuple[int, ...] | None:
    sizes = tuple(size for size in shape if isinstance(size, int))
    return sizes if len(sizes) == len(shape) else None


def _at(size: Size, values: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else size.at(values)


def _op_at(form: OpForm, values: Mapping[str, int]) -> Op:
    attrs = dict(form.op.attrs)
    for key, polynomial in form.sizes:
        attrs[key] = polynomial.at(values)
    return Op(form.op.name, form.op.kind, form.op.inputs, form.op.outputs, attrs, form.op.module)


def fit_family(
    record: Record, kind: Kind, phase: str = "prefill", longest: int | None = None
) -> GraphFamily:
    """Fit a family from recordings and check it at sizes that were not used.

    Raises:
        CaptureError: an op whose sizes are no polynomial, or that differs at a held-out size.
    """
    points = plan(kind, phase, longest)
    graphs = [record(request) for request in points.fitted]
    fitter = _Fitter([variables(request) for request in points.fitted], points.monomials)
    first = graphs[0]
    for other in graphs[1:]:
        where = difference(first, other, shapes=False)
        if where:
            raise CaptureError(f"{first.name}: {where} depends on sizes: record each by itself")
    family = GraphFamily(
        first.name, kind, phase,
        tuple(fitter.tensor([g.tensors[name] for g in graphs]) for name in first.tensors),
        tuple(fitter.op([g.ops[i] for g in graphs]) for i in range(len(first.ops))),
        first.outputs,
    )  # fmt: skip
    for request in points.held_out:
        where = difference(family.build(request), record(request))
        if where:
            raise CaptureError(
                f"{first.name}: {where} at {request} is not what a recording gives; "
                "record each by itself"
            )
    return family


class _Fitter:
    """Fits values at the recorded points, each distinct list of values once."""

    def __init__(self, points: Sequence[Mapping[str, int]], monomials: Sequence[Monomial]) -> None:
        self.points, self.monomials = points, monomials
        self.known: dict[tuple[int, ...], Size] = {}

    def size(self, values: tuple[int, ...], where: str) -> Size:
        if values not in self.known:
            try:
                self.known[values] = fit(self.points, values, self.monomials)
            except CaptureError as error:
                raise CaptureError(f"{where}: {error}") from None
        return self.known[values]

    def tensor(self, seen: Sequence[Tensor]) -> TensorForm:
        first = seen[0]
        shape = tuple(
            self.size(tuple(t.shape[axis] for t in seen), first.name)
            for axis in range(len(first.shape))
        )
        return TensorForm(first.name, shape, first.role, first.format)

    def op(self, seen: Sequence[Op]) -> OpForm:
        first = seen[0]
        fixed: dict[str, Attr] = dict(first.attrs)
        sizes: list[tuple[str, Polynomial]] = []
        for key, value in first.attrs.items():
            values = [op.attrs[key] for op in seen]
            if any(other != value for other in values):
                if not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
                    raise CaptureError(f"{first.name}: {key} is {values[0]!r} and {values[1]!r}")
                size = self.size(tuple(int(v) for v in values), first.name)
                if isinstance(size, Polynomial):
                    sizes.append((key, size))
        op = Op(first.name, first.kind, first.inputs, first.outputs, fixed, first.module)
        return OpForm(op, tuple(sizes))


def difference(one: Graph, other: Graph, shapes: bool = True) -> str:
    """Return what differs between two graphs first, as an op's or tensor's name; "" if nothing.

    Args:
        one: a graph.
        other: the graph that it is compared with.
        shapes: compare sizes too, and not only what is wired to what.
    """
    for a, b in zip_longest(one.ops, other.ops):
        if a is None or b is None:
            return f"op {(a or b).name}"
        if replace(a, attrs={}) != replace(b, attrs={}) or a.attrs.keys() != b.attrs.keys():
            return f"op {a.name}"
        if shapes and a.attrs != b.attrs:
            return f"op {a.name}"
    if one.tensors.keys() != other.tensors.keys() or one.outputs != other.outputs:
        return "the set of tensors"
    for name, tensor in one.tensors.items():
        twin = other.tensors[name]
        sized = tensor.shape if shapes else len(tensor.shape)
        if (tensor.role, tensor.format, sized) != (
            twin.role, twin.format, twin.shape if shapes else len(twin.shape),
        ):  # fmt: skip
            return f"tensor {name}"
    return "" if not shapes or one == other else "the graph's name, phase or sizes"
