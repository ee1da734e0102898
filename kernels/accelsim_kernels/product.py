"""One matmul for every arithmetic: codes in, bits out.

Operands are codes, the result is bits: of ``fp32`` in uint32, of ``fp16`` in uint16, of ``fp64`` in
uint64; sums of integers are int32 or int64. So a NaN keeps its bits, and nothing is converted that
the hardware would not convert. ``result.view(np.float32)`` gives the numbers.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.units import Product, runner
from accelsim_kernels.formats import FORMATS, NumberFormat, format_of
from accelsim_kernels.fused import fma32
from accelsim_kernels.jit import leaf
from accelsim_kernels.presets import PRESETS, Arithmetic

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

#: FP4, two codes to a byte, the even one in the low half.
_PACKED = "fp4_e2m1x2"
#: Columns that share a scale of ``b`` where accumulators are promoted (DeepGEMM).
_SCALED_COLUMNS = 128
#: Floating-point arrays that are taken as the bits of these formats.
_NATIVE = {
    "float16": ("fp16",), "float32": ("fp32", "tf32"), "float64": ("fp64",),
}  # fmt: skip


def _storage(fmt: NumberFormat) -> np.dtype[Any]:
    """Return the type of an array of codes."""
    bits = next(bits for bits in (8, 16, 32, 64) if bits >= fmt.bits)
    return np.dtype(f"{'int' if fmt.kind == 'int' else 'uint'}{bits}")


def _stored(name: str, value: npt.ArrayLike, fmt: NumberFormat) -> Array:
    """Return a contiguous matrix of codes.

    Raises:
        ValueError: another type, or not two dimensions.
    """
    found, wanted = np.asarray(value), _storage(fmt)
    if fmt.name in _NATIVE.get(found.dtype.name, ()):
        found = np.ascontiguousarray(found).view(wanted)
    if found.dtype != wanted:
        raise ValueError(f"{name} is {found.dtype}; codes of {fmt.name} are {wanted}")
    if found.ndim != 2:
        raise ValueError(f"{name} has the shape {found.shape}, a matrix is needed")
    # Kernels are compiled for arrays that may be written; a copy is cheaper than a second one.
    return np.require(found, requirements=["C", "W"])


def _operand(
    name: str, value: npt.ArrayLike, spelled: str | None, arithmetic: Arithmetic
) -> tuple[Array, NumberFormat, bool]:
    """Return codes, their format, and whether two lie in a byte.

    Raises:
        ValueError: a format that the arithmetic does not take, another type, a code out of range.
    """
    allowed = arithmetic.takes
    packed = spelled == _PACKED
    chosen = "fp4_e2m1" if packed else spelled or allowed[0]
    if chosen not in allowed:
        raise ValueError(
            f"{name}_format is {spelled!r}; {arithmetic.name} takes {', '.join(allowed)}"
        )
    fmt = FORMATS[chosen]
    codes = _stored(name, value, fmt)
    if fmt.bits < 8 and not packed and codes.size:
        low, high = (0, 2**fmt.bits - 1) if fmt.kind != "int" else _signed(fmt.bits)
        found = int(codes.min()), int(codes.max())
        if found[0] < low or found[1] > high:
            wrong = found[1] if found[1] > high else found[0]
            raise ValueError(f"{name} holds {wrong}; codes of {chosen} are {low} to {high}")
    return codes, fmt, packed


def _signed(bits: int) -> tuple[int, int]:
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _accumulators(
    c: npt.ArrayLike | None, arithmetic: Arithmetic, shape: tuple[int, int]
) -> tuple[Array, NumberFormat]:
    """Return a copy of C as bits of the result's format, and the format that it had.

    Raises:
        ValueError: another type or shape.
    """
    fmt = format_of(arithmetic.spill)
    if c is None:
        return np.zeros(shape, _storage(fmt)), fmt
    found = np.asarray(c)
    if arithmetic.unit == "aligned" and fmt.name == "fp32" and found.dtype.name in _HALVES:
        fmt = FORMATS["fp16"]
    bits = _stored("c", found, fmt)
    if bits.shape != shape:
        raise ValueError(f"c has the shape {bits.shape}, {shape} is needed")
    if fmt.name != arithmetic.spill:
        with np.errstate(invalid="ignore"):  # a signalling NaN is turned into a quiet one
            return bits.view(np.float16).astype(np.float32).view(np.uint32), fmt
    return bits.copy(), fmt


_HALVES = ("float16", "uint16")


def _scales(
    name: str, value: npt.ArrayLike | None, arithmetic: Arithmetic, rows: int, depth: int
) -> Array | None:
    """Return the scales of an operand.

    Raises:
        ValueError: they are missing, not wanted, or of another type or shape.
    """
    promoted = not arithmetic.scale and arithmetic.promotion > 0
    if value is None:
        if arithmetic.scale:
            raise ValueError(f"{name} is missing; {arithmetic.name} scales its operands")
        return None
    if not arithmetic.scale and not promoted:
        raise ValueError(f"{name} is given; {arithmetic.name} has no scales")
    block = arithmetic.promotion if promoted else arithmetic.block
    if promoted and name == "b_scales":
        rows = -(-rows // _SCALED_COLUMNS)
    found, kind = np.asarray(value), np.dtype(np.float32 if promoted else np.uint8)
    if found.dtype != kind:
        raise ValueError(f"{name} is {found.dtype}, {kind} is needed")
    wanted = (rows, -(-depth // block))
    if found.shape != wanted:
        raise ValueError(f"{name} has the shape {found.shape}, {wanted} is needed")
    return np.require(found, requirements=["C", "W"])


def arithmetic_of(arithmetic: str | Arithmetic) -> Arithmetic:
    """Return an arithmetic by the name of its preset, or as it is.

    Raises:
        ValueError: no preset has this name.
        TypeError: neither a name nor an arithmetic.
    """
    if isinstance(arithmetic, Arithmetic):
        return arithmetic
    if not isinstance(arithmetic, str):
        raise TypeError(f"arithmetic is {type(arithmetic).__name__}; a name or an Arithmetic")
    if arithmetic not in PRESETS:
        near = difflib.get_close_matches(arithmetic, PRESETS, 3) or list(PRESETS)
        raise ValueError(f"arithmetic is {arithmetic!r}; for example {', '.join(near)}")
    return PRESETS[arithmetic]


@leaf
def _promote(part: Float32, scale: Float32, shared: int, columns: Float32, out: Float32) -> None:
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            out[i, j] = fma32(np.float32(scale[i] * columns[j // shared]), part[i, j], out[i, j])


def _range(product: Product, inner: Arithmetic, start: int, stop: int) -> Product:
    """Return a product over a range of K, beginning with zero."""
    block = inner.block or product.arithmetic.promotion or 1

    def codes(array: Array, packed: bool) -> Array:
        half = 2 if packed else 1
        return np.ascontiguousarray(array[:, start // half : -(-stop // half)])

    def scales(array: Array | None) -> Array | None:
        # Scales of what is promoted are for the addition, not for the unit.
        if array is None or not (inner.scale or inner.promotion):
            return None
        return np.ascontiguousarray(array[:, start // block : -(-stop // block)])

    return replace(
        product, arithmetic=inner, a=codes(product.a, product.a_packed),
        b=codes(product.b, product.b_packed), out=np.zeros_like(product.out),
        c_format=format_of(inner.spill), a_scales=scales(product.a_scales),
        b_scales=scales(product.b_scales),
    )  # fmt: skip


def _merge(product: Product, inner: Arithmetic, interval: int, scaled: bool) -> None:
    """Add ranges of K, ascending, in binary32: ``out = fma(scale, range, out)``.

    Args:
        product: the whole.
        inner: arithmetic of a range.
        interval: K of a range.
        scaled: whether ranges have scales.
    """
    out = product.out.view(np.float32)
    ones = np.ones(max(out.shape), np.float32)
    for number, start in enumerate(range(0, product.depth, interval)):
        piece = _range(product, inner, start, min(start + interval, product.depth))
        _compute(piece)
        rows, columns, shared = ones, ones, 1
        if scaled and product.a_scales is not None:
            rows = np.ascontiguousarray(product.a_scales[:, number])
        if scaled and product.b_scales is not None:
            columns, shared = np.ascontiguousarray(product.b_scales[:, number]), _SCALED_COLUMNS
        _promote(piece.out.view(np.float32), rows, shared, columns, out)


def _compute(product: Product) -> None:
    """Compute a product, part by part where its arithmetic says so.

    Raises:
        ValueError: parts that do not fit the accumulator or the blocks of scales.
    """
    made = product.arithmetic
    if (made.split > 1 or made.promotion) and made.spill != "fp32":
        raise ValueError(f"{made.name} adds parts of K in FP32; its sums are {made.spill}")
    unit = max(made.step, made.block, made.promotion, 1)
    if made.split > 1:
        interval = -(-product.depth // (made.split * unit)) * unit
        _merge(product, replace(made, split=1), interval, False)
    elif made.promotion:
        _merge(product, replace(made, promotion=0), made.promotion, not made.scale)
    else:
        runner(made.unit)(product)


def matmul(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    arithmetic: str | Arithmetic,
    c: npt.ArrayLike | None = None,
    *,
    a_format: str | None = None,
    b_format: str | None = None,
    a_scales: npt.ArrayLike | None = None,
    b_scales: npt.ArrayLike | None = None,
) -> Array:
    """Return ``[m, n]`` bits of ``c + a b^T`` as a matrix unit adds it up.

    Args:
        a: codes ``[m, k]``: uint8, uint16, uint32 or uint64 by the width of the format, one code
            per element (FP6 and FP4 in the low bits); int8 or int16 of integers. Arrays of float16,
            float32 and float64 are taken as bits of fp16, of fp32 or tf32, of fp64.
        b: codes ``[n, k]``; a row is a column of the result.
        arithmetic: name of a preset, or an arithmetic.
        c: ``[m, n]`` bits that the sums begin with, of the format of the result; aligned units with
            sums in FP32 take FP16 too (uint16, float16). None: zeros.
        a_format: of the codes of a; by default the first that the arithmetic takes.
            ``fp4_e2m1x2``: two codes to a byte, the even one in the low half.
        b_format: of the codes of b.
        a_scales: of blocks of K: codes ``[m, ceil(k / block)]``, uint8. Where sums are promoted:
            float32 ``[m, ceil(k / promotion)]``, which may be left out.
        b_scales: codes ``[n, ceil(k / block)]``; where sums are promoted, float32
            ``[ceil(n / 128), ceil(k / promotion)]``.

    Returns:
        Bits: uint32 of fp32, uint16 of fp16, uint64 of fp64; int32 or int64 of integers. K that an
        instruction does not divide is filled up with zeros; without any K, C is returned as it is.

    Raises:
        ValueError: an unknown preset, or arguments that do not fit it or each other.
        TypeError: an arithmetic that is neither a name nor an arithmetic.
    """
    made = arithmetic_of(arithmetic)
    left, left_format, left_packed = _operand("a", a, a_format, made)
    right, right_format, right_packed = _operand("b", b, b_format, made)
    depths = [x.shape[1] * (1 + half) for x, half in ((left, left_packed), (right, right_packed))]
    if depths[0] != depths[1]:
        raise ValueError(f"a has K={depths[0]}, b has K={depths[1]}: they do not multiply")
    out, c_format = _accumulators(c, made, (len(left), len(right)))
    product = Product(
        made, left, right, left_format, right_format, out, c_format, left_packed, right_packed,
        _scales("a_scales", a_scales, made, len(left), depths[0]),
        _scales("b_scales", b_scales, made, len(right), depths[0]),
    )  # fmt: skip
    if out.size and depths[0]:
        _compute(product)
    return out
