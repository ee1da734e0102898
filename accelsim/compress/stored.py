"""The weights of a compressed model as the chip's kernels take them."""

from __future__ import annotations

from typing import Any

from accelsim.compress.grid import Coded
from accelsim.compress.pipeline import Compressed
from accelsim.graph.ir import Op, Tensor
from accelsim.sim.bindings.codes import bits_of
from accelsim.sim.bindings.weights import StoredWeight
from accelsim.sim.interpret import StoredModel
from accelsim_kernels.cast import decode_fp8
from accelsim_kernels.integer import PackedInt4, PackedInt8, pack_int4
from accelsim_kernels.matmul import PackedChain


class CompressedModel(StoredModel):
    """The weights of a compressed model: its codes, never rounded again.

    Args:
        made: what a recipe made of a model.
    """

    def __init__(self, made: Compressed) -> None:
        super().__init__(made.values)
        self._made = {target.op.name: target for target in made.targets}
        self._compressed = made
        self._coded: dict[str, StoredWeight] = {}

    def product(self, op: Op, tensor: Tensor) -> StoredWeight:
        """Return the weight of a product as its op wants it."""
        target = self._made.get(op.name)
        if target is None:
            return super().product(op, tensor)
        if op.name not in self._coded:
            self._coded[op.name] = stored_weight(self._compressed.coded(target))
        return self._coded[op.name]


def stored_weight(coded: Coded) -> StoredWeight:
    """Return a coded weight with the layout that the kernels multiply with."""
    if coded.plain:
        bits = bits_of(coded.numbers, coded.format)
        return StoredWeight(coded.format, PackedChain.of(coded.numbers), bits, coded.numbers)
    return StoredWeight(
        coded.format, _packed(coded), coded.codes, coded.numbers, coded.scales, coded.group
    )


def _packed(coded: Coded) -> Any:
    if coded.codes.dtype.kind == "u":
        return PackedChain.of(decode_fp8(coded.codes, coded.format))
    if coded.group:
        return PackedInt4.of(pack_int4(coded.codes), coded.codes.shape[1], coded.group)
    return PackedInt8.of(coded.codes)
