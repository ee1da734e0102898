"""What the recorder's tables speak of: one call of a torch function, and the op drafted for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from accelsim.errors import CaptureError
from accelsim.graph.ir import Attr

#: torch's number types and the names of the formats that store them.
DTYPES: Mapping[torch.dtype, str] = {
    torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64",
    torch.float8_e4m3fn: "fp8_e4m3", torch.float8_e5m2: "fp8_e5m2", torch.bool: "bool",
    torch.uint8: "uint8", torch.int8: "int8", torch.int16: "int16", torch.int32: "int32",
    torch.int64: "int64",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call of a torch function that has returned."""

    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    out: Any

    def arg(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument wherever the caller put it."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)

    @property
    def x(self) -> torch.Tensor:
        """The first argument, which nearly every function calls ``input``."""
        found = self.args[0] if self.args else self.kwargs.get("input", self.kwargs.get("self"))
        if not isinstance(found, torch.Tensor):
            raise Refusal(f"{self.name} is called without a tensor as its first argument")
        return found


@dataclass(frozen=True)
class Draft:
    """An op before it has names.

    Attributes:
        kind: a key of the op table.
        inputs: the tensors that it reads.
        attrs: plain values.
        label: what names the op; the function's name when empty.
        outputs: the tensors that it makes; the call's own result when None.
    """

    kind: str
    inputs: tuple[torch.Tensor, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    label: str = ""
    outputs: tuple[torch.Tensor, ...] | None = None


#: A rule drafts the op of a call, several ops, or None when the call did nothing.
Rule = Callable[[Call], "Draft | list[Draft] | None"]


class Refusal(CaptureError):
    """A call that cannot be recorded; the recorder adds function and module path."""


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Return the tensors of a nest of tuples, lists, mappings and model outputs, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in tensors_in(item)]
    if isinstance(value, (tuple, list)):
        return [t for item in value for t in tensors_in(item)]
    return []


def shares_storage(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Tell whether two tensors are views of the same bytes; it also works without bytes (meta)."""
    return bool(a.untyped_storage()._cdata == b.untyped_storage()._cdata)


def axis_of(axis: int, rank: int) -> int:
    """Return a non-negative axis."""
    return axis + rank if axis < 0 else axis


def axes_text(axes: Any, rank: int) -> str:
    """Return axes as text, since an attribute is one plain value: ``"1,2"``; all when None."""
    if axes is None or (isinstance(axes, (tuple, list)) and not axes):
        return ",".join(str(axis) for axis in range(rank))
    listed = axes if isinstance(axes, (tuple, list)) else (axes,)
    return ",".join(str(axis_of(int(axis), rank)) for axis in listed)


def pair(value: Any) -> tuple[int, int]:
    """Return a height and a width from what torch accepts for both."""
    if isinstance(value, (tuple, list)):
        return (int(value[0]), int(value[-1]))
    return (int(value), int(value))
