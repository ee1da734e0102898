"""What a recipe says: formats, scales and sparsity of every tensor, by op kind and name pattern."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from accelsim.errors import nearest
from accelsim.graph.ir import FORMAT_BITS


def _known(name: str) -> str:
    if name not in FORMAT_BITS:
        raise ValueError(f"unknown number format {name!r}{nearest(name, FORMAT_BITS)}")
    return name


#: Formats wide enough to be stored without scales.
FLOATS = ("fp64", "fp32", "fp16", "bf16")

FormatName = Annotated[str, AfterValidator(_known)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightFormat(_Part):
    """How a weight is stored.

    ``group`` is the run of K that shares a scale; 0 means one scale per output channel.
    """

    format: FormatName
    group: int = Field(default=0, ge=0, le=4096)
    scale_format: FormatName = "fp32"
    sparsity: Literal["dense", "2:4"] = "dense"

    @property
    def density(self) -> float:
        """Kept share of the elements."""
        return 0.5 if self.sparsity == "2:4" else 1.0

    def metadata_bits(self, channels: int, k: int) -> int:
        """Bits beside the codes: scales, and two index bits per kept value of 2:4."""
        if self.format in FLOATS:
            scales = 0
        else:
            groups = -(-k // self.group) if self.group else 1
            scales = channels * groups * FORMAT_BITS[self.scale_format]
        return scales + (channels * k if self.sparsity == "2:4" else 0)


class ActivationFormat(_Part):
    """How the activations of a matrix product are coded.

    ``token``: one scale per row of K, found at run time. ``tensor``: one scale, known beforehand.
    """

    format: FormatName
    granularity: Literal["token", "tensor"] = "token"
    scale_format: FormatName = "fp32"


class Rule(_Part):
    """Formats of the ops that match; the first rule that matches an op decides."""

    ops: tuple[Literal["matmul", "conv2d"], ...] = ("matmul",)
    names: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    weight: WeightFormat
    activation: ActivationFormat

    @model_validator(mode="after")
    def _tokens(self) -> Rule:
        if "conv2d" in self.ops and self.activation.granularity == "token":
            raise ValueError("a conv2d has no tokens: granularity must be tensor")
        return self

    def matches(self, kind: str, name: str) -> bool:
        """Whether an op is covered by this rule."""
        # The experts of a mixture are matrix products too.
        family = "matmul" if kind == "grouped_matmul" else kind
        if family not in self.ops or any(fnmatchcase(name, p) for p in self.exclude):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.names)


class Recipe(_Part):
    """How a model is compressed.

    ``storage`` is the format of the residual stream and of every tensor that no rule covers,
    attention and the key-value cache included.
    """

    schema_version: Literal[1]
    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    storage: Literal["bf16", "fp16", "fp32"] = "bf16"
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _scaled_weights(self) -> Recipe:
        for rule in self.rules:
            if rule.weight.group and rule.weight.group % 4 and rule.weight.sparsity == "2:4":
                raise ValueError("groups of 2:4 weights must be multiples of 4")
        return self

    def rule_for(self, kind: str, name: str) -> Rule | None:
        """Return the rule that covers an op, or None: it stays in ``storage``."""
        return next((rule for rule in self.rules if rule.matches(kind, name)), None)
