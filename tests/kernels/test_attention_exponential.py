"""Exponentials of attention: bits against the twin, errors against binary64 as the docs state."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from accelsim_kernels import attention_exponential
from accelsim_kernels.attention_arithmetic import EXPONENTIALS
from accelsim_kernels.jit import leaf
from tests.kernels.naive_attention import POWERS
from tests.kernels.support import same
from tests.support import ROOT

#: Parts of kernels, compiled by themselves.
log64, power_all = leaf(attention_exponential.log64), leaf(attention_exponential.power_all)

#: Exponents over which the docs state errors: where binary32 and binary16 results are normal.
RANGES = {"exp": (-87.0, 0.0), "exp2_fp16": (-14.0, 0.0)}


def exponents(kind: str, count: int) -> np.ndarray:
    low, high = RANGES.get(kind, (-126.0, 0.0))
    return np.linspace(low, high, count).astype(np.float32)


def stated() -> dict[str, tuple[float, float]]:
    """Return the largest and the mean relative error of each exponential in the docs."""
    text = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(exp\w*)` \|.*\| (\S+) \| (\S+) \|$", text, re.MULTILINE)
    return {name: (float(worst), float(mean)) for name, worst, mean in rows}


@pytest.mark.parametrize("kind", EXPONENTIALS)
def test_errors_are_those_of_the_docs(kind: str) -> None:
    x = exponents(kind, 1_000_001)
    made = x.copy()
    power_all(made, EXPONENTIALS.index(kind))
    exact = np.exp(x.astype(np.float64) * (1.0 if kind == "exp" else math.log(2.0)))
    error = np.abs(made / exact - 1.0)
    worst, mean = stated()[kind]
    assert error.max() == pytest.approx(worst, rel=0.02)
    assert error.mean() == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize("kind", EXPONENTIALS)
def test_bits_are_those_of_the_twin(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            exponents(kind, 400), rng.uniform(-200, 9, 600), -(2.0 ** rng.uniform(-40, 8, 300)),
            [0.0, -0.0, 1.0, -1e-10, -126.0, -127.0, -127.5, -1e30, np.nextafter(-126, 0)],
        ]
    ).astype(np.float32)  # fmt: skip
    wanted = [POWERS[kind](float(value)) for value in x]
    power_all(x, EXPONENTIALS.index(kind))
    assert same(x, wanted)


@pytest.mark.parametrize("kind", EXPONENTIALS)
def test_no_number_stays_none_and_nothing_overflows_to_one(kind: str) -> None:
    x = np.array([np.nan, -np.inf, np.inf, 0.0], np.float32)
    power_all(x, EXPONENTIALS.index(kind))
    assert np.isnan(x[0])
    assert 0.0 <= x[1] < 1e-37
    assert x[2] > 1e37
    assert x[3] == 1.0


def test_logarithm() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([2.0 ** rng.uniform(-126, 127, 20_000), [1.0, 2.0, 0.5, 3e38]]).astype(
        np.float32
    )
    found = np.array([log64(value) for value in x])
    exact = np.log(x.astype(np.float64))
    assert np.abs(found - exact).max() <= 4e-16 * np.abs(exact).max()
    near = (1.0 + rng.uniform(-1e-3, 1e-3, 1000)).astype(np.float32)
    exact = np.log(near.astype(np.float64))
    assert np.allclose([log64(value) for value in near], exact, rtol=4e-15, atol=0.0)
    assert log64(np.float32(1)) == 0.0
    assert log64(np.float32(np.inf)) == np.inf
    assert np.isnan(log64(np.float32(np.nan)))
