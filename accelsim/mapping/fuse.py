"""Which ops run as one: named rules over the op table, one walk over the graph.

Intermediates inside a group never leave the chip. Fusion decides where values travel and not what
they are: each is rounded to its tensor's format all the same, as if it had been written. Only the
sums of a product stay in the accumulator's width until they are rescaled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from accelsim.graph.ir import Graph, Op
from accelsim.graph.ops import access, kind_of


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which an op joins the group that made one of its inputs.

    Attributes:
        name: what the rule is called.
        kinds: op kinds that may join.
        onto: engines of the group's first op: ``array``, ``vector``.
        same_size: the op must yield as many elements as the group does.
        rounds: whether the value that the group had is rounded to its tensor's format.
        only: a further condition on the op.
    """

    name: str
    kinds: tuple[str, ...]
    onto: tuple[str, ...]
    same_size: bool = True
    rounds: bool = True
    only: Callable[[Op], bool] = field(default=lambda op: True)


def _is_batch_norm(op: Op) -> bool:
    return op.attrs.get("fn") == "batch_norm"


def _is_gate(op: Op) -> bool:
    return str(op.attrs.get("fn", "")).startswith("gated_")


def _is_residual(op: Op) -> bool:
    return op.attrs.get("fn") == "add" and len(op.inputs) == 2


_BOTH = ("array", "vector")

#: Tried in this order; the first that matches names the fusion.
RULES = (
    Rule("rescale", ("rescale",), ("array",), rounds=False),
    Rule("quantize_on_write", ("quantize",), _BOTH),
    Rule("gated_activation", ("elementwise",), _BOTH, only=_is_gate),
    Rule("residual", ("elementwise",), _BOTH, only=_is_residual),
    Rule("batch_norm", ("norm",), _BOTH, only=_is_batch_norm),
    Rule("rotary_embedding", ("rotary",), _BOTH),
    Rule("epilogue", ("elementwise", "activation"), _BOTH),
    # These look along whole rows, which only a vector group has on chip.
    Rule("norm", ("norm", "softmax"), ("vector",)),
    Rule("row_statistic", ("absmax", "reduce"), ("vector",), same_size=False),
    Rule("cache_write", ("kv_append",), _BOTH, same_size=False),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Ops that run as one, in order; the first is the anchor.

    Attributes:
        ops: members.
        rules: rule by which each member after the first joined.
        reads: bits read from outside, by tensor.
        late_reads: those of them that members after the anchor ask for, who cannot use what the
            anchor has loaded: a tile of its input is not a tile of its output.
        writes: bits stored for others to read.
    """

    ops: tuple[Op, ...]
    rules: tuple[str, ...]
    reads: Mapping[str, int]
    late_reads: Mapping[str, int]
    writes: Mapping[str, int]

    @property
    def anchor(self) -> Op:
        """The op that the others joined."""
        return self.ops[0]


def roots(graph: Graph) -> Mapping[str, str]:
    """Return the tensor whose bytes each tensor names: views share those of their input."""
    found = {name: name for name in graph.tensors}
    for op in graph.ops:
        if kind_of(op).engine == "free" and op.inputs:
            for out in op.outputs:
                found[out] = found[op.inputs[0]]
    return found


class _Open:
    """A group that is still growing."""

    def __init__(self, op: Op, engine: str, elements: int) -> None:
        self.ops = [op]
        self.rules: list[str] = []
        self.engine = engine
        self.elements = elements
        self.made = set(op.outputs)


def fuse(graph: Graph) -> tuple[Group, ...]:
    """Return the groups in execution order; views belong to none."""
    root = roots(graph)
    groups: list[_Open] = []
    maker: dict[str, int] = {}
    for op in graph.ops:
        engine = kind_of(op).engine
        if engine == "free":
            continue
        home = _home(graph, op, root, groups, maker)
        if home is None:
            home = len(groups)
            groups.append(_Open(op, engine, _elements(graph, op)))
        maker.update(dict.fromkeys(op.outputs, home))
    readers = _readers(graph, root)
    kept = {root[name] for name in graph.outputs}
    return tuple(_close(graph, group, root, readers, kept) for group in groups)


def _elements(graph: Graph, op: Op) -> int:
    """Elements that flow through a group that starts with this op."""
    sizes = [graph.tensors[op.outputs[0]].numel]
    if op.kind in ("absmax", "reduce"):
        sizes.append(graph.tensors[op.inputs[0]].numel)
    return max(sizes)


def _home(
    graph: Graph, op: Op, root: Mapping[str, str], groups: list[_Open], maker: dict[str, int]
) -> int | None:
    """Join the newest group that made an input, when a rule allows it; return its number."""
    sources = [maker[root[name]] for name in op.inputs if root[name] in maker]
    if not sources:
        return None
    newest = max(sources)
    group = groups[newest]
    rule = _rule(graph, op, group)
    if rule is None:
        return None
    group.ops.append(op)
    group.rules.append(rule.name)
    group.made.update(op.outputs)
    if rule.same_size:
        group.elements = graph.tensors[op.outputs[0]].numel
    return newest


def _rule(graph: Graph, op: Op, group: _Open) -> Rule | None:
    if group.engine == "memory":
        return None
    size = graph.tensors[op.outputs[0]].numel
    for rule in RULES:
        if op.kind not in rule.kinds or group.engine not in rule.onto or not rule.only(op):
            continue
        if size == group.elements or not rule.same_size:
            return rule
    return None


def _readers(graph: Graph, root: Mapping[str, str]) -> Mapping[str, set[str]]:
    """Names of the ops that read each tensor's bytes, through whatever view."""
    found: dict[str, set[str]] = {}
    for op in graph.ops:
        if kind_of(op).engine != "free":
            for name in op.inputs:
                found.setdefault(root[name], set()).add(op.name)
    return found


def _close(
    graph: Graph,
    group: _Open,
    root: Mapping[str, str],
    readers: Mapping[str, set[str]],
    kept: set[str],
) -> Group:
    inside = {op.name for op in group.ops}
    reads: dict[str, int] = {}
    late: dict[str, int] = {}
    writes: dict[str, int] = {}
    for op in group.ops:
        bits = access(graph, op)
        for name, amount in bits.read.items():
            if root[name] not in group.made:
                # A view that repeats values (grouped heads) still reads each byte once.
                once = min(amount, max(graph.tensors[root[name]].bits, 1))
                reads[name] = max(reads.get(name, 0), once)
                if op is not group.ops[0]:
                    late[name] = max(late.get(name, 0), once)
        for name, amount in bits.written.items():
            if name in kept or readers.get(name, set()) - inside:
                writes[name] = amount
    return Group(tuple(group.ops), tuple(group.rules), reads, late, writes)
