"""What a recipe says about how codes are found: methods, calibration text, rotations."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from accelsim.errors import nearest

#: What a method does: ``prepare`` moves scales between tensors and leaves the model's function as
#: it is, ``clip`` chooses the range that codes cover, ``round`` chooses the codes.
STAGES = ("prepare", "clip", "round")
#: Stage of each method, and the keys that it takes.
METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "smoothquant": ("prepare", ("alpha",)),
    "awq": ("prepare", ("grid",)),
    "mse": ("clip", ("grid", "least")),
    "percentile": ("clip", ("percent",)),
    "rtn": ("round", ()),
    "gptq": ("round", ("act_order", "damp", "block")),
    "magnitude": ("round", ()),
    "wanda": ("round", ()),
    "sparsegpt": ("round", ("damp", "block")),
}
#: Methods that look at what flows through the model.
CALIBRATED = ("smoothquant", "awq", "gptq", "wanda", "sparsegpt")
#: Methods that choose which weights are zero.
PRUNERS = ("magnitude", "wanda", "sparsegpt")


class Part(BaseModel):
    """A part of a recipe: frozen, and without keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(Part):
    """One method with its settings.

    Attributes:
        name: a key of ``METHODS``.
        alpha: smoothquant: share of the activations' range that moves into the weights.
        grid: awq, mse: how many candidates are tried.
        least: mse: the smallest share of the largest magnitude that is tried as range.
        percent: percentile: share of the magnitudes that stay inside the range.
        act_order: gptq: columns with the largest inputs first.
        damp: gptq, sparsegpt: what is added to the diagonal, as a share of its mean.
        block: gptq, sparsegpt: columns after which the others are corrected.
    """

    name: Literal[
        "smoothquant", "awq", "mse", "percentile", "rtn", "gptq", "magnitude", "wanda", "sparsegpt",
    ]  # fmt: skip
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    grid: int = Field(default=41, ge=2, le=1000)
    least: float = Field(default=0.4, gt=0.0, lt=1.0)
    percent: float = Field(default=99.9, ge=50.0, le=100.0)
    act_order: bool = True
    damp: float = Field(default=0.01, gt=0.0, le=1.0)
    block: int = Field(default=128, ge=1, le=4096)

    @property
    def stage(self) -> str:
        """One of ``STAGES``."""
        return METHODS[self.name][0]

    @property
    def takes(self) -> tuple[str, ...]:
        """The keys that this method takes."""
        return METHODS[self.name][1]

    @model_validator(mode="after")
    def _takes(self) -> Step:
        extra = sorted(self.model_fields_set - {"name", *self.takes})
        if extra:
            known = ", ".join(self.takes) or "no keys"
            raise ValueError(f"{self.name} does not take {', '.join(extra)} (it takes {known})")
        return self


def _steps(given: Any) -> Any:
    """A name or one mapping stands for a list of one; a name stands for its defaults."""
    listed = [given] if isinstance(given, str | Mapping | Step) else given
    if not isinstance(listed, list | tuple):
        return listed
    for one in listed:
        if isinstance(one, str) and one not in METHODS:
            raise ValueError(f"unknown method {one!r}{nearest(one, METHODS)}")
    return tuple({"name": one} if isinstance(one, str) else one for one in listed)


Method = Annotated[tuple[Step, ...], BeforeValidator(_steps)]


def check_steps(steps: tuple[Step, ...]) -> None:
    """Check that methods stand in the order in which they act, one of a stage.

    Raises:
        ValueError: they do not.
    """
    order = [STAGES.index(step.stage) for step in steps]
    if order != sorted(set(order)):
        names = ", ".join(step.name for step in steps)
        stages = "; ".join(
            f"{stage}: {', '.join(name for name, row in METHODS.items() if row[0] == stage)}"
            for stage in STAGES
        )
        raise ValueError(f"method is {names}: at most one of each stage is allowed, in the order "
                         f"{stages}")  # fmt: skip


class Calibration(Part):
    """The text that methods look at.

    Attributes:
        text: ``problems``, the training split of the problems that ship, or the path of a UTF-8
            text file.
        samples: windows of it.
        seq_len: tokens of each.
        seed: which windows.
    """

    text: str = Field(default="problems", min_length=1)
    samples: int = Field(default=128, ge=1, le=100_000)
    seq_len: int = Field(default=256, ge=1, le=1 << 20)
    seed: int = Field(default=0, ge=0)


class Rotation(Part):
    """Hadamard rotations. What is folded into the weights costs nothing on the chip.

    Attributes:
        residual: rotate the residual stream; the weights of RMS norms are folded into their
            readers first.
        heads: rotate values head by head, between the products of values and of outputs.
        online: patterns of products whose inputs the chip rotates at run time, one op each; their
            weights are rotated back beforehand.
        seed: of the random signs.
    """

    residual: bool = True
    heads: bool = True
    online: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)

    def is_online(self, name: str) -> bool:
        """Whether the input of a product is rotated at run time."""
        return any(fnmatchcase(name, pattern) for pattern in self.online)

    @model_validator(mode="after")
    def _something(self) -> Rotation:
        if not (self.residual or self.heads or self.online):
            raise ValueError("a rotation of nothing: say residual, heads or online")
        return self
