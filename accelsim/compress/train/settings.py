"""How a compressed model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accelsim.errors import InputError, nearest


class TrainSettings(BaseModel):
    """Steps, rates, and the parts of the loss.

    Attributes:
        steps: how many.
        rows: of tokens in a step.
        length: tokens of a row.
        rate: largest learning rate; it rises for a twentieth of the steps and then falls.
        decay: weight decay of the matrices.
        kl: weight of the divergence from the teacher's logits.
        temperature: of both softmaxes in it.
        hidden: weight of the squared error of the hidden states.
        task: weight of the data's own cross-entropy.
        text: ``problems``, the training split of the problems that ship, or a UTF-8 text file.
        seed: of the rows that are drawn.
        exact_steps: how many of the last steps run in the chip's own arithmetic.
        threads: that sums are shared by; they decide the last bits.
        keep_every: steps between checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=400, ge=1)
    rows: int = Field(default=16, ge=1, le=65536)
    length: int = Field(default=144, ge=2, le=1 << 20)
    rate: float = Field(default=5e-4, gt=0.0, le=1.0)
    decay: float = Field(default=0.0, ge=0.0, le=1.0)
    kl: float = Field(default=1.0, ge=0.0)
    temperature: float = Field(default=1.0, gt=0.0, le=100.0)
    hidden: float = Field(default=0.1, ge=0.0)
    task: float = Field(default=0.0, ge=0.0)
    text: str = Field(default="problems", min_length=1)
    seed: int = Field(default=0, ge=0)
    exact_steps: int = Field(default=0, ge=0)
    threads: int = Field(default=2, ge=1, le=256)
    keep_every: int = Field(default=50, ge=1)


def settings_of(given: TrainSettings | Mapping[str, Any] | None) -> TrainSettings:
    """Return settings, checked.

    Raises:
        InputError: an unknown key, a value out of range, or a loss without parts.
    """
    if given is None or isinstance(given, TrainSettings):
        made = given or TrainSettings()
    else:
        known = TrainSettings.model_fields
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise InputError(f"training: unknown key {unknown[0]!r}{nearest(unknown[0], known)}")
        try:
            made = TrainSettings.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"training: {first['loc'][0]}: {first['msg']}") from None
    if not (made.kl or made.hidden or made.task):
        raise InputError("training: kl, hidden and task are 0: there is nothing to learn from")
    if made.exact_steps > made.steps:
        raise InputError(
            f"training: exact_steps is {made.exact_steps}, of {made.steps} steps in all"
        )
    return made
