"""Integer sums of every width against Python's integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.dot.units import Product, runner
from accelsim_kernels.dot.wide import width_of
from accelsim_kernels.formats import format_of
from accelsim_kernels.integer import matmul_int8
from accelsim_kernels.presets import PRESETS, Arithmetic
from accelsim_kernels.product import matmul
from tests.kernels.dot import twins_units as twins
from tests.kernels.dot.operands import Array
from tests.kernels.support import SEEDS

EXACT = PRESETS["int32_exact"]
OPERANDS = {2: np.int8, 4: np.int8, 8: np.int8, 16: np.int16}


def made(seed: int, bits: int, *shape: int) -> Array:
    """Return codes, many of them at the ends."""
    rng, half = np.random.default_rng(seed), 1 << (bits - 1)
    found = rng.integers(-half, half, shape)
    ends = rng.choice([-half, half - 1], shape)
    return np.where(rng.random(shape) < 0.5, ends, found).astype(OPERANDS[bits])


def run(rule: Arithmetic, a: Array, b: Array, c: Array | None = None) -> Array:
    word = np.int32 if width_of(rule.spill) <= 32 else np.int64
    out = np.zeros((len(a), len(b)), word) if c is None else c.astype(word)
    fmt = format_of("int8")
    runner("integer")(Product(rule, a, b, fmt, fmt, out, fmt))
    return out


def rule_of(width: int, spill: int, saturate: bool, chunk: int = 0, depth: int = 0) -> Arithmetic:
    return replace(
        EXACT, accumulator=f"int{width}", spill=f"int{spill}", chunk=chunk, depth=depth,
        overflow="saturate" if saturate else "wrap",
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(8, 64), st.integers(8, 64), st.booleans(), st.sampled_from((2, 4, 8, 16)),
       st.sampled_from((2, 4, 8, 16)), st.integers(0, 9), st.sampled_from((0, 0, 5, 16)),
       st.integers(1, 70))  # fmt: skip
def test_sums_are_what_integers_say(
    seed: int, width: int, spill: int, saturate: bool, left: int, right: int, chunk: int,
    depth: int, k: int,
) -> None:  # fmt: skip
    a, b = made(seed, left, 3, k), made(seed + 1, right, 4, k)
    edge = 1 << (min(width, spill) - 1)
    c = np.random.default_rng(seed).integers(-edge, edge, (3, 4), dtype=np.int64)
    rule = rule_of(width, spill, saturate, chunk, depth)
    wanted = [
        [twins.integer(x, y, z, (width, spill), (chunk, depth), saturate)
         for y, z in zip(b.tolist(), line, strict=True)]
        for x, line in zip(a.tolist(), c.tolist(), strict=True)
    ]  # fmt: skip
    assert run(rule, a, b, c).tolist() == wanted


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_long_sums_leave_int32(overflow: str) -> None:
    k = 131072 + 5  # -128 * -128 * 131072 is 2^31
    a, b = np.full((2, k), -128, np.int8), np.full((3, k), -128, np.int8)
    found = run(replace(EXACT, overflow=overflow, chunk=64), a, b)
    total = k * 16384
    assert (found == (2**31 - 1 if overflow == "saturate" else total - 2**32)).all()
    assert (run(rule_of(40, 40, False), a, b) == total).all()


def test_an_accumulator_of_64_bits_is_clamped() -> None:
    top = 2**63 - 1
    a = np.full((1, 4), -32768, np.int16)
    c = np.full((1, 1), top - 3, np.int64)
    assert run(rule_of(64, 64, True, 1), a, a, c)[0, 0] == top
    assert run(rule_of(64, 64, True, 1), a, np.full((1, 4), 32767, np.int16), -c - 3)[0, 0] == (
        -top - 1
    )
    assert run(rule_of(64, 64, False), a, a, c)[0, 0] == top - 3 + 4 * 2**30 - 2**64


def test_saturation_depends_on_the_chunk() -> None:
    a = np.array([[100, 100, -100, -100]], np.int8)
    b = np.array([[100, 100, 100, 100]], np.int8)
    found = {chunk: int(run(rule_of(14, 14, True, chunk), a, b)[0, 0]) for chunk in (1, 2, 4)}
    assert found == {1: -8192, 2: -8192, 4: 0}
    assert int(run(rule_of(15, 15, True, 1), a, b)[0, 0]) == 16383 - 20000


def test_cutting_m_and_n_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = made(1, 8, 130, 200), made(2, 8, 90, 200)
    monkeypatch.setenv("ACCELSIM_THREADS", "1")
    assert np.array_equal(run(EXACT, a, b), matmul_int8(a, b))
    for rule in (rule_of(20, 20, True, 8), rule_of(20, 20, False)):
        monkeypatch.setenv("ACCELSIM_THREADS", "1")
        whole = run(rule, a, b)
        monkeypatch.setenv("ACCELSIM_THREADS", "2")
        assert np.array_equal(run(rule, a, b), whole)
        assert np.array_equal(run(rule, a[17:40], b[60:]), whole[17:40, 60:])


def test_one_matmul_takes_any_width() -> None:
    a = np.full((2, 16), 127, np.int8)
    rule = rule_of(20, 20, False)
    assert (matmul(a, a, rule) == 16 * 127 * 127).all()
    assert (matmul(a, a, rule_of(18, 18, False)) == 16 * 127 * 127 - 2**18).all()
    assert matmul(a, a, rule_of(40, 40, True, 4)).dtype == np.int64
    assert rule.accumulator_bits == 20


@pytest.mark.parametrize("name", ["int7", "int65", "uint8", "fp32", "int"])
def test_widths_that_are_not_known(name: str) -> None:
    with pytest.raises(ValueError, match="int8 to int64 are allowed"):
        width_of(name)
