"""From an op to the kernel that computes its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from accelsim.errors import InputError
from accelsim.sim.bindings.linear import LINEAR
from accelsim.sim.bindings.movement import MOVEMENT
from accelsim.sim.bindings.pointwise import POINTWISE
from accelsim.sim.bindings.rows import ROWS
from accelsim.sim.bindings.values import Call, Value

#: Op kinds whose values can be computed.
BINDINGS: Mapping[str, Callable[[Call], Sequence[Value]]] = {
    **LINEAR, **POINTWISE, **ROWS, **MOVEMENT,
}  # fmt: skip


def compute(call: Call) -> Sequence[Value]:
    """Return the values of an op's outputs.

    Raises:
        InputError: there is no kernel for the op, or values that it cannot take.
    """
    found = BINDINGS.get(call.op.kind)
    if found is None:
        raise InputError(
            f"{call.op.name}: no kernel for op kind {call.op.kind!r}: its values cannot be "
            f"computed (kinds that have one: {', '.join(BINDINGS)})"
        )
    return found(call)
