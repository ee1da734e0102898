"""How a product is quantized, whatever a checkpoint's configuration calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ActivationCodes:
    """How the activations of a product are coded.

    Attributes:
        format: as ``CodedWeight.format``.
        granularity: what shares a scale: a row of k, the whole tensor, or a run of ``group``.
        group: the run of k that shares a scale.
        scale_format: one of ``SCALE_FORMATS``.
        symmetric: whether zero is code zero.
    """

    format: str
    granularity: Literal["token", "tensor", "group"] = "token"
    group: int = 0
    scale_format: str = "fp32"
    symmetric: bool = True


@dataclass(frozen=True)
class Scheme:
    """How one product is quantized.

    Attributes:
        layout: a key of ``LAYOUTS``: how the file keeps the weight.
        format: of the weight's codes.
        group: the run of k that shares a scale; 0: all of k.
        rows: outputs that share a scale: 1, a block's height, or 0 for all.
        symmetric: whether there are no zero points.
        activation: None: activations stay plain numbers.
        sparsity: ``2:4``: at most two of four neighbours along k are not zero.
    """

    layout: str
    format: str
    group: int = 0
    rows: int = 1
    symmetric: bool = True
    activation: ActivationCodes | None = None
    sparsity: Literal["dense", "2:4"] = "dense"
