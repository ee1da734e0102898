"""A model's families as one JSON file: shapes and attributes interned, one op per line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from accelsim.errors import GraphError, InputError
from accelsim.graph.family import GraphFamily, OpForm, Record, Size, TensorForm, fit_family
from accelsim.graph.ir import Graph, Op
from accelsim.graph.polynomial import Polynomial, parse
from accelsim.graph.request import GraphRequest, Kind
from accelsim.graph.rewrite import output_names
from accelsim.graph.values import ModelValues

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FamilyModel:
    """A model as its families: a ``ModelSource`` that needs no torch.

    Attributes:
        name: the model's name.
        kind: what it reads.
        parameters: parameters of the model, tied ones once.
        source: where its hyperparameters come from.
        families: by phase.
        longest: tokens for which it has learned positions; None when nothing limits them.
        constants: values of the graph's constants, where weights ship too.
        values: where the values of its weights come from; None when only shapes are known.
    """

    name: str
    kind: Kind
    parameters: int
    source: str
    families: Mapping[str, GraphFamily] = field(default_factory=dict)
    longest: int | None = None
    constants: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    values: ModelValues | None = field(default=None, compare=False)

    def graph(self, request: GraphRequest) -> Graph:
        """Return the graph of a request.

        Raises:
            InputError: the model has no such phase, or not so many positions.
        """
        family = self.families.get(request.phase)
        if family is None:
            raise InputError(
                f"{self.name}: a {self.kind} model has no {request.phase} phase; "
                f"known: {', '.join(self.families)}"
            )
        used = request.seq_len if request.phase == "prefill" else request.context_len + 1
        if self.longest is not None and used > self.longest:
            raise InputError(f"{self.name}: {used} tokens; it has {self.longest} positions")
        return family.build(request)


def fit_model(
    record: Record, name: str, kind: Kind, parameters: int, source: str, longest: int | None = None
) -> FamilyModel:
    """Fit every phase of a model from recordings.

    Raises:
        CaptureError: a phase whose sizes are no polynomials.
    """
    phases = ("prefill", "decode") if kind == "language" else ("prefill",)
    families = {phase: fit_family(record, kind, phase, longest) for phase in phases}
    return FamilyModel(name, kind, parameters, source, families, longest)


class _Table:
    """Distinct values in the order of their first use."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._index: dict[str, int] = {}

    def at(self, value: Any) -> int:
        """Return the index of a value."""
        key = json.dumps(value)
        if key not in self._index:
            self._index[key] = len(self.rows)
            self.rows.append(value)
        return self._index[key]


def _size(size: Size) -> int | str:
    return size if isinstance(size, int) else str(size)


def dumps(model: FamilyModel) -> str:
    """Return a model as text: equal models give equal text."""
    head: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION, "name": model.name, "kind": model.kind,
        "parameters": model.parameters, "source": model.source, "longest": model.longest,
    }  # fmt: skip
    if model.constants:
        head["constants"] = {name: list(values) for name, values in model.constants.items()}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    phases = [f"{json.dumps(p)}: {_family_text(f)}" for p, f in model.families.items()]
    lines.append('"families": {\n' + ",\n".join(phases) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _family_text(family: GraphFamily) -> str:
    specs, attrs = _Table(), _Table()
    forms = {form.name: form for form in family.tensors}

    def spec(name: str) -> int:
        form = forms[name]
        return specs.at([form.role, form.format, [_size(size) for size in form.shape]])

    ops = [
        [form.op.name, form.op.kind, list(form.op.inputs),
         attrs.at({"set": dict(form.op.attrs)} | (
             {"sizes": {key: str(size) for key, size in form.sizes}} if form.sizes else {})),
         [spec(name) for name in form.op.outputs],
         *([form.op.module] if form.op.module != _prefix(form.op.name) else [])]
        for form in family.ops
    ]  # fmt: skip
    made = {name for form in family.ops for name in form.op.outputs}
    order = [form.name for form in family.tensors]
    given = [[name, spec(name)] for name in order if name not in made]
    parts = {"specs": specs.rows, "attrs": attrs.rows, "tensors": given, "ops": ops}
    lines = [f'"{key}": [\n' + ",\n".join(map(_line, rows)) + "\n]" for key, rows in parts.items()]
    lines.append(f'"outputs": {_line(list(family.outputs))}')
    return "{\n" + ",\n".join(lines) + "\n}"


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _prefix(name: str) -> str:
    return name.rpartition(".")[0]


@cache
def _parsed(text: str) -> Polynomial:
    return parse(text)


def loads(text: str, where: str) -> FamilyModel:
    """Read what ``dumps`` writes.

    Raises:
        InputError: the text is not such a file.
    """
    try:
        data = json.loads(text)
        if data["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{where}: schema_version is {data['schema_version']}, not 1")
        kind = cast(Kind, data["kind"])
        families = {
            phase: _family(part, data["name"], kind, phase)
            for phase, part in data["families"].items()
        }
        constants = {name: tuple(values) for name, values in data.get("constants", {}).items()}
        return FamilyModel(
            data["name"], kind, data["parameters"], data["source"], families, data["longest"],
            constants,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError, GraphError) as error:
        raise InputError(
            f"{where}: not a graph family ({type(error).__name__}: {error}); record it again with "
            "python -m accelsim.graph.zoo"
        ) from None


def _family(data: Mapping[str, Any], name: str, kind: Kind, phase: str) -> GraphFamily:
    specs = [(role, fmt, tuple(map(_read_size, shape))) for role, fmt, shape in data["specs"]]
    attrs = [
        (row["set"], tuple((k, _parsed(v)) for k, v in row.get("sizes", {}).items()))
        for row in data["attrs"]
    ]

    def form(tensor: str, index: int) -> TensorForm:
        role, fmt, shape = specs[index]
        return TensorForm(tensor, shape, role, fmt)

    tensors = [form(tensor, index) for tensor, index in data["tensors"]]
    ops: list[OpForm] = []
    for op, op_kind, inputs, attr, made, *module in data["ops"]:
        outputs = output_names(op, len(made))
        path = module[0] if module else _prefix(op)
        fixed, sizes = attrs[attr]
        ops.append(OpForm(Op(op, op_kind, tuple(inputs), outputs, fixed, path), sizes))
        tensors += [form(*pair) for pair in zip(outputs, made, strict=True)]
    return GraphFamily(name, kind, phase, tuple(tensors), tuple(ops), tuple(data["outputs"]))


def _read_size(size: int | str) -> Size:
    return size if isinstance(size, int) else _parsed(size)


def load(path: Path) -> FamilyModel:
    """Read a file of families.

    Raises:
        InputError: the file is missing or is not such a file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return loads(text, str(path))


def changed_lines(old: str, new: str) -> Sequence[int]:
    """Return the numbers of the lines that differ, for a message about a stale file."""
    before, after = old.splitlines(), new.splitlines()
    longest = max(len(before), len(after))
    return [i + 1 for i in range(longest) if before[i : i + 1] != after[i : i + 1]]
