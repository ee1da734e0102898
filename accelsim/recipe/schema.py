"""What a recipe says: formats, scales and sparsity of every tensor, by op kind and name pattern."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from accelsim.errors import nearest
from accelsim.graph.ir import FORMAT_BITS
from accelsim.recipe.methods import (
    PRUNERS,
    Calibration,
    Method,
    Part,
    Rotation,
    Step,
    check_steps,
)


def _known(name: str) -> str:
    if name not in FORMAT_BITS:
        raise ValueError(f"unknown number format {name!r}{nearest(name, FORMAT_BITS)}")
    return name


#: Formats wide enough to be stored without scales.
FLOATS = ("fp64", "fp32", "fp16", "bf16")

#: Formats of scales that a block of codes shares, the formats of codes that have them, and the
#: rules by which they are found: MX (OCP Microscaling Formats 1.0) and NVFP4.
BLOCK_SCALES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "e8m0": (
        ("fp8_e4m3", "fp8_e5m2", "fp6_e3m2", "fp6_e2m3", "fp4_e2m1"),
        ("floor", "even", "ceil", "rceil"),
    ),
    "ue4m3": (("fp4_e2m1",), ("absmax",)),
}

FormatName = Annotated[str, AfterValidator(_known)]


class WeightFormat(Part):
    """How a weight is stored.

    ``group`` is the run of K that shares a scale; 0 means one scale per output channel.
    ``scale_rule`` says how the scale of a block follows from its largest magnitude; empty: the
    first rule of the format of the scales.
    """

    format: FormatName
    group: int = Field(default=0, ge=0, le=4096)
    scale_format: FormatName = "fp32"
    scale_rule: Literal["", "floor", "even", "ceil", "rceil", "absmax"] = ""
    sparsity: Literal["dense", "2:4", "4:8"] = "dense"

    @model_validator(mode="after")
    def _blocks(self) -> WeightFormat:
        codes, rules = BLOCK_SCALES.get(self.scale_format, ((), ()))
        if not codes and self.scale_rule:
            raise ValueError(
                f"scale_rule is for scales of blocks ({', '.join(BLOCK_SCALES)}), scale_format is "
                f"{self.scale_format}"
            )
        if codes and (self.format not in codes or not self.group):
            raise ValueError(
                f"{self.scale_format} scales need a group, and codes of {', '.join(codes)}; format "
                f"is {self.format}, group {self.group}"
            )
        if codes and self.scale_rule and self.scale_rule not in rules:
            raise ValueError(
                f"scale_rule is {self.scale_rule!r}; {self.scale_format} takes {', '.join(rules)}"
            )
        return self

    @property
    def pattern(self) -> tuple[int, int] | None:
        """How many weights are kept of how many along K; None: all."""
        if self.sparsity == "dense":
            return None
        kept, of = self.sparsity.split(":")
        return int(kept), int(of)

    @property
    def density(self) -> float:
        """Kept share of the elements."""
        return 1.0 if self.pattern is None else self.pattern[0] / self.pattern[1]

    def metadata_bits(self, channels: int, k: int) -> int:
        """Bits beside the codes: scales, and the place of each kept value in its group."""
        if self.format in FLOATS:
            scales = 0
        else:
            groups = -(-k // self.group) if self.group else 1
            scales = channels * groups * FORMAT_BITS[self.scale_format]
        if self.pattern is None:
            return scales
        kept, of = self.pattern
        return scales + channels * k // of * kept * (of - 1).bit_length()


class ActivationFormat(Part):
    """How the activations of a matrix product are coded.

    ``token``: one scale per row of K, found at run time. ``tensor``: one scale, known beforehand.
    """

    format: FormatName
    granularity: Literal["token", "tensor"] = "token"
    scale_format: FormatName = "fp32"


class CacheFormat(Part):
    """How keys and values are kept: one scale per token and head, found when they are appended."""

    format: Literal["int8", "int4", "fp8_e4m3", "fp8_e5m2"]
    scale_format: Literal["fp32", "fp16", "bf16"] = "fp16"


class Rule(Part):
    """Formats of the ops that match; the first rule that matches an op decides.

    ``method`` says how the codes of weights are found: rounded to nearest when nothing is said.
    """

    ops: tuple[Literal["matmul", "conv2d"], ...] = ("matmul",)
    names: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    weight: WeightFormat
    activation: ActivationFormat
    method: Method = ()

    def step(self, stage: str) -> Step | None:
        """Return the method of a stage, or None."""
        return next((step for step in self.method if step.stage == stage), None)

    @property
    def rounding(self) -> Step:
        """How codes are chosen: as said, or by magnitude where weights are pruned, else nearest."""
        found = self.step("round")
        if found is not None:
            return found
        return Step(name="rtn" if self.weight.pattern is None else "magnitude")

    @model_validator(mode="after")
    def _method_fits(self) -> Rule:
        check_steps(self.method)
        name, sparse = self.rounding.name, self.weight.pattern is not None
        plain = self.weight.format in FLOATS
        if name in PRUNERS and not sparse:
            raise ValueError(f"{name} prunes, and the weight's sparsity is dense: say 2:4 or 4:8")
        if name not in PRUNERS and sparse:
            raise ValueError(
                f"{name} does not prune, and the weight's sparsity is {self.weight.sparsity}: "
                f"say {', '.join(PRUNERS)}"
            )
        clip = self.step("clip")
        for step in (self.rounding if name == "gptq" else None, clip, self.step("prepare")):
            if step is not None and plain and not (step.stage == "prepare" and self._coded):
                raise ValueError(
                    f"{step.name} finds codes, and {self.weight.format} weights have none"
                )
        return self

    @property
    def _coded(self) -> bool:
        return self.weight.format not in FLOATS or self.activation.format not in FLOATS

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


class Recipe(Part):
    """How a model is compressed.

    ``storage`` is the format of the residual stream and of every tensor that no rule covers,
    attention included, and the key-value cache where ``kv_cache`` says nothing else.
    """

    schema_version: Literal[1]
    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    storage: Literal["bf16", "fp16", "fp32"] = "bf16"
    calibration: Calibration = Calibration()
    rotation: Rotation | None = None
    kv_cache: CacheFormat | None = None
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _scaled_weights(self) -> Recipe:
        for rule in self.rules:
            pattern = rule.weight.pattern
            if pattern is not None and rule.weight.group % pattern[1]:
                raise ValueError(
                    f"groups of {rule.weight.sparsity} weights must be multiples of {pattern[1]}"
                )
        return self

    def rule_for(self, kind: str, name: str) -> Rule | None:
        """Return the rule that covers an op, or None: it stays in ``storage``."""
        return next((rule for rule in self.rules if rule.matches(kind, name)), None)
