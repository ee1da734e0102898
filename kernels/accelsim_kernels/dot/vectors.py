"""LLVM vectors as values with operators, for the loops of ``lanes`` and ``rounds``."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT = ir.FloatType()
INTS, FLOATS = ir.VectorType(I32, LANES), ir.VectorType(FLOAT, LANES)


def number(value: int) -> Any:
    """Return a constant index."""
    return ir.Constant(I64, value)


class Text:
    """Writes loads, stores and loops.

    Args:
        context, builder: of Numba.
        signature: of the intrinsic.
        args: its arguments.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder = context, builder
        self.kinds, self.args = signature.args, args

    def data(self, argument: int, offset: Any, element: Any) -> Any:
        """Return the address of an element of an array."""
        array = self.context.make_array(self.kinds[argument])
        data = array(self.context, self.builder, self.args[argument]).data
        return self.builder.gep(self.builder.bitcast(data, element.as_pointer()), [offset])

    def load(self, base: Any, index: Any, kind: Any, align: int) -> Any:
        """Read a vector that begins with an element."""
        address = self.builder.gep(base, [index])
        return self.builder.load(self.builder.bitcast(address, kind.as_pointer()), align=align)

    def store(self, value: Any, base: Any, index: Any, align: int) -> None:
        """Write a vector."""
        address = self.builder.gep(base, [index])
        self.builder.store(
            value, self.builder.bitcast(address, value.type.as_pointer()), align=align
        )

    def spread(self, one: Any, lanes: int) -> Any:
        """Repeat one element in every lane."""
        kind = ir.VectorType(one.type, lanes)
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), one, number(0))
        mask = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), mask)

    def integer(self, argument: int, index: Any) -> Any:
        """Return an element of an array of int64 as int32."""
        address = self.data(argument, index, I64)
        return self.builder.trunc(self.builder.load(address), I32)

    def same(self, one: Any) -> Lanes:
        """Return 16 lanes of one element."""
        return Lanes(self, self.spread(one, LANES))

    def call(self, name: str, *operands: Any) -> Any:
        """Call a function of LLVM whose result has the type of its first operand."""
        kinds = [operand.type for operand in operands]
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kinds[0], kinds), name
        )
        return self.builder.call(function, operands)

    def variable(self, value: Any) -> Any:
        """Return a variable that LLVM turns into a register: nothing else can see it."""
        return cgutils.alloca_once_value(self.builder, value)


class Lanes:
    """Sixteen int32 or binary32 lanes; operators are those of the lanes, ``>>`` is logical."""

    def __init__(self, text: Text, value: Any) -> None:
        self.text, self.value = text, value

    def of(self, value: Any) -> Lanes:
        """Return other lanes: of a value, or a constant."""
        if isinstance(value, Lanes):
            return value
        if isinstance(value, (int, float)):
            value = ir.Constant(self.value.type, [value] * LANES)
        return Lanes(self.text, value)

    def _ints(self, name: str, other: Any) -> Lanes:
        return self.of(getattr(self.text.builder, name)(self.value, self.of(other).value))

    def __add__(self, other: Any) -> Lanes:
        return self._ints("add", other)

    def __sub__(self, other: Any) -> Lanes:
        return self._ints("sub", other)

    def __and__(self, other: Any) -> Lanes:
        return self._ints("and_", other)

    def __or__(self, other: Any) -> Lanes:
        return self._ints("or_", other)

    def __xor__(self, other: Any) -> Lanes:
        return self._ints("xor", other)

    def __lshift__(self, other: Any) -> Lanes:
        return self._ints("shl", other)

    def __rshift__(self, other: Any) -> Lanes:
        return self._ints("lshr", other)

    def __mul__(self, other: Any) -> Lanes:
        """Return products of numbers."""
        return self._ints("fmul", other)

    def plus(self, other: Any) -> Lanes:
        """Return sums of numbers."""
        return self._ints("fadd", other)

    def minus(self, other: Any) -> Lanes:
        """Return differences of numbers."""
        return self._ints("fsub", other)

    def largest(self, other: Any) -> Lanes:
        """Return the larger ones of integers."""
        return self.of(self.text.call("llvm.smax.v16i32", self.value, self.of(other).value))

    def smallest(self, other: Any) -> Lanes:
        """Return the smaller ones of integers."""
        return self.of(self.text.call("llvm.smin.v16i32", self.value, self.of(other).value))

    def where(self, relation: str, other: Any) -> Lanes:
        """Compare signed integers; ``u`` before the relation compares unsigned ones."""
        builder = self.text.builder
        compare = builder.icmp_unsigned if relation[0] == "u" else builder.icmp_signed
        return self.of(compare(relation.lstrip("u"), self.value, self.of(other).value))

    def choose(self, yes: Lanes, no: Any) -> Lanes:
        """Return one or the other where these truth values hold or not."""
        return self.of(self.text.builder.select(self.value, yes.value, yes.of(no).value))

    def bits(self) -> Lanes:
        """Return numbers as integers."""
        return self.of(self.text.builder.bitcast(self.value, INTS))

    def numbers(self) -> Lanes:
        """Return integers as the numbers of their bits."""
        return self.of(self.text.builder.bitcast(self.value, FLOATS))

    def cut(self) -> Lanes:
        """Return numbers as integers, cut toward zero."""
        return self.of(self.text.builder.fptosi(self.value, INTS))

    def rounded(self) -> Lanes:
        """Return unsigned integers as the nearest numbers."""
        return self.of(self.text.builder.uitofp(self.value, FLOATS))

    def cut_unsigned(self) -> Lanes:
        """Return numbers that are not negative as unsigned integers."""
        return self.of(self.text.builder.fptoui(self.value, INTS))


def power(exponent: Lanes) -> Lanes:
    """Return ``2^exponent``, from -126 to 127."""
    return ((exponent + 127) << 23).numbers()


def looped(write: Any, arrays: int, places: int) -> Any:
    """Return an intrinsic of some arrays, then some int64, that returns an int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = write(Text(context, builder, signature, args))
        return number(0) if made is None else made

    def kinds(*given: Any) -> Any:
        return types.int64(*given[:arrays], *[types.int64] * places), codegen

    # Numba counts the arguments of the function, so one that takes any number will not do.
    return intrinsic(
        {
            4: lambda typing, a, b, c, d: kinds(a, b, c, d),
            6: lambda typing, a, b, c, d, e, f: kinds(a, b, c, d, e, f),
            7: lambda typing, a, b, c, d, e, f, g: kinds(a, b, c, d, e, f, g),
            5: lambda typing, a, b, c, d, e: kinds(a, b, c, d, e),
            9: lambda typing, a, b, c, d, e, f, g, h, i: kinds(a, b, c, d, e, f, g, h, i),
        }[arrays + places]
    )
