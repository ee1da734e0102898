"""Scales of blocks: the one loop behind every block format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accelsim_kernels.cast import fp8_code
from accelsim_kernels.fused import bits_of, divide32, float_of
from accelsim_kernels.jit import inner, leaf
from accelsim_kernels.lanes import choose

Array = npt.NDArray[Any]

#: Numbers that are compared or multiplied at once; LLVM cuts them up for shorter vectors.
_LANES = 16
_I32, _FLOAT = ir.IntType(32), ir.FloatType()


def _vector(
    context: Any, builder: Any, kind: Any, array: Any, place: Any, element: Any
) -> tuple[Any, Any]:
    """Return the vector at a place of an array, and where it lies."""
    data = context.make_array(kind)(context, builder, array).data
    base = builder.bitcast(data, element.as_pointer())
    pointer = ir.VectorType(element, _LANES).as_pointer()
    address = builder.bitcast(builder.gep(base, [place]), pointer)
    return builder.load(address, align=4), address


def _largest(typingctx: Any, x: Any, place: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, _ = _vector(context, builder, signature.args[0], args[0], args[1], _I32)
        mask = ir.Constant(bits.type, [0x7FFFFFFF] * _LANES)
        kind = ir.FunctionType(_I32, [bits.type])
        name = f"llvm.vector.reduce.umax.v{_LANES}i32"
        reduce = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(reduce, [builder.and_(bits, mask)])

    return types.uint32(x, types.intp), codegen


def _multiplied(typingctx: Any, x: Any, place: Any, factor: Any, out: Any, to: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        numbers, _ = _vector(context, builder, kinds[0], args[0], args[1], _FLOAT)
        _, address = _vector(context, builder, kinds[3], args[3], args[4], _FLOAT)
        first = builder.insert_element(ir.Constant(numbers.type, ir.Undefined), args[2], _I32(0))
        lanes = ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES)
        factors = builder.shuffle_vector(first, first, lanes)
        builder.store(builder.fmul(numbers, factors), address, align=4)
        return context.get_dummy_value()  # what Numba calls the None of an intrinsic

    return types.none(x, types.intp, types.float32, out, types.intp), codegen


#: ``largest(x, i)``: bits of the largest magnitude of 16 numbers from place i on.
#: ``multiplied(x, i, factor, out, j)``: 16 numbers times one, written from place j on.
largest, multiplied = intrinsic(_largest), intrinsic(_multiplied)

#: Bits of infinity and of NaN.
_INFINITY, _NAN = np.uint32(0x7F800000), np.uint32(0x7FC00000)


@inner
def _power(magnitude: np.uint32, whole: Array, most: np.float32, ceilings: Array) -> np.uint32:
    """Return the E8M0 code of a block's scale; ``magnitude`` holds the bits of the largest."""
    divided, up = whole[1] != 0, whole[2] != 0
    if magnitude > _INFINITY:
        return np.uint32(255)
    bits = magnitude
    if divided:
        bits = bits_of(divide32(float_of(bits), most))
        if bits == _INFINITY:
            return np.uint32(254)
    field = np.int64(np.uint32(bits + whole[4]) >> np.uint32(23))
    fraction = bits & np.uint32(0x7FFFFF)
    found = field + (up and fraction > ceilings[field])
    return np.uint32(min(max(found - (0 if divided else np.int64(whole[3])), 0), 254))


@inner
def _power_factor(code: np.uint32, whole: Array) -> np.float32:
    """Return the reciprocal of a power of two; of NaN: 0, or NaN where the scale was divided."""
    if code == 255:
        return float_of(_NAN) if whole[1] != 0 else np.float32(0)
    if code == 0:
        return float_of(whole[5])
    if code == 254:
        return float_of(np.uint32(1 << 22))
    return float_of(np.uint32((np.uint32(254) - code) << np.uint32(23)))


@inner
def _absmax(x: Array, first: int, last: int) -> np.uint32:
    """Return the bits of the largest magnitude, NaN being the largest."""
    found, place = np.uint32(0), first
    while place + _LANES <= last:
        found = np.uint32(max(found, largest(x, place)))
        place += _LANES
    for i in range(place, last):
        magnitude = np.uint32(bits_of(x[i]) & np.uint32(0x7FFFFFFF))
        found = choose(magnitude > found, magnitude, found)
    return found


@inner
def _scale(x: Array, first: int, last: int, factor: np.float32, scaled: Array) -> None:
    """Write numbers times a factor."""
    place = first
    while place + _LANES <= last:
        multiplied(x, place, factor, scaled, place)
        place += _LANES
    for i in range(place, last):
        scaled[i] = np.float32(x[i] * factor)


@leaf
def scale_rows(
    x: Array, length: int, block: int, whole: Array, floats: Array, ceilings: Array, values: Array,
    scales: Array, scaled: Array,
) -> None:  # fmt: skip
    """Write the scales of blocks, and the elements divided by them.

    Args:
        x: float32 numbers of whole rows.
        length: of a row.
        block: elements that share a scale.
        whole: whether scales are E4M3, not E8M0; whether the magnitude is divided by the largest
            element; whether it goes up; exponent of the largest element; what is added to round
            the magnitude; bits of the factor at the smallest scale.
        floats: the largest element; the scale of the tensor.
        ceilings: by exponent field, the largest fraction that does not go up.
        values: numbers of E4M3.
        scales: codes, to be written.
        scaled: to be written.
    """
    most, tensor = floats[0], floats[1]
    number = 0
    for start in range(0, x.size, length):
        for first in range(start, start + length, block):
            last = min(first + block, start + length)
            magnitude = _absmax(x, first, last)
            if whole[0] != 0:
                # Kept between the smallest normal and the largest number, NaN stays NaN.
                wanted = divide32(divide32(float_of(magnitude), most), tensor)
                wanted = np.float32(0.015625) if wanted < np.float32(0.015625) else wanted
                code = np.uint32(fp8_code(wanted, 3, 7, 0x7E))
                factor = divide32(divide32(np.float32(1), tensor), values[code])
            else:
                code = _power(magnitude, whole, most, ceilings)
                factor = _power_factor(code, whole)
            scales[number] = np.uint8(code)
            number += 1
            _scale(x, first, last, factor, scaled)
