"""Serial sums against fractions: any accumulator, chunk, depth and spill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.dot.values import codes_of
from accelsim_kernels.matmul import matmul_chain, matmul_fp64
from accelsim_kernels.presets import PRESETS, Arithmetic
from tests.kernels import naive_float
from tests.kernels.dot import twins_units as twins
from tests.kernels.dot.operands import codes, run, same_class, values
from tests.kernels.support import SEEDS, numbers

CHAIN = PRESETS["fp32_chain"]

RULES = st.builds(
    lambda accumulator, spill, kept, to_zero, chunk, depth: replace(
        CHAIN, accumulator=accumulator, spill=spill, kept_bits=kept, chunk=chunk, depth=depth,
        rounding="toward_zero" if to_zero else "nearest_even",
    ),
    st.sampled_from(("fp32", "fp16", "bf16", "tf32")), st.sampled_from(("fp32", "fp16", "bf16")),
    st.sampled_from((23, 23, 13, 5)), st.booleans(), st.sampled_from((1, 1, 2, 4, 5)),
    st.sampled_from((0, 1, 7, 16)),
)  # fmt: skip


def twin_formats(rule: Arithmetic) -> tuple[twins.Format, twins.Format]:
    mine = twins.FORMATS[rule.accumulator]
    kept = min(mine.kept, rule.kept_bits)
    to_zero = rule.rounding == "toward_zero"
    return twins.Format(kept, mine.least, mine.most, to_zero), twins.FORMATS[rule.spill]


@settings(max_examples=120, deadline=None)
@given(RULES, SEEDS, st.sampled_from(("fp32", "fp16", "bf16", "fp8_e4m3")),
       st.integers(1, 40), st.integers(0, 12))  # fmt: skip
def test_serial_sums_are_what_fractions_say(
    rule: Arithmetic, seed: int, operand: str, k: int, spread: int
) -> None:
    m, n = 2, 3
    a, b = codes(seed, operand, m, k, spread=spread), codes(seed + 1, operand, n, k, spread=spread)
    c = codes(seed + 2, rule.spill, m, n, spread=spread)
    formats, cut = twin_formats(rule), (rule.chunk, rule.depth)
    left, right, start = (
        values(a, operand), values(b, operand), values(c, rule.spill),
    )  # fmt: skip
    wanted = [
        [twins.serial(x, y, z, formats, cut) for y, z in zip(right, line, strict=True)]
        for x, line in zip(left, start, strict=True)
    ]
    found = run(rule, a, b, c, (operand, operand))
    assert same_class(found, codes_of(np.array(wanted), rule.spill), rule.spill)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 30), st.integers(1, 90), st.integers(1, 60))
def test_fp32_chains_are_those_of_matmul_chain(seed: int, m: int, n: int, k: int) -> None:
    a, b = numbers(seed, m, k), numbers(seed + 1, n, k)
    found = run(CHAIN, a.view(np.uint32), b.view(np.uint32))
    assert np.array_equal(found, matmul_chain(a, b).view(np.uint32))


def test_fp64_chains_round_once_per_product() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((7, 19)), rng.standard_normal((35, 19))
    found = run(PRESETS["fp64_chain"], a.view(np.uint64), b.view(np.uint64)).view(np.float64)
    assert np.array_equal(found, matmul_fp64(a, b))
    assert np.array_equal(found[:2, :3], naive_float.matmul_fp64(a[:2].tolist(), b[:3].tolist()))


def test_a_chain_of_fp64_is_spilled_to_fp32() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((3, 12)), rng.standard_normal((2, 12))
    rule = replace(PRESETS["fp64_chain"], spill="fp32", depth=5)
    found = run(rule, a.view(np.uint64), b.view(np.uint64)).view(np.float32)
    for i in range(3):
        for j in range(2):
            total = 0.0
            for k in range(0, 12, 5):
                part = naive_float.matmul_fp64(
                    [[total, *a[i, k : k + 5].tolist()]], [[1.0, *b[j, k : k + 5].tolist()]]
                )
                total = float(np.float32(part[0][0]))
            assert found[i, j] == total


def test_a_chain_of_fp32_is_the_general_path_too() -> None:
    # 24 bits of binary32 by the unit of the processor, and by rounding binary64 to odd.
    a, b = codes(1, "bf16", 23, 50, spread=30), codes(2, "bf16", 67, 50, spread=30)
    c = codes(3, "fp32", 23, 67, spread=30)
    native = run(CHAIN, a, b, c, ("bf16", "bf16"))
    general = replace(CHAIN, kept_bits=22)
    assert not np.array_equal(run(general, a, b, c, ("bf16", "bf16")), native)
    exact = replace(PRESETS["cdna1_bf16"], chunk=2)
    ones = np.zeros((23, 100), np.uint16)
    ones[:, ::2] = a
    twos = np.zeros((67, 100), np.uint16)
    twos[:, ::2] = b
    assert np.array_equal(run(exact, ones, twos, c), native)


@pytest.mark.parametrize("depth", [1, 16, 128])
def test_a_spill_is_a_rounding_between_two_products(depth: int) -> None:
    rule = replace(CHAIN, spill="bf16", depth=depth)
    a, b = codes(4, "bf16", 9, 300, spread=4), codes(5, "bf16", 70, 300, spread=4)
    c = np.zeros((9, 70), np.uint16)
    for k in range(0, 300, depth):
        part = slice(k, k + depth)
        whole = replace(rule, depth=0)
        c = run(whole, np.ascontiguousarray(a[:, part]), np.ascontiguousarray(b[:, part]), c,
                ("bf16", "bf16"))  # fmt: skip
    assert np.array_equal(run(rule, a, b, None, ("bf16", "bf16")), c)


@pytest.mark.parametrize("spill", ["fp16", "bf16", "tf32"])
def test_cutting_m_and_n_changes_nothing(spill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = replace(CHAIN, accumulator="fp16", spill=spill, chunk=3, depth=16)
    a, b = codes(6, "fp16", 99, 50, spread=6), codes(7, "fp16", 75, 50, spread=6)
    monkeypatch.setenv("ACCELSIM_THREADS", "1")
    whole = run(rule, a, b, None, ("fp16", "fp16"))
    monkeypatch.setenv("ACCELSIM_THREADS", "2")
    assert np.array_equal(run(rule, a, b, None, ("fp16", "fp16")), whole)
    parts = [run(rule, a[i : i + 7], b, None, ("fp16", "fp16")) for i in range(0, 99, 7)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_an_accumulator_in_fp16_overflows_to_infinity() -> None:
    rule = PRESETS["systolic_16_fp16"]
    big = np.full((1, 4), 0x7BFF, np.uint16)
    one = np.full((1, 4), 0x3C00, np.uint16)
    assert run(rule, big, one)[0, 0] == 0x7C00
    assert run(replace(rule, rounding="toward_zero"), big, one)[0, 0] == 0x7C00
    assert run(rule, big, -one.view(np.float16).view(np.float16).view(np.uint16) | 0x8000)[
        0, 0
    ] == (0xFC00)
