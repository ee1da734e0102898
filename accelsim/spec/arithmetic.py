"""How an array adds up products, as a chip's file says it: a preset, or one with changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from accelsim.errors import nearest
from accelsim_kernels.formats import FORMATS
from accelsim_kernels.presets import PRESETS, Arithmetic, changed


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"unknown number format {name!r}{nearest(name, FORMATS)}")
    return name


def _known_preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"unknown arithmetic {name!r}{nearest(name, PRESETS)}")
    return name


FormatName = Annotated[str, AfterValidator(_known_format)]
PresetName = Annotated[str, AfterValidator(_known_preset)]


class ArithmeticSpec(BaseModel):
    """A preset with changes: what a unit that is not built yet could do instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName = Field(description="What it begins with.")
    accumulator: FormatName | None = Field(default=None, description="Format of the running sum.")
    spill: FormatName | None = Field(
        default=None, description="Format in which partial sums leave the unit."
    )
    chunk: int | None = Field(
        default=None, ge=1, le=4096, description="Products added before the sum is rounded."
    )
    fraction_bits: int | None = Field(
        default=None, ge=1, le=60, description="Kept when the products of a chunk are aligned."
    )
    kept_bits: int | None = Field(
        default=None, ge=1, le=52, description="Fraction bits of the running sum."
    )
    rounding: Literal["nearest_even", "toward_zero"] | None = Field(
        default=None, description="Of the running sum."
    )
    promotion: int | None = Field(
        default=None, ge=0, description="K after which the sum moves to FP32; 0: never."
    )
    depth: int | None = Field(
        default=None, ge=0, description="K after which a partial sum is spilled; 0: never."
    )
    overflow: Literal["wrap", "saturate"] | None = Field(
        default=None, description="Of integer sums."
    )

    @model_validator(mode="after")
    def _can_be_computed(self) -> ArithmeticSpec:
        self.arithmetic()
        return self

    def arithmetic(self) -> Arithmetic:
        """Return the arithmetic; its name lists the changes.

        Raises:
            ValueError: the unit has no such thing to change, or not to this value.
        """
        changes = self.model_dump(exclude={"preset"}, exclude_none=True)
        return changed(PRESETS[self.preset], **changes)
