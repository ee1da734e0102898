"""What a compressed checkpoint is written from, one tensor after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Entry
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.scheme import ActivationCodes, Scheme

#: Blocks of MX and NVFP4.
_MX_GROUP, _NVFP4_GROUP = 32, 16


@dataclass(frozen=True)
class CodedTensor:
    """The weight of a product in codes.

    Attributes:
        weight: codes and scales; ``[n, k]`` of a linear module.
        activation: how its activations are coded; None: they stay plain.
        input_scale: the one scale of activations whose granularity is ``tensor``.
        input_global_scale: of NVFP4 activations: what their block scales are divided by.
        sparsity: ``2:4``: pruned, at most two of four neighbours along k are not zero.
    """

    weight: CodedWeight
    activation: ActivationCodes | None = None
    input_scale: np.float32 | None = None
    input_global_scale: np.float32 | None = None
    sparsity: Literal["dense", "2:4"] = "dense"


@dataclass(frozen=True)
class PlainTensor:
    """A tensor that stays plain.

    Attributes:
        values: float32 numbers of its format.
        format: ``fp32``, ``fp16`` or ``bf16``.
    """

    values: npt.NDArray[np.float32]
    format: str = "fp32"


#: An ``Entry`` is copied from its file without being looked at.
Content = CodedTensor | PlainTensor | Entry


def scheme_of(name: str, content: CodedTensor) -> Scheme:
    """Return how compressed-tensors describes a coded tensor.

    Raises:
        CheckpointError: codes and scales that do not fit, or that it has no layout for.
    """
    weight = content.weight
    weight.check(name)
    if weight.group_of is not None:
        raise CheckpointError(
            f"{name}: compressed-tensors keeps groups of k in order; reorder the columns' groups "
            "(static groups of GPTQ) before writing"
        )
    points, half = weight.zero_points, 1 << (weight.bits - 1)
    if points is not None and (points.min() < -half or points.max() >= half):
        raise CheckpointError(
            f"{name}: zero points from {points.min()} to {points.max()}; compressed-tensors keeps "
            f"{-half} to {half - 1} of {weight.format}"
        )
    layout = _layout(name, content)
    if weight.scale_format not in _SCALES.get(layout, ("fp32", "fp16", "bf16")):
        raise CheckpointError(
            f"{name}: {layout} keeps no scales of {weight.scale_format} for {weight.format} codes"
        )
    if weight.group and weight.shape[1] % weight.group:
        raise CheckpointError(
            f"{name}: k is {weight.shape[1]}, no multiple of its group of {weight.group}: "
            "compressed-tensors reads none of that kind"
        )
    return Scheme(
        layout, weight.format, weight.group, weight.rows, weight.zero_points is None,
        content.activation, content.sparsity,
    )  # fmt: skip


_SCALES = {
    "mxfp4-pack-quantized": ("e8m0",), "mxfp6-pack-quantized": ("e8m0",),
    "mxfp8-quantized": ("e8m0",), "nvfp4-pack-quantized": ("ue4m3",),
}  # fmt: skip
_MX_LAYOUTS = {
    "fp4_e2m1": "mxfp4-pack-quantized", "fp6_e2m3": "mxfp6-pack-quantized",
    "fp8_e4m3": "mxfp8-quantized",
}  # fmt: skip


def _layout(name: str, content: CodedTensor) -> str:
    weight = content.weight
    if weight.is_integer:
        both = weight.bits == 8 and content.activation is not None
        return "int-quantized" if both else "pack-quantized"
    if weight.scale_format == "e8m0" and weight.group == _MX_GROUP and weight.format in _MX_LAYOUTS:
        return _MX_LAYOUTS[weight.format]
    nvfp4 = weight.format == "fp4_e2m1" and weight.group == _NVFP4_GROUP
    if nvfp4 and weight.scale_format == "ue4m3" and weight.global_scale is not None:
        return "nvfp4-pack-quantized"
    if weight.format == "fp8_e4m3" and weight.scale_format in ("fp32", "fp16", "bf16"):
        return "naive-quantized" if content.activation is None else "float-quantized"
    raise CheckpointError(
        f"{name}: compressed-tensors has no layout for {weight.format} codes with "
        f"{weight.scale_format} scales in groups of {weight.group or 'a row'}; it has integers, "
        "fp8_e4m3, MX in blocks of 32 (fp8_e4m3, fp6_e2m3, fp4_e2m1; e8m0) and NVFP4 (fp4_e2m1 in "
        "blocks of 16; ue4m3 and a global scale)"
    )
