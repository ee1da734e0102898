"""Functions in fixed point: twins, LiteRT, and the errors that docs/integer.md states."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.approx import (
    fixed_exp,
    fixed_inverse_root,
    fixed_logistic,
    fixed_reciprocal,
    fixed_silu,
    softmax_int,
)
from accelsim_kernels.approx_ibert import (
    i_exp,
    i_gelu,
    i_layer_norm,
    i_rms_norm,
    i_softmax,
    i_sqrt,
)
from accelsim_kernels.lookup import look_up, table_int8, table_int16
from tests.kernels import naive_integer
from tests.kernels.litert import LITERT, Tensor, run
from tests.kernels.support import codes
from tests.support import ROOT

Numbers = npt.NDArray[Any]
RAW = st.integers(0, 2**31 - 1)
FINE = 2.0**-10


@given(st.lists(RAW, min_size=1, max_size=9))
def test_fixed_point_is_that_of_the_twin(raw: list[int]) -> None:
    x = np.array(raw, np.int32)
    assert fixed_exp(-x).tolist() == [naive_integer.fixed_exp(-v, 5) for v in raw]
    assert fixed_reciprocal(x).tolist() == [naive_integer.fixed_reciprocal(v) for v in raw]
    for sign in (1, -1):
        twin = [naive_integer.fixed_logistic(sign * v) for v in raw]
        assert fixed_logistic(sign * x).tolist() == twin
        gated = [naive_integer.high_product(sign * v, y) for v, y in zip(raw, twin, strict=True)]
        assert fixed_silu(sign * x).tolist() == gated


@given(st.integers(0, 2**63 - 1))
def test_roots_are_whole(n: int) -> None:
    assert int(i_sqrt(np.int64(n))) == math.isqrt(n)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=20), st.integers(8, 18))
def test_polynomials_are_those_of_the_twin(raw: list[int], bits: int) -> None:
    scale, x = 2.0**-bits, np.array(raw, np.int32)

    def parts(a: float, b: float, c: float, unit: float) -> tuple[int, int]:
        return math.floor(b / unit), math.floor(c / (a * unit * unit))

    shift, more = parts(0.3585, 1.353, 0.344, scale)
    ln2 = math.floor(math.log(2) / scale)
    turns = [min(abs(q) // ln2, 62) for q in raw]
    twin = [
        ((max(t * ln2 - abs(q), -ln2) + shift) ** 2 + more) >> t
        for q, t in zip(raw, turns, strict=True)
    ]
    assert i_exp(-np.abs(x), scale)[0].tolist() == twin
    inner = scale / math.sqrt(2)
    shift, more = parts(-0.2888, -1.769, 1.0, inner)
    one = math.floor(1 / (-0.2888 * inner * inner))
    edge = math.floor(1.769 / inner)
    twin = [
        q * ((1 if q >= 0 else -1) * ((min(abs(q), edge) + shift) ** 2 + more) + one) for q in raw
    ]
    assert i_gelu(x, scale)[0].tolist() == twin


def test_softmax_is_that_of_litert() -> None:
    schema = pytest.importorskip(LITERT, reason="LiteRT is not installed")
    code, options = schema.BuiltinOperator.SOFTMAX, schema.BuiltinOptions.SoftmaxOptions
    for scale in (0.003, 0.1, 0.77):
        x = codes(int(1000 * scale), 30, 77)
        for format, step, zero in (("int8", 2.0**-8, -128), ("int16", 2.0**-15, 0)):
            tensors = [
                Tensor(x.shape, "int8", (scale,), 3), Tensor(x.shape, format, (step,), zero)
            ]  # fmt: skip
            found = run(code, 3, options, {"beta": 1.0}, tensors, x)
            assert np.array_equal(found, softmax_int(x, scale, format=format))


def _softmax(x: Numbers) -> Numbers:
    e = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def _raw(low: int, high: int) -> npt.NDArray[np.int32]:
    return np.arange(low, high, 65521).astype(np.int32)


def _silu(x: Any) -> Any:
    return x / (1 + np.exp(-x))


def _gelu(x: Numbers) -> Numbers:
    return np.asarray(0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))))


def _roots() -> float:
    x = np.concatenate([np.arange(2, 5000), 2.0 ** np.linspace(12, 30.99, 5000)]).astype(np.int32)
    m, shift = fixed_inverse_root(x)
    found = m * 2.0 ** (shift - 31.0) * np.sqrt(x.astype(np.float64))
    return float(np.abs(found - 1).max())


def _of(found: tuple[Any, float], wanted: Numbers) -> float:
    return float(np.abs(found[0] * found[1] - wanted).max())


def _row_codes() -> npt.NDArray[np.int32]:
    return np.random.default_rng(0).integers(-8000, 8000, (64, 200)).astype(np.int32)


def _softmax_codes(format: str, bits: int) -> float:
    x = codes(0, 64, 200)
    found = softmax_int(x, 0.125, format=format)
    real = (found.astype(np.float64) - np.iinfo(found.dtype).min) / 2.0**bits
    return float(np.abs(real - _softmax(x * 0.125)).max())


def _fixed(function: Any, low: int, high: int, x_bits: int, y_bits: int, exact: Any) -> float:
    raw = _raw(low, high)
    wanted = exact(raw / 2.0**x_bits)
    return float(np.abs(function(raw) / 2.0**y_bits - wanted).max())


def _table(make: Any, kind: Any) -> float:
    span = np.iinfo(kind)
    x = np.arange(span.min, span.max + 1).astype(kind)
    step = -8.0 / span.min
    found = look_up(x, make(_silu, step, 0, step, 0))
    return float(np.abs(found * step - _silu(x * step)).max())


def _norm(x: Numbers, centred: bool) -> Numbers:
    middle = x - x.mean(1, keepdims=True) if centred else x
    return np.asarray(middle / np.sqrt((middle**2).mean(1, keepdims=True)))


FINE_CODES = np.arange(-6144, 6145).astype(np.int32)
#: What docs/integer.md lists, by the first cell of its row.
ERRORS: dict[str, Callable[[], float]] = {
    "`table_int8`": lambda: _table(table_int8, np.int8),
    "`table_int16`": lambda: _table(table_int16, np.int16),
    "`fixed_exp`": lambda: _fixed(fixed_exp, -(2**31), 1, 26, 31, np.exp),
    "`fixed_logistic`": lambda: _fixed(
        fixed_logistic, -(2**31), 2**31, 27, 31, lambda x: 1 / (1 + np.exp(-x))
    ),
    "`fixed_silu`": lambda: _fixed(fixed_silu, -(2**31), 2**31, 27, 27, _silu),
    "`fixed_reciprocal`": lambda: _fixed(fixed_reciprocal, 0, 2**31, 31, 31, lambda x: 1 / (1 + x)),
    "`fixed_inverse_root`": _roots,
    "`softmax_int`, int8": lambda: _softmax_codes("int8", 8),
    "`softmax_int`, int16": lambda: _softmax_codes("int16", 16),
    "`i_exp`": lambda: _of(
        i_exp(-np.arange(16385).astype(np.int32), FINE), np.exp(-np.arange(16385) * FINE)
    ),
    "`i_gelu`": lambda: _of(i_gelu(FINE_CODES, FINE), _gelu(FINE_CODES * FINE)),
    "`i_softmax`": lambda: float(
        np.abs(i_softmax(_row_codes(), FINE) / 2.0**15 - _softmax(_row_codes() * FINE)).max()
    ),
    "`i_layer_norm`": lambda: _of(i_layer_norm(_row_codes()), _norm(1.0 * _row_codes(), True)),
    "`i_rms_norm`": lambda: _of(i_rms_norm(_row_codes()), _norm(1.0 * _row_codes(), False)),
}


def test_errors_are_those_of_the_docs() -> None:
    text = (ROOT / "docs" / "integer.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| (`\w+`[^|]*?) \|.*\| ([\d.e+-]+) \|$", text, re.MULTILINE))
    assert stated == {name: f"{error():.1e}" for name, error in ERRORS.items()}


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: fixed_exp(np.array([1], np.int32)), "no number above 0"),
        (lambda: fixed_exp(np.array([-1], np.int64)), "x is int64"),
        (lambda: fixed_reciprocal(np.array([-1], np.int32)), "no number below 0"),
        (lambda: fixed_inverse_root(np.array([-1], np.int32)), "no number below 0"),
        (lambda: softmax_int(np.zeros((1, 4096), np.int8), 0.1), "at most 4095"),
        (lambda: softmax_int(np.zeros((1, 4), np.int8), 0.0), "scale is 0.0"),
        (lambda: softmax_int(np.zeros((1, 4), np.int16), 0.1), "x is int16"),
        (lambda: i_exp(np.array([1], np.int32), 0.1), "no code above 0"),
        (lambda: i_exp(np.array([-1], np.int32), 0.0), "scale is 0.0"),
        (lambda: i_gelu(np.array([2**21], np.int32), 0.1), "codes beyond"),
        (lambda: i_softmax(np.zeros((1, 3), np.int32), 0.1), "scale is 0.1"),
        (lambda: i_sqrt(np.array([-1])), "no number below 0"),
        (lambda: i_layer_norm(np.array([[2**21]], np.int32)), "codes beyond"),
        (lambda: look_up(np.zeros(2, np.int8), np.zeros(513, np.int8)), "table has the shape"),
        (lambda: look_up(np.zeros(2, np.int32), np.zeros(256, np.int8)), "codes is int32"),
        (lambda: table_int8(np.sqrt, 0.1, 0, 0.1, 0), "function gives NaN"),
        (lambda: table_int16(np.exp, -0.1, 0, 0.1, 0), "x_scale is -0.1"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_nothing_gives_nothing() -> None:
    none = np.zeros((0, 3), np.int32)
    assert i_softmax(none, FINE).shape == i_rms_norm(none)[0].shape == (0, 3)
    assert softmax_int(np.zeros((3, 0), np.int8), 0.1).shape == (3, 0)
    assert look_up(np.zeros((2, 0), np.int8), np.zeros(256, np.int8)).shape == (2, 0)
    same = np.zeros((2, 3), np.int32)
    assert not i_layer_norm(same)[0].any()  # a row without spread
