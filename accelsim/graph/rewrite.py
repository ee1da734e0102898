"""Rewriting graphs by rules: a rule looks at one op and may replace it and ops that feed it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accelsim.graph.ir import Graph, Op, Tensor


@dataclass(frozen=True)
class Rewrite:
    """What a rule wants.

    Attributes:
        op: what stands in the place of the op that the rule looked at, with the same outputs;
            its name is a wish that is made unique.
        consumed: ops that are gone because nobody else reads them.
    """

    op: Op
    consumed: Collection[Op] = field(default_factory=tuple)


class Scope:
    """A graph while a rule looks at it: who made a tensor, and who reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kept = frozenset(graph.outputs)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor."""
        return self.graph.tensors[name]

    def maker(self, name: str) -> Op | None:
        """Return the op that makes a tensor; None for inputs, weights and constants."""
        index = self.graph.producer.get(name)
        return None if index is None else self.graph.ops[index]

    def only_reader(self, name: str) -> bool:
        """Tell whether exactly one op reads a tensor and the caller does not keep it."""
        return name not in self.kept and len(self.graph.consumers[name]) == 1

    def private(self, name: str, kind: str, **attrs: object) -> Op | None:
        """Return the maker of a tensor if it is of a kind, has attributes and one reader."""
        op = self.maker(name)
        if op is None or op.kind != kind or not self.only_reader(name):
            return None
        return op if all(op.attrs.get(key) == value for key, value in attrs.items()) else None

    def through_views(self, name: str) -> tuple[str, list[Op]]:
        """Follow views with one reader back to what they show, and return them too."""
        passed: list[Op] = []
        while (op := self.private(name, "view")) is not None and len(op.outputs) == 1:
            passed.append(op)
            name = op.inputs[0]
        return name, passed


Rule = Callable[[Scope, Op], "Rewrite | None"]


def apply(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """Apply the rules, one pass per round, until none finds anything."""
    while True:
        scope, touched, found = Scope(graph), set[str](), dict[str, Rewrite]()
        for op in graph.ops:
            wish = next((w for w in (rule(scope, op) for rule in rules) if w is not None), None)
            if wish is None:
                continue
            names = {op.name, *(gone.name for gone in wish.consumed)}
            if not names & touched:  # two rewrites of one round must not share an op
                touched |= names
                found[op.name] = wish
        if not found:
            return graph
        graph = _applied(graph, found)


def _applied(graph: Graph, found: Mapping[str, Rewrite]) -> Graph:
    gone = {op.name for wish in found.values() for op in wish.consumed}
    names = {op.name for op in graph.ops}
    ops: list[Op] = []
    renamed: dict[str, str] = {}
    tensors = dict(graph.tensors)
    for op in graph.ops:
        if op.name in gone:
            continue
        if op.name in found:
            old, op = op, _named(found[op.name].op, op.name, names)
            outputs = output_names(op.name, len(op.outputs))
            for before, after in zip(old.outputs, outputs, strict=True):
                if before != after:
                    renamed[before] = after
                    tensors[after] = replace(tensors.pop(before), name=after)
            op = replace(op, outputs=outputs)
        ops.append(_reading(op, renamed))
    used = {name for op in ops for name in (*op.inputs, *op.outputs)}
    outputs = tuple(renamed.get(name, name) for name in graph.outputs)
    used |= set(outputs)
    kept = {name: tensor for name, tensor in tensors.items() if name in used}
    return replace(graph, tensors=kept, ops=tuple(ops), outputs=outputs)


def _reading(op: Op, renamed: Mapping[str, str]) -> Op:
    inputs = tuple(renamed.get(name, name) for name in op.inputs)
    return op if inputs == op.inputs else replace(op, inputs=inputs)


def output_names(op: str, count: int) -> tuple[str, ...]:
    """Return the names of what an op makes: its own name, then numbered."""
    return tuple(f"{op}:{i}" if i else op for i in range(count))


def _named(op: Op, replaced: str, names: set[str]) -> Op:
    """Return the op under a name that no other op has."""
    names.discard(replaced)
    name, ordinal = op.name, 0
    while name in names:
        ordinal += 1
        name = f"{op.name}_{ordinal}"
    names.add(name)
    return op if name == op.name else replace(op, name=name)


def drop_dead(graph: Graph) -> Graph:
    """Remove ops whose results nobody reads; caches outlive the step and stay."""
    live = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.kind == "kv_append" or live.intersection(op.outputs):
            kept.append(op)
            live.update(op.inputs)
    ops = tuple(reversed(kept))
    used = {name for op in ops for name in (*op.inputs, *op.outputs)} | set(graph.outputs)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    return replace(graph, ops=ops, tensors=tensors)


def drop_same_views(graph: Graph) -> Graph:
    """Let readers of a view that changes nothing read its source: it is only another name.

    A slice or an expansion stays even where it covers everything, since whether it does depends
    on the sizes, and the form of a graph must not.
    """
    alias: dict[str, str] = {}
    kept: list[Op] = []
    outputs = frozenset(graph.outputs)
    for op in graph.ops:
        op = _reading(op, alias)
        if op.kind == "view" and op.outputs[0] not in outputs and _changes_nothing(graph, op):
            alias[op.outputs[0]] = op.inputs[0]
        else:
            kept.append(op)
    return replace(graph, ops=tuple(kept))


def _changes_nothing(graph: Graph, op: Op) -> bool:
    if len(op.inputs) != 1 or len(op.outputs) != 1:
        return False
    source, result = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if source.shape != result.shape or source.format != result.format:
        return False
    in_order = ",".join(str(axis) for axis in range(len(source.shape)))
    return op.attrs.get("fn") == "reshape" or op.attrs.get("perm") == in_order
