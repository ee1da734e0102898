"""The code of a number, in integers alone: any format, any rounding, no branch.

A significand stands left in its word, with one bit above for the carry. What is below the last
place of the format is its low ``shift`` bits; subnormal numbers of the format only shift further.
Every rounding is one addition in front of that shift (IEEE 754-2019, 4.3):

=================  ==========================================================
nearest, even      ``2^(k-1) - 1 + odd``, where ``odd`` is bit k
nearest, odd       ``2^(k-1) - odd``
nearest, away      ``2^(k-1)``
toward zero        ``0``
away from zero     ``2^k - 1``
=================  ==========================================================

with ``k = shift``. Stochastic rounding by ``n`` random bits ``b`` rounds at ``k = shift - n`` and
adds ``b * 2^k`` (the rules of gfloat 0.5): ``Stochastic`` with nearest even, ``StochasticOdd`` with
nearest odd, ``StochasticFast`` with nearest away, ``StochasticFastest`` toward zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import intrinsic

from accelsim_kernels.jit import inner


def _operation(name: str) -> Any:
    """Return an operation on two integers of one type, in that type: Numba itself widens."""

    def typer(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return a(a, b), codegen

    return intrinsic(typer)


#: ``shift_left(a, n)``, ``shift_right(a, n)``: of unsigned integers, n below their width.
shift_left, shift_right = _operation("shl"), _operation("lshr")


def _choice(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(condition, a, a), codegen


#: ``choose(condition, a, b)``: a where it holds, else b, of one type, without a branch.
choose = intrinsic(_choice)

#: What ``lane`` is told about a format and a rounding, in this order.
RULE = (
    "fraction", "lowest", "noise_bits", "nearest", "minus", "even", "flip", "away_above",
    "away_below", "code_parity", "subnormals", "largest_above", "largest_below", "over_above",
    "over_below", "infinity_above", "infinity_below", "nan_above", "nan_below", "sign", "zero_sign",
    "inverted", "carry", "mask",
)  # fmt: skip


def lane(word: Any, fraction: int) -> Callable[..., Any]:
    """Return the function that gives the code of the bits of a number.

    Args:
        word: unsigned type of the bits and of all that is computed.
        fraction: explicit fraction bits of the source format.
    """
    width = np.iinfo(word).bits
    zero, one, top = word(0), word(1), word(width - 1)
    places, guard = word(fraction), word(width - 2 - fraction)
    whole, infinity = word(width - 2), word((2 ** (width - 1) - 1) & -(2**fraction))
    positive = word(2 ** (width - 1) - 1)

    @inner
    def code_of(bits: Any, noise: Any, rule: Any) -> Any:
        """Return the code of a number by a rule, ``noise`` being its random bits."""
        (
            kept, lowest, noise_bits, nearest, minus, even, flip, away_above, away_below,
            code_parity, subnormals, largest_above, largest_below, over_above, over_below,
            infinity_above, infinity_below, nan_above, nan_below, sign, zero_sign, inverted,
            carry, mask,
        ) = rule  # fmt: skip
        below = bits > positive
        magnitude = word(bits & positive)
        exponent = word(max(shift_right(magnitude, places), one))
        # Without the exponent, which leaves the implicit bit of a normal number.
        leading = word(magnitude - shift_left(word(exponent - one), places))
        significand = shift_left(leading, guard)
        deeper = choose(lowest > exponent, word(lowest - exponent), zero)
        place = choose(exponent > lowest, word(exponent - lowest), zero)
        shift = word(whole - kept + deeper)
        # Of what a word cannot be shifted by, one bit stays: that there was something.
        excess = choose(shift > top, word(min(word(shift - top), top)), zero)
        shift = word(min(shift, top))
        lost = word(significand & word(shift_left(one, excess) - one))
        significand = word(shift_right(significand, excess) | word(lost != zero))
        k = word(shift - noise_bits)
        unit = shift_left(one, k)
        odd = word(word(shift_right(significand, k) ^ word(place & code_parity)) & one)
        away = choose(below, away_below, away_above)
        added = word(word(shift_right(unit, one) & nearest) - minus + word(word(odd ^ flip) & even))
        added = word(added + word(word(unit - one) & away) + shift_left(noise, k))
        code = word(shift_right(word(significand + added), shift) + shift_left(place, kept))
        code = choose(deeper != zero, word(code & subnormals), code)
        negative = word(word(word(code ^ inverted) + carry) & mask)
        negative = word(negative | choose(code == zero, zero_sign, sign))
        found = choose(below, negative, code)
        over = code > choose(below, largest_below, largest_above)
        found = choose(over, choose(below, over_below, over_above), found)
        endless = choose(below, infinity_below, infinity_above)
        found = choose(magnitude == infinity, endless, found)
        return choose(magnitude > infinity, choose(below, nan_below, nan_above), found)

    return code_of


@inner
def facts_of(rule: Any) -> Any:
    """Return the entries of a rule as a tuple, which stays in registers."""
    return (
        rule[0], rule[1], rule[2], rule[3], rule[4], rule[5], rule[6], rule[7], rule[8], rule[9],
        rule[10], rule[11], rule[12], rule[13], rule[14], rule[15], rule[16], rule[17], rule[18],
        rule[19], rule[20], rule[21], rule[22], rule[23],
    )  # fmt: skip


#: The code of the bits of a binary32, and of a binary64 number.
lane32, lane64 = lane(np.uint32, 23), lane(np.uint64, 52)
