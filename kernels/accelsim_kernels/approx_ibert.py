"""Integer polynomials and roots: exp, GELU, softmax, layer norm and RMS norm as in I-BERT.

Codes q stand for ``q S``; scales are computed once, in binary64, and the units see integers alone
(S. Kim et al., ICML 2021, arXiv:2101.01321, algorithms 1 to 4).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.jit import inner, kernel, leaf

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

#: ``exp(p) = a (p + b)^2 + c`` on (-ln 2, 0], and the same for erf on [0, -b]: equations 8 and 13.
_EXP = (0.3585, 1.353, 0.344)
_ERF = (-0.2888, -1.769, 1.0)
#: Fraction bits of the result of softmax and of the norms.
SOFTMAX_BITS, NORM_BITS = 15, 30
#: Most halvings of exp; below, nothing is left of it.
_HALVINGS = 62
#: Largest magnitude of a code whose square, summed over a row, stays in int64.
_WIDE = 2**20


def _polynomial(scale: float, a: float, b: float, c: float) -> tuple[int, int, float]:
    """Return q_b, q_c and the scale of ``(q + q_b)^2 + q_c``: algorithm 1."""
    unit = a * scale * scale
    return math.floor(b / scale), math.floor(c / unit), unit


def _scale(scale: float) -> float:
    if not 2.0**-24 <= scale <= 1.0:
        raise ValueError(f"scale is {scale}; 2^-24 to 1 is allowed")
    return float(scale)


@inner
def _exp(q: int, ln2: int, shift: int, more: int) -> np.int64:
    turns = min(-q // ln2, np.int64(_HALVINGS))
    inside = max(q + turns * ln2, -ln2) + shift
    return (inside * inside + more) >> turns


@leaf
def _exps(x: Int32, ln2: int, shift: int, more: int, out: Int64) -> None:
    for i in range(x.size):
        out[i] = _exp(np.int64(x[i]), ln2, shift, more)


def i_exp(x: npt.ArrayLike, scale: float) -> tuple[Int64, float]:
    """Return exp of int32 codes, none positive, and the scale of the result: algorithm 2.

    Raises:
        ValueError: another type, a positive code, or a scale outside 2^-24 to 1.
    """
    given = np.atleast_1d(array("x", x, np.int32))
    if given.size and given.max() > 0:
        raise ValueError(f"x holds {given.max()}; no code above 0 is allowed")
    shift, more, unit = _polynomial(_scale(scale), *_EXP)
    out = np.empty(given.shape, np.int64)
    _exps(given.reshape(-1), max(math.floor(math.log(2) / scale), 1), shift, more, out.reshape(-1))
    return out.reshape(np.shape(x)), unit


@leaf
def _gelus(x: Int32, most: int, shift: int, more: int, one: int, out: Int64) -> None:
    for i in range(x.size):
        q = np.int64(x[i])
        inside = min(abs(q), np.int64(most)) + shift
        erf = inside * inside + more
        out[i] = q * ((erf if q >= 0 else -erf) + one)


def i_gelu(x: npt.ArrayLike, scale: float) -> tuple[Int64, float]:
    """Return GELU of int32 codes, and the (negative) scale of the result: algorithm 3.

    Raises:
        ValueError: another type, a scale outside 2^-18 to 1, or a code beyond 2^20: what is finer
            or larger could leave int64.
    """
    given = np.atleast_1d(array("x", x, np.int32))
    if given.size and np.abs(given.astype(np.int64)).max() > _WIDE:
        raise ValueError(f"x holds codes beyond {_WIDE}")
    if scale < 2.0**-18:
        raise ValueError(f"scale is {scale}; 2^-18 to 1 is allowed")
    inner = _scale(scale) / math.sqrt(2)
    shift, more, unit = _polynomial(inner, *_ERF)
    out = np.empty(given.shape, np.int64)
    most, one = math.floor(-_ERF[1] / inner), math.floor(1 / unit)
    _gelus(given.reshape(-1), most, shift, more, one, out.reshape(-1))
    return out.reshape(np.shape(x)), scale * unit / 2


@kernel
def _softmax(x: Int32, ln2: int, shift: int, more: int, out: Int32) -> None:
    exps = np.empty(x.shape[1], np.int64)
    for row in range(x.shape[0]):
        top = np.int64(x[row, 0])
        for j in range(x.shape[1]):
            top = max(top, np.int64(x[row, j]))
        total = np.int64(0)
        for j in range(x.shape[1]):
            exps[j] = _exp(np.int64(x[row, j]) - top, ln2, shift, more) >> 16
            total += exps[j]
        for j in range(x.shape[1]):
            out[row, j] = (exps[j] << SOFTMAX_BITS) // max(total, np.int64(1))


def i_softmax(x: npt.ArrayLike, scale: float) -> Int32:
    """Return softmax of rows of int32 codes with 15 fraction bits.

    Exps lose 16 bits before they are summed, as the published code requantizes them.

    Raises:
        ValueError: another type, or a scale outside 2^-24 to 2^-8, below whose fineness nothing
            would be left of the exps.
    """
    rows = matrix("x", x, np.int32)
    if _scale(scale) > 2.0**-8:
        raise ValueError(f"scale is {scale}; 2^-24 to 2^-8 is allowed")
    shift, more, _ = _polynomial(scale, *_EXP)
    out = np.empty(rows.shape, np.int32)
    if out.size:
        _softmax(rows, math.floor(math.log(2) / scale), shift, more, out)
    return out


@inner
def _root(n: int) -> np.int64:
    """The whole part of a square root, by Newton from above: algorithm 4."""
    if n < 2:
        return np.int64(n)
    bits = 0
    while n >> bits:
        bits += 1
    found = np.int64(1) << ((bits + 1) // 2)
    while True:
        following = (found + n // found) >> 1
        if following >= found:
            return found
        found = following


@leaf
def _roots(x: Int64, out: Int64) -> None:
    for i in range(x.size):
        out[i] = _root(x[i])


def i_sqrt(x: npt.ArrayLike) -> Int64:
    """Return ``floor(sqrt(x))`` of int64.

    Raises:
        ValueError: another type, or a negative number.
    """
    given = np.atleast_1d(array("x", x, np.int64))
    if given.size and given.min() < 0:
        raise ValueError(f"x holds {given.min()}; no number below 0 is allowed")
    out = np.empty(given.shape, np.int64)
    _roots(given.reshape(-1), out.reshape(-1))
    return out.reshape(np.shape(x))


@leaf
def _norms(x: Int32, centred: bool, out: Int64) -> None:
    n = x.shape[1]
    for row in range(x.shape[0]):
        total, squares = np.int64(0), np.int64(0)
        for j in range(n):
            total += np.int64(x[row, j])
        mean = (2 * total + n) // (2 * n) if centred else np.int64(0)
        for j in range(n):
            off = np.int64(x[row, j]) - mean
            squares += off * off
        factor = (np.int64(1) << 31) // max(_root(squares), np.int64(1))
        for j in range(n):
            out[row, j] = ((np.int64(x[row, j]) - mean) * factor) >> 1


def _norm(x: npt.ArrayLike, centred: bool) -> tuple[Int64, float]:
    rows = matrix("x", x, np.int32)
    if rows.size and np.abs(rows.astype(np.int64)).max() > _WIDE:
        raise ValueError(f"x holds codes beyond {_WIDE}, whose squares could leave int64")
    out = np.empty(rows.shape, np.int64)
    if out.size:
        _norms(rows, centred, out)
    return out, math.sqrt(rows.shape[1]) / 2.0**NORM_BITS


def i_layer_norm(x: npt.ArrayLike) -> tuple[Int64, float]:
    """Return ``(x - mean) / std`` of rows of int32 codes, and the scale of the result.

    The mean is rounded half up; the root of the sum of squares is whole, and its reciprocal has 31
    bits (the published IntLayerNorm). No scale enters: norms do not depend on it.

    Raises:
        ValueError: another type, or codes beyond 2^20.
    """
    return _norm(x, True)


def i_rms_norm(x: npt.ArrayLike) -> tuple[Int64, float]:
    """Return ``x / sqrt(mean(x^2))`` of rows of int32 codes, and the scale of the result.

    Raises:
        ValueError: another type, or codes beyond 2^20.
    """
    return _norm(x, False)
