"""Rotations folded into weights: of the residual stream, and of values head by head."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.compress.edits import EditedValues, Replace, Scale
from accelsim.compress.methods.hadamard import Rotate, Rotation
from accelsim.compress.pairs import is_product, readers_of
from accelsim.errors import RecipeError
from accelsim.graph.ir import Graph, Op
from accelsim.recipe.methods import Rotation as Wanted

_TURN = "0,2,1,3"


def rotate(graph: Graph, wanted: Wanted, values: EditedValues) -> None:
    """Change the weights of a model so that it computes the same with rotated activations.

    Args:
        graph: of a prefill, as it was recorded.
        wanted: what is rotated.
        values: of the model, which are changed.

    Raises:
        RecipeError: something else than RMS norms and products reads what would be rotated, or a
            size that has no Hadamard matrix.
    """
    if wanted.residual:
        _Residual(graph).rotate(values, wanted.seed)
    if wanted.heads:
        rotate_heads(graph, values, wanted.seed)
    for op in graph.ops:
        if is_product(graph, op) and wanted.is_online(op.name):
            rotation = Rotation.plain(graph.tensors[op.inputs[0]].shape[-1])
            values.add(op.inputs[1], Rotate(_input_axis(op), rotation))


def _input_axis(op: Op) -> int:
    return 0 if op.attrs.get("weight_is_kn") else 1


@dataclass
class _Residual:
    """What makes, reads and joins the residual stream."""

    graph: Graph
    tables: list[str] = field(default_factory=list)
    writers: list[Op] = field(default_factory=list)
    norms: list[Op] = field(default_factory=list)
    stream: set[str] = field(default_factory=set)

    def rotate(self, values: EditedValues, seed: int) -> None:
        self._walk()
        size = self.graph.tensors[next(iter(self.stream))].shape[-1]
        rotation = Rotation.drawn(size, seed)
        for name in self.tables:
            values.add(name, Rotate(1, rotation))
        for op in self.writers:
            values.add(op.inputs[1], Rotate(1 - _input_axis(op), rotation))
            if len(op.inputs) > 2:
                values.add(op.inputs[2], Rotate(0, rotation))
        for op in self.norms:
            weight = values.read(op.inputs[1])
            for reader in readers_of(self.graph, op.outputs[0]) or ():
                values.add(reader.inputs[1], Scale(_input_axis(reader), weight))
                values.add(reader.inputs[1], Rotate(_input_axis(reader), rotation))
            values.add(op.inputs[1], Replace(weight * 0 + 1))

    def _walk(self) -> None:
        for op in self.graph.ops:
            if op.kind == "gather" and op.attrs.get("fn") == "rows" and "input_ids" in op.inputs:
                self._take_table(op)
            elif self.stream.intersection(op.inputs):
                self._take(op)
        if not self.norms:
            raise RecipeError(f"{self.graph.name}: no RMS norm reads a residual stream to rotate")

    def _take_table(self, op: Op) -> None:
        name = op.inputs[0]
        shared = [self.graph.ops[i].name for i in self.graph.consumers[name]]
        if len(shared) > 1:
            raise RecipeError(
                f"rotation.residual: the table {name!r} is read by {', '.join(shared)}; tied "
                "embeddings must be untied in the checkpoint first"
            )
        self.tables.append(name)
        self.stream.add(op.outputs[0])

    def _take(self, op: Op) -> None:
        if op.kind == "norm" and op.attrs.get("fn") == "rms_norm" and len(op.inputs) == 2:
            if self._is_weight(op.inputs[1]) and readers_of(self.graph, op.outputs[0]):
                self.norms.append(op)
                return
        elif op.kind == "elementwise" and op.attrs.get("fn") == "add":
            for name in op.inputs:
                if name not in self.stream:
                    self.writers.append(self._writer(op, name))
            self.stream.add(op.outputs[0])
            return
        raise RecipeError(
            f"rotation.residual: {op.name} ({op.kind}) reads the residual stream; only RMS norms "
            "before products, and additions of products, stay the same when it is rotated"
        )

    def _writer(self, op: Op, name: str) -> Op:
        index = self.graph.producer.get(name)
        made = None if index is None else self.graph.ops[index]
        alone = len(self.graph.consumers[name]) == 1 and name not in self.graph.outputs
        if made is None or not alone or not is_product(self.graph, made):
            raise RecipeError(
                f"rotation.residual: {op.name} adds {name!r}, which no product makes for it alone"
            )
        return made

    def _is_weight(self, name: str) -> bool:
        return self.graph.tensors[name].role == "weight"


def rotate_heads(graph: Graph, values: EditedValues, seed: int) -> None:
    """Rotate what attention mixes, head by head, from products of values to those of outputs.

    Raises:
        RecipeError: no attention, or one whose values and outputs are more than rearranged.
    """
    found = [op for op in graph.ops if op.kind == "attention"]
    if not found:
        raise RecipeError(f"rotation.heads: {graph.name} has no attention")
    for op in found:
        before, after = _maker(graph, op.inputs[2]), _reader(graph, op.outputs[0])
        if before is None or after is None:
            raise RecipeError(
                f"rotation.heads: {op.name}: its values and outputs are not those of products alone"
            )
        rotation = Rotation.drawn(graph.tensors[op.outputs[0]].shape[-1], seed)
        values.add(before.inputs[1], Rotate(1 - _input_axis(before), rotation))
        if len(before.inputs) > 2:
            values.add(before.inputs[2], Rotate(0, rotation))
        values.add(after.inputs[1], Rotate(_input_axis(after), rotation))


def _maker(graph: Graph, name: str) -> Op | None:
    """Follow values back to their product, through the cache and a change of layout."""
    turned = False
    while (index := graph.producer.get(name)) is not None:
        op = graph.ops[index]
        if is_product(graph, op):
            return op if turned and len(graph.consumers[name]) == 1 else None
        if op.kind == "view" and _turns(op):
            turned = True
        elif op.kind != "kv_append" and not (op.kind == "view" and op.attrs["fn"] == "reshape"):
            return None
        if len(graph.consumers[name]) != 1:
            return None
        name = op.inputs[-1]
    return None


def _reader(graph: Graph, name: str) -> Op | None:
    """Follow outputs to the product that reads them."""
    turned = False
    while len(graph.consumers[name]) == 1 and name not in graph.outputs:
        op = graph.ops[graph.consumers[name][0]]
        if is_product(graph, op) and op.inputs[0] == name:
            return op if turned else None
        if op.kind != "view" or not (_turns(op) or op.attrs.get("fn") == "reshape"):
            return None
        turned = turned or _turns(op)
        name = op.outputs[0]
    return None


def _turns(op: Op) -> bool:
    return op.attrs.get("fn") == "permute" and op.attrs.get("perm") == _TURN
