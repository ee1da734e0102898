"""Fake quantization in torch with straight-through gradients, to the codes of the kernels.

Rows that share a scale are rounded in torch, wherever they lie; block formats are rounded by the
kernels themselves. Ranges follow the largest magnitude, so nothing is clipped and the gradient of
rounding is taken for the identity (Y. Bengio et al., arXiv 1308.3432).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from accelsim.errors import RecipeError
from accelsim.recipe.schema import FLOATS, ActivationFormat, WeightFormat
from accelsim_kernels import torch_ops
from accelsim_kernels.blocks import BLOCK_FORMATS, tensor_scale
from accelsim_kernels.nm import keep_nm
from accelsim_kernels.quantize import QMAX

#: Formats of scales, of FP8 codes and of storage, as torch has them.
TYPES = {
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
    "fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2,
}  # fmt: skip


@dataclass(frozen=True)
class Coding:
    """How rows of numbers are coded.

    Attributes:
        format: of the codes: rows with a scale, a block format, or a plain one.
        group: elements of a row that share a scale; 0: the whole row, or what a block format says.
        scale_format: of the scales of rows.
        scale_rule: of a block format; empty: its default.
        kept: of 2:4 and its like, how many of how many are kept; None: all.
    """

    format: str
    group: int = 0
    scale_format: str = "fp32"
    scale_rule: str = ""
    kept: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            RecipeError: a format that is not trained in.
        """
        if self.format not in (*FLOATS, *QMAX, *BLOCK_FORMATS):
            known = ", ".join((*FLOATS, *QMAX, *BLOCK_FORMATS))
            raise RecipeError(f"no training in {self.format} (known: {known})")
        if self.scale_format not in TYPES:
            raise RecipeError(f"no training with scales of {self.scale_format}")

    @property
    def plain(self) -> bool:
        """Whether there are no codes."""
        return self.format in FLOATS

    @classmethod
    def of_weight(cls, wanted: WeightFormat) -> Coding:
        """Return how a recipe codes a weight."""
        return cls._of(wanted, wanted.group, _pattern(wanted.sparsity))

    @classmethod
    def of_activation(cls, wanted: ActivationFormat) -> Coding:
        """Return how a recipe codes activations.

        Raises:
            RecipeError: one scale for a whole tensor, which is not trained with.
        """
        if wanted.format not in FLOATS and wanted.granularity == "tensor":
            raise RecipeError("training takes activations with one scale per token")
        return cls._of(wanted, getattr(wanted, "group", 0), None)

    @classmethod
    def _of(cls, wanted: Any, group: int, kept: tuple[int, int] | None) -> Coding:
        """Return a block format where the scale is one of blocks, else rows or runs of them."""
        block = _BLOCKS.get((wanted.format, wanted.scale_format))
        rule = str(getattr(wanted, "scale_rule", ""))
        if block is not None:
            return cls(block, group, "fp32", rule, kept)
        return cls(wanted.format, group, wanted.scale_format, "", kept)


#: Block formats by those of their codes and scales, as recipes spell them.
_BLOCKS = {(row.element, row.scale): name for name, row in BLOCK_FORMATS.items()}


def _pattern(sparsity: str) -> tuple[int, int] | None:
    if sparsity == "dense":
        return None
    kept, of = sparsity.split(":")
    return int(kept), int(of)


def mask_of(weight: Any, kept: tuple[int, int]) -> Any:
    """Return which weights ``[n, k]`` magnitude pruning keeps; those that are zero go first."""
    found = keep_nm(weight.detach().float().abs().cpu().numpy(), *kept)
    return torch.from_numpy(found).to(weight.device)


def coded(x: Any, coding: Coding, whole: float = 1.0) -> Any:
    """Return FP32 rows ``[..., k]`` as their codes say; the gradient passes.

    Args:
        x: finite numbers.
        coding: how they are coded; its pattern of zeros is not looked at.
        whole: the scale above the scales of NVFP4.
    """
    if coding.plain:
        return x if coding.format in ("fp32", "fp64") else _Passed.apply(x, coding)
    if coding.format in BLOCK_FORMATS:
        return torch_ops.fake_quantize_blocks(
            x, coding.format, coding.scale_rule, block=coding.group, tensor_scale=whole
        )
    return _Passed.apply(x, coding)


def whole_scale(weight: Any, coding: Coding) -> float:
    """Return the scale above the scales of a weight's blocks."""
    if coding.format != "nvfp4":
        return 1.0
    return tensor_scale(weight.detach().float().cpu().numpy())


class _Passed(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """Rounding whose gradient is the identity."""

    @staticmethod
    def forward(ctx: Any, x: Any, coding: Coding) -> Any:
        """Return what codes stand for."""
        if coding.plain:
            return x.to(TYPES[coding.format]).float()
        return _rows(x, coding)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """Pass."""
        return grad, None


def _rows(x: Any, coding: Coding) -> Any:
    """Round rows, or runs of rows, that share a scale; as ``accelsim_kernels.quantize`` does."""
    k = x.shape[-1]
    size = coding.group or k
    missing = -k % size
    padded = torch.nn.functional.pad(x, (0, missing)) if missing else x
    parts = padded.unflatten(-1, (-1, size))
    most, kind = QMAX[coding.format], TYPES[coding.scale_format]
    edges = torch.finfo(kind)
    largest = parts.abs().amax(-1, keepdim=True)
    scale = (largest / most).to(kind).float().clamp(edges.tiny, edges.max)
    scale = torch.where(largest == 0, torch.ones_like(scale), scale)
    codes = (parts * (1.0 / scale)).clamp_(-most, most)
    codes = codes.to(TYPES[coding.format]).float() if coding.format in TYPES else codes.round_()
    return (codes * scale).flatten(-2)[..., :k]
