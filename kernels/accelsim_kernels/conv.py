"""Convolution of integer codes, NHWC by OHWI, with exact int32 sums.

Patches are laid out as rows of a product, a block of them at a time, and padded with the zero point
of the input, so that padding adds nothing. Where each channel has filters of its own (depthwise),
the taps are summed directly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import vector
from accelsim_kernels.integer import Int8, Int32, PackedInt8, Path
from accelsim_kernels.jit import leaf, rows_in_threads
from accelsim_kernels.requant import Requantization, requantize
from accelsim_kernels.requant_linear import ZeroPoints, linear_int8, linear_sums, signed, zeros_of

Codes = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
Pair = tuple[int, int]
Padding = Literal["same", "valid"] | tuple[Pair, Pair]

#: Patches that are laid out together.
_ROWS = 768
#: Multiplications of a depthwise layer that are worth a thread.
_WORTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the taps of an output lie.

    Attributes:
        kernel, stride, dilation: along height and width.
        padding: rows above and columns to the left.
        out: height and width of the output.
        groups: parts of the channels that are convolved apart.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Pair
    out: Pair
    groups: int

    @classmethod
    def of(
        cls, x: tuple[int, ...], w: tuple[int, ...], stride: Pair, padding: Padding,
        dilation: Pair, groups: int,
    ) -> Geometry:  # fmt: skip
        """Return the geometry of shapes ``[b, h, w, c]`` and ``[o, kh, kw, c / groups]``.

        ``same`` pads to ``ceil(size / stride)`` outputs, the odd row below (TensorFlow, padding).

        Raises:
            ValueError: shapes or sizes that do not fit.
        """
        if len(x) != 4 or len(w) != 4:
            raise ValueError(f"x and w have the shapes {x} and {w}; NHWC and OHWI are needed")
        if min(*stride, *dilation, groups, *w[1:3]) < 1:
            raise ValueError(
                f"stride is {stride}, dilation {dilation}, groups {groups} and the kernel "
                f"{w[1:3]}; all are at least 1"
            )
        if x[3] != w[3] * groups or w[0] % groups:
            raise ValueError(
                f"x has {x[3]} channels, w takes {w[3]} and gives {w[0]} in {groups} groups"
            )
        sides = [
            _side(*s) for s in zip(x[1:3], w[1:3], stride, dilation, _pads(padding), strict=True)
        ]
        (top, rows), (left, columns) = sides
        kernel = (w[1], w[2])
        return cls(kernel, stride, dilation, (top, left), (rows, columns), groups)

    @property
    def numbers(self) -> Int64:
        """All of it, for kernels."""
        return np.array(
            [*self.kernel, *self.stride, *self.dilation, *self.padding, *self.out], np.int64
        )


def _pads(padding: Padding) -> tuple[Pair | str, Pair | str]:
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"padding is {padding!r}; same, valid or two pairs are allowed")
        return padding, padding
    (top, bottom), (left, right) = padding
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"padding is {padding}; at least 0 is needed")
    return (top, bottom), (left, right)


def _side(size: int, kernel: int, stride: int, dilation: int, pad: Pair | str) -> Pair:
    """Return the padding in front and the outputs along one side."""
    reach = (kernel - 1) * dilation + 1
    if pad == "same":
        count = -(-size // stride)
        return max((count - 1) * stride + reach - size, 0) // 2, count
    front, behind = (0, 0) if isinstance(pad, str) else pad
    return front, max((size + front + behind - reach) // stride + 1, 0)


@leaf
def _gather(
    x: Int8, geometry: Int64, zero: int, first: int, low: int, high: int, out: Int8
) -> None:
    """Lay out the patches of outputs from ``first`` on, channels ``low`` to ``high``."""
    kernel_h, kernel_w, stride_h, stride_w = geometry[0], geometry[1], geometry[2], geometry[3]
    dilation_h, dilation_w, top, left = geometry[4], geometry[5], geometry[6], geometry[7]
    rows, columns, width = geometry[8], geometry[9], high - low
    for row in range(out.shape[0]):
        image, place = divmod(first + row, rows * columns)
        start_y = place // columns * stride_h - top
        start_x = place % columns * stride_w - left
        at = 0
        for i in range(kernel_h):
            y = start_y + i * dilation_h
            for j in range(kernel_w):
                column = start_x + j * dilation_w
                patch = out[row, at : at + width]
                if 0 <= y < x.shape[1] and 0 <= column < x.shape[2]:
                    codes = x[image, y, column, low:high]
                    for c in range(width):
                        patch[c] = codes[c]
                else:
                    for c in range(width):
                        patch[c] = zero
                at += width


@leaf
def _depthwise(
    x: Int8, w: Int32, geometry: Int64, zero: int, bias: Int32, first: int, out: Int32
) -> None:
    """Sum the taps ``w[kh, kw, c m]`` of outputs from ``first`` on."""
    stride_h, stride_w, dilation_h, dilation_w = geometry[2], geometry[3], geometry[4], geometry[5]
    rows, columns, channels = geometry[8], geometry[9], x.shape[3]
    each = w.shape[2] // channels
    for row in range(out.shape[0]):
        image, place = divmod(first + row, rows * columns)
        sums = out[row]
        for j in range(sums.size):
            sums[j] = bias[j]
        for i in range(geometry[0]):
            y = place // columns * stride_h - geometry[6] + i * dilation_h
            for k in range(geometry[1]):
                column = place % columns * stride_w - geometry[7] + k * dilation_w
                if not (0 <= y < x.shape[1] and 0 <= column < x.shape[2]):
                    continue
                codes, taps = x[image, y, column], w[i, k]
                if each == 1:
                    for c in range(channels):
                        sums[c] += (np.int32(codes[c]) - np.int32(zero)) * taps[c]
                    continue
                for c in range(channels):
                    code = np.int32(codes[c]) - np.int32(zero)
                    for q in range(c * each, (c + 1) * each):
                        sums[q] += code * taps[q]


class _Layer:
    """A convolution, made ready."""

    def __init__(
        self, x: npt.ArrayLike, w: npt.ArrayLike, geometry: Geometry, x_zero: int,
        w_zero: ZeroPoints, bias: npt.ArrayLike | None,
    ) -> None:  # fmt: skip
        self.x, shift = signed("x", x)
        self.w, w_shift = signed("w", w)
        self.zero = int(zeros_of("x_zero", x_zero, shift, 1)[0])
        self.count = len(self.w)
        self.zeros = zeros_of("w_zero", w_zero, w_shift, self.count)
        empty = np.zeros(self.count, np.int32)
        self.bias = empty if bias is None else vector("bias", bias, np.int32, self.count)
        self.geometry, self.numbers = geometry, geometry.numbers
        self.outputs = len(self.x) * geometry.out[0] * geometry.out[1]

    def depthwise(self) -> Int32:
        """Return the sums ``[outputs, o]`` where each group is a channel."""
        taps = (self.w[..., 0].astype(np.int32) - self.zeros[:, None, None]).transpose(1, 2, 0)
        out, taps = np.empty((self.outputs, self.count), np.int32), np.ascontiguousarray(taps)

        def run(first: int, last: int) -> None:
            _depthwise(self.x, taps, self.numbers, self.zero, self.bias, first, out[first:last])

        rows_in_threads(run, self.outputs, -(-_WORTH // max(taps.size, 1)))
        return out

    def products(self, run: Callable[[Int8, PackedInt8, slice, slice], None]) -> None:
        """Call ``run(patches, weights, outputs, columns)`` over blocks of outputs and groups."""
        groups, width = self.geometry.groups, self.w.shape[3]
        each = self.count // groups
        rows = np.empty((min(_ROWS, self.outputs), self.w[0].size), np.int8)
        for group in range(groups):
            columns = slice(group * each, (group + 1) * each)
            packed = PackedInt8.of(self.w[columns].reshape(each, self.w[0].size))
            for first in range(0, self.outputs, _ROWS):
                part = slice(first, min(first + _ROWS, self.outputs))
                patches = rows[: part.stop - first]
                _gather(
                    self.x, self.numbers, self.zero, first, group * width, (group + 1) * width,
                    patches,
                )  # fmt: skip
                run(patches, packed, part, columns)


def conv2d_sums(
    x: npt.ArrayLike, w: npt.ArrayLike, *, stride: Pair = (1, 1), padding: Padding = "valid",
    dilation: Pair = (1, 1), groups: int = 1, x_zero: int = 0, w_zero: ZeroPoints = 0,
    bias: npt.ArrayLike | None = None, path: Path = "auto",
) -> Int32:  # fmt: skip
    """Return the int32 sums ``[b, oh, ow, o]`` of a convolution of codes, bias included.

    Args:
        x: int8 or uint8 codes ``[b, h, w, c]``.
        w: int8 or uint8 codes ``[o, kh, kw, c / groups]``; depthwise where that is 1.
        stride: along height and width.
        padding: ``same``, ``valid``, or (above, below) and (left, right).
        dilation: along height and width.
        groups: parts of the channels that are convolved apart.
        x_zero: zero point of the input, which padding stands for.
        w_zero: zero point of the weights, or one for each output channel.
        bias: int32 ``[o]``.
        path: as for ``matmul_int8``.

    Raises:
        ValueError: types, shapes, zero points or sizes that do not fit.
    """
    shapes = np.shape(x), np.shape(w)
    layer = _Layer(
        x, w, Geometry.of(*shapes, stride, padding, dilation, groups), x_zero, w_zero, bias
    )
    shape = (shapes[0][0], *layer.geometry.out, layer.count)
    if shapes[1][3] == 1 and groups > 1:
        return layer.depthwise().reshape(shape)
    out = np.empty((layer.outputs, layer.count), np.int32)

    def run(patches: Int8, packed: PackedInt8, part: slice, columns: slice) -> None:
        out[part, columns] = linear_sums(
            patches, packed, layer.zero, layer.zeros[columns], layer.bias[columns], path
        )

    layer.products(run)
    return out.reshape(shape)


def conv2d_int8(
    x: npt.ArrayLike, w: npt.ArrayLike, by: Requantization, *, stride: Pair = (1, 1),
    padding: Padding = "valid", dilation: Pair = (1, 1), groups: int = 1, x_zero: int = 0,
    w_zero: ZeroPoints = 0, bias: npt.ArrayLike | None = None,
) -> Codes:  # fmt: skip
    """Return the codes ``[b, oh, ow, o]`` of ``conv2d_sums``, requantized by output channel.

    Raises:
        ValueError: as ``conv2d_sums`` and ``requantize``.
    """
    if groups > 1:
        sums = conv2d_sums(
            x, w, stride=stride, padding=padding, dilation=dilation, groups=groups,
            x_zero=x_zero, w_zero=w_zero, bias=bias,
        )  # fmt: skip
        return requantize(sums, by)
    geometry = Geometry.of(np.shape(x), np.shape(w), stride, padding, dilation, groups)
    layer = _Layer(x, w, geometry, x_zero, w_zero, bias)
    by.columns(layer.count)
    out = by.empty(layer.outputs, layer.count)

    def run(patches: Int8, packed: PackedInt8, part: slice, columns: slice) -> None:
        out[part] = linear_int8(patches, packed, by, layer.zero, layer.zeros, layer.bias)

    layer.products(run)
    return out.reshape(len(layer.x), *geometry.out, layer.count)
