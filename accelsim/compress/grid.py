"""The numbers that a weight format holds: scales of groups, codes, and the way back.

Every rounding is a call of ``accelsim_kernels``, so what a method decides is what the chip reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.graph.quantized.coded import CodedWeight
from accelsim.recipe.schema import FLOATS, WeightFormat
from accelsim_kernels.blocks import BLOCK_FORMATS, quantize_blocks, tensor_scale
from accelsim_kernels.codec import decode, encode
from accelsim_kernels.quantize import absmax, dequantize, quantize, scales
from accelsim_kernels.rounding import round_to

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
#: From rows ``[n, g]`` that share a scale each to the magnitude that the largest code stands for.
Range = Callable[["Grid", Float32], Float32]

_BLOCKS = {(row.element, row.scale): name for name, row in BLOCK_FORMATS.items()}


@dataclass(frozen=True)
class Coded:
    """A weight as codes.

    Attributes:
        format: of the codes.
        codes: ``[n, k]``: int8 of integers, uint8 of floats; empty for plain formats.
        scales: float32 ``[n, groups]``; empty for plain formats.
        numbers: float32 ``[n, k]`` that the codes stand for.
        group: the run of K that shares a scale; 0: the whole row.
        scale_format: of the scales.
        sparsity: ``dense``, ``2:4`` or ``4:8``.
        tensor_scale: of NVFP4, the number above the scales of blocks; None in other formats.
    """

    format: str
    codes: Array
    scales: Float32
    numbers: Float32
    group: int = 0
    scale_format: str = "fp32"
    sparsity: str = "dense"
    tensor_scale: np.float32 | None = None

    @property
    def plain(self) -> bool:
        """Whether the numbers are stored themselves."""
        return self.format in FLOATS

    @property
    def weight(self) -> CodedWeight | None:
        """The codes and scales as checkpoints hold them; None of plain formats."""
        if self.plain:
            return None
        return CodedWeight(
            self.format, self.codes, self.scales, self.scale_format, self.group,
            global_scale=divisor(self.tensor_scale),
        )  # fmt: skip

    @property
    def packed(self) -> Mapping[str, Array]:
        """The arrays that a weight is kept as."""
        if self.plain:
            return {"numbers": self.numbers}
        found = {"codes": self.codes, "scales": self.scales}
        if self.tensor_scale is not None:
            found["tensor_scale"] = np.array([self.tensor_scale], np.float32)
        return found


@dataclass(frozen=True)
class Grid:
    """A weight's format: one scale for each row of a group.

    Attributes:
        wanted: the format, as a recipe spells it.
        tensor_scale: of NVFP4, the number above the scales of blocks.
    """

    wanted: WeightFormat
    tensor_scale: np.float32 | None = None

    @property
    def whole_scale(self) -> np.float32 | None:
        """What all scales of NVFP4 are divided by."""
        return divisor(self.tensor_scale)

    @classmethod
    def of(cls, wanted: WeightFormat, w: Float32) -> Grid:
        """Return the grid of a weight: NVFP4 has one number of the whole tensor."""
        if wanted.scale_format != "ue4m3":
            return cls(wanted)
        return cls(wanted, np.float32(tensor_scale(w)))

    @property
    def plain(self) -> bool:
        """Whether numbers are stored themselves: there are no scales."""
        return self.wanted.format in FLOATS

    def size(self, k: int) -> int:
        """Return the columns that share a scale."""
        return self.wanted.group or max(k, 1)

    def groups(self, k: int) -> Iterator[slice]:
        """Yield the columns of each group; the last may be shorter."""
        size = self.size(k)
        for first in range(0, k, size):
            yield slice(first, min(first + size, k))

    def scales(self, largest: Float32) -> Float32:
        """Return the scale for each row's range ``[n]``."""
        if self.plain:
            return np.ones(len(largest), np.float32)
        if not self._block:
            return scales(largest, self.wanted.format, self.wanted.scale_format)
        found = quantize_blocks(
            largest[:, None], self._block, self.wanted.scale_rule, block=1,
            tensor_scale=1.0 if self.tensor_scale is None else float(self.tensor_scale),
        )  # fmt: skip
        numbers: Float32 = decode(found.scales[:, 0], self.wanted.scale_format)
        return numbers

    @property
    def _block(self) -> str:
        """Name of the block format; empty where scales are plain numbers."""
        return _BLOCKS.get((self.wanted.format, self.wanted.scale_format), "")

    def codes(self, w: Float32, scale: Float32) -> Array:
        """Return the codes of columns ``[n, c]``, given one scale per row."""
        if not self._block:
            return quantize(np.ascontiguousarray(w), scale, self.wanted.format)
        whole = np.float32(1.0) if self.whole_scale is None else self.whole_scale
        return encode(np.ascontiguousarray(w * (whole / scale)[:, None]), self.wanted.format)

    def decode(self, codes: Array, scale: Float32) -> Float32:
        """Return the numbers of codes ``[n, c]``."""
        if not self._block:
            return dequantize(codes, scale, self.wanted.format)
        whole = self.whole_scale
        factors = scale if whole is None else scale / whole
        numbers: Float32 = decode(codes, self.wanted.format) * factors[:, None]
        return numbers

    def numbers(self, w: Float32, scale: Float32) -> Float32:
        """Return the nearest numbers of the format to columns ``[n, c]``."""
        if self.plain:
            return round_to(np.ascontiguousarray(w), self.wanted.format)
        return self.decode(self.codes(w, scale), scale)

    def coded(self, numbers: Float32, scales: Float32) -> Coded:
        """Return numbers of the format ``[n, k]`` with the codes that stand for them.

        Args:
            numbers: as ``numbers`` gives them.
            scales: ``[n, groups]``, by which they were made.
        """
        wanted = self.wanted
        if self.plain:
            nothing = np.empty((0, 0), np.float32)
            return Coded(wanted.format, nothing, nothing, numbers, sparsity=wanted.sparsity)
        parts = [
            self.codes(numbers[:, part], np.ascontiguousarray(scales[:, i]))
            for i, part in enumerate(self.groups(numbers.shape[1]))
        ]
        return Coded(
            wanted.format, np.ascontiguousarray(np.concatenate(parts, axis=1)), scales, numbers,
            wanted.group, wanted.scale_format, wanted.sparsity, self.tensor_scale,
        )  # fmt: skip

    def unpacked(self, part: Mapping[str, Array]) -> Coded:
        """Return a weight from the arrays that it was kept as."""
        if self.plain:
            nothing = np.empty((0, 0), np.float32)
            return self.coded(part["numbers"], nothing)
        codes, scales, wanted = part["codes"], part["scales"], self.wanted
        if "tensor_scale" in part:
            return Grid(wanted, part["tensor_scale"][0]).unpacked(
                {"codes": codes, "scales": scales}
            )
        parts = [
            self.decode(np.ascontiguousarray(codes[:, one]), np.ascontiguousarray(scales[:, i]))
            for i, one in enumerate(self.groups(codes.shape[1]))
        ]
        return Coded(
            wanted.format, codes, scales, np.ascontiguousarray(np.concatenate(parts, axis=1)),
            wanted.group, wanted.scale_format, wanted.sparsity, self.tensor_scale,
        )  # fmt: skip


def divisor(tensor_scale: np.float32 | None) -> np.float32 | None:
    """Return what compressed-tensors divides the scales of NVFP4 by."""
    return None if tensor_scale is None else np.float32(1.0) / tensor_scale


def whole_range(grid: Grid, rows: Float32) -> Float32:
    """Return the largest magnitude of each row."""
    return absmax(np.ascontiguousarray(rows))


def group_scales(grid: Grid, w: Float32, span: Range = whole_range) -> Float32:
    """Return scales ``[n, groups]`` of weights ``[n, k]``."""
    found = [grid.scales(span(grid, w[:, part])) for part in grid.groups(w.shape[1])]
    return np.ascontiguousarray(np.stack(found, axis=1))


def group_numbers(grid: Grid, w: Float32, scales: Float32) -> Float32:
    """Return the nearest numbers to weights ``[n, k]``, given scales ``[n, groups]``."""
    parts = [
        grid.numbers(w[:, part], np.ascontiguousarray(scales[:, i]))
        for i, part in enumerate(grid.groups(w.shape[1]))
    ]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))
