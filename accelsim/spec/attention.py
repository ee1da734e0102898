"""How a chip computes attention, as its file says it: a preset, or one with changes."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from accelsim.errors import nearest
from accelsim_kernels.attention_arithmetic import ATTENTION_PRESETS, AttentionArithmetic

Storage = Literal["fp32", "bf16", "fp16"]


def _known(name: str) -> str:
    if name not in ATTENTION_PRESETS:
        raise ValueError(f"unknown attention {name!r}{nearest(name, ATTENTION_PRESETS)}")
    return name


AttentionName = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(ATTENTION_PRESETS)})
]


class AttentionSpec(BaseModel):
    """A preset of attention with changes; see docs/attention.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: AttentionName = Field(description="What it begins with.")
    block: int | None = Field(
        default=None, ge=0, le=65_536, description="Keys of a block; 0: the whole row."
    )
    order: Literal["ascending", "descending"] | None = Field(
        default=None, description="In which blocks are visited."
    )
    exponential: Literal["exp", "exp2", "exp2_cubic", "exp2_table", "exp2_fp16"] | None = Field(
        default=None, description="How e^x, or 2^x, is computed."
    )
    exponent: Literal["difference", "folded"] | None = Field(
        default=None, description="Score less maximum, or one fused multiply-add with the scale."
    )
    scores: Storage | None = Field(
        default=None, description="Format in which scores leave the first product."
    )
    probabilities: (
        Literal["storage", "fp32", "bf16", "fp16", "fp8_e4m3", "fp8_e5m2", "int8"] | None
    ) = Field(default=None, description="Format in which they enter the second product.")
    probability_scale: float | None = Field(
        default=None, gt=0, le=65_536, description="Multiplied before they are rounded to it."
    )
    sums: Literal["unrounded", "rounded"] | None = Field(
        default=None, description="Probabilities are summed before or after they are rounded."
    )
    rescale_above: float | None = Field(
        default=None, ge=0, le=64, description="Growth of the maximum that is let pass."
    )
    accumulator: Storage | None = Field(
        default=None, description="Format of the running output between blocks."
    )
    carry: Literal["continued", "added"] | None = Field(
        default=None, description="The second product goes on from the output, or is added to it."
    )
    normalize: Literal["division", "reciprocal"] | None = Field(
        default=None, description="By the sum, or with its reciprocal."
    )

    def arithmetic(self) -> AttentionArithmetic:
        """Return the arithmetic; its name lists the changes.

        Raises:
            ValueError: nothing computes attention like this.
        """
        changes = self.model_dump(exclude={"preset"}, exclude_none=True)
        listed = ",".join(f"{key}={value}" for key, value in sorted(changes.items()))
        name = f"{self.preset}[{listed}]" if changes else self.preset
        return dataclasses.replace(ATTENTION_PRESETS[self.preset], name=name, **changes)


def planned(spelled: AttentionName | AttentionSpec) -> AttentionArithmetic:
    """Return the arithmetic of a chip's attention.

    Raises:
        ValueError: fields that do not fit together, or keys in parts: plans of attention do not
            split keys, so no time belongs to such values.
    """
    how = ATTENTION_PRESETS[spelled] if isinstance(spelled, str) else spelled.arithmetic()
    if how.splits_keys:
        whole = ", ".join(name for name, row in ATTENTION_PRESETS.items() if not row.splits_keys)
        raise ValueError(
            f"{how.name} attends the keys in parts, which plans of a chip do not; allowed: {whole}"
        )
    return how
