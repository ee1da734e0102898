"""Changes of weights that leave the model's function as it is, applied when a weight is read.

A weight of a large model is never held twice: only the vectors that it is multiplied with are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.sim.interpret import Values
from accelsim_kernels.cast import all_finite

Float32 = npt.NDArray[np.float32]


class Edit(Protocol):
    """One change of one weight."""

    def apply(self, w: Float32) -> Float32:
        """Return the changed weight, as the checkpoint lays it out."""


@dataclass(frozen=True)
class Scale:
    """Multiplies a weight along one axis."""

    axis: int
    factors: npt.NDArray[Any]

    def apply(self, w: Float32) -> Float32:
        """Return the weight times the factors."""
        shape = [1] * w.ndim
        shape[self.axis] = -1
        scaled: Float32 = (w.astype(np.float64) * self.factors.reshape(shape)).astype(np.float32)
        return scaled


@dataclass(frozen=True)
class Replace:
    """Puts other numbers in the place of a weight."""

    numbers: Float32

    def apply(self, w: Float32) -> Float32:
        """Return the other numbers."""
        return self.numbers


@dataclass
class EditedValues:
    """Values of a model with changes on top.

    Attributes:
        base: where the values come from.
        edits: by name of a weight, in the order in which they are applied.
    """

    base: Values
    edits: dict[str, list[Edit]] = field(default_factory=dict)

    def add(self, name: str, edit: Edit) -> None:
        """Change a weight once more."""
        self.edits.setdefault(name, []).append(edit)

    def read(self, name: str) -> Float32:
        """Return the values of a weight or constant in FP32.

        Raises:
            CheckpointError: it is not there, or not finite.
        """
        found = self.base.read(name)
        for edit in self.edits.get(name, ()):
            found = edit.apply(found)
        found = np.ascontiguousarray(found, np.float32)
        if name in self.edits and not all_finite(found):
            raise CheckpointError(f"{name!r} leaves the range of FP32 when it is rescaled")
        return found

    @property
    def changed(self) -> Mapping[str, Sequence[Edit]]:
        """The weights that differ from the checkpoint's."""
        return self.edits
