"""Tensor cores against their twin: random and directed operands, every pair of FP8 codes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels import PRESETS, Arithmetic
from accelsim_kernels.dot import aligned, grouped
from accelsim_kernels.dot.units import Path
from accelsim_kernels.formats import FORMATS
from accelsim_kernels.product import matmul
from tests.kernels.dot import twin_tensor as twin
from tests.kernels.support import SEEDS

Array = npt.NDArray[Any]
TENSOR = [row.name for row in PRESETS.values() if row.unit in ("aligned", "grouped")]
#: Presets of FP8 that give the same products of one element.
ALIKE = [
    ["ada_fp8"], ["ada_fp8_f16"], ["hopper_fp8", "hopper_fp8_promoted"], ["hopper_fp8_f16"],
    ["blackwell_fp8", "rtx_blackwell_fp8", "rtx_blackwell_fp8_k16"],
    ["blackwell_fp8_f16", "rtx_blackwell_fp8_f16", "rtx_blackwell_fp8_k16_f16"],
]  # fmt: skip
#: How operands are spread: any bits, numbers near one, numbers far apart, most of them zero.
SPREADS = ("bits", "near", "far", "sparse")


def operand(rng: np.random.Generator, spread: str, fmt: str, *shape: int) -> Array:
    """Return codes of a format."""
    facts = FORMATS[fmt]
    kind = np.dtype(f"uint{max(8, facts.bits)}")
    codes = rng.integers(0, 2**facts.bits, shape, np.uint64)
    ignored = 13 if fmt == "tf32" else 0
    if spread != "bits":
        width = 2 if spread == "near" else 2**facts.exponent_bits - 2
        field = facts.bias + rng.integers(-(width // 2), (width + 1) // 2, shape)
        field = np.clip(field, 0, 2**facts.exponent_bits - 2).astype(np.uint64)
        low = facts.mantissa_bits + ignored
        keep = np.uint64(1 << (facts.bits - 1) | ((1 << low) - 1))
        codes = (codes & keep) | (field << np.uint64(low))
    if spread == "sparse":
        codes = np.where(rng.random(shape) < 0.8, np.uint64(0), codes)
    return codes.astype(kind)


def product(
    made: Arithmetic, seed: int, shape: tuple[int, int, int], spreads: tuple[str, str, str]
) -> tuple[tuple[Array, Array, Array], dict[str, Any]]:
    """Return a, b, c and the options of a product."""
    rng = np.random.default_rng(seed)
    m, n, k = shape
    formats = [str(rng.choice(made.operands)) for _ in range(2)]
    a = operand(rng, spreads[0], formats[0], m, k)
    b = operand(rng, spreads[1], formats[1], n, k)
    c = operand(rng, spreads[2], made.spill, m, n)
    options: dict[str, Any] = {"a_format": formats[0], "b_format": formats[1]}
    if made.scale:
        blocks = -(-k // made.block)
        spread = "bits" if spreads[0] == "bits" else "near"
        kind = "fp8_e4m3" if made.scale == "ue4m3" else made.scale
        options["a_scales"] = operand(rng, "bits", kind, m, blocks)
        options["b_scales"] = operand(rng, "bits", kind, n, blocks)
        if spread == "near" and kind == "e8m0":
            options["a_scales"] = (options["a_scales"] % 6 + 124).astype(np.uint8)
            options["b_scales"] = (options["b_scales"] % 6 + 124).astype(np.uint8)
    return (a, b, c), options


def expected(made: Arithmetic, operands: tuple[Array, Array, Array], given: Any) -> Array:
    """Return what the twin makes of a product."""
    a, b, c = operands
    formats = (given["a_format"], given["b_format"], made.spill)
    left, right = (given.get(f"{x}_scales", np.zeros((len(y), 0), np.uint8)) for x, y in
                   (("a", a), ("b", b)))  # fmt: skip
    found = [
        [
            twin.dot(
                a[i].tolist(), b[j].tolist(), int(c[i, j]), made, formats,
                (left[i].tolist(), right[j].tolist()),
            )
            for j in range(len(b))
        ]
        for i in range(len(a))
    ]  # fmt: skip
    return np.array(found, c.dtype)


@pytest.mark.parametrize("name", [name for name in TENSOR if not PRESETS[name].promotion])
@settings(max_examples=6, deadline=None)
@given(SEEDS, st.integers(1, 70), st.tuples(*[st.sampled_from(SPREADS)] * 3))
def test_twin(name: str, seed: int, k: int, spreads: tuple[str, str, str]) -> None:
    made = PRESETS[name]
    operands, options = product(made, seed, (3, 2, k), spreads)
    found = matmul(*operands[:2], made, operands[2], **options)
    assert np.array_equal(found, expected(made, operands, options))


@cache
def distinct(a_format: str, b_format: str) -> tuple[list[tuple[int, int]], Array]:
    """Return pairs of codes whose products differ, and which of them every pair is like."""
    left = [twin.decode(x, a_format) for x in range(256)]
    right = [twin.decode(x, b_format) for x in range(256)]
    known: dict[tuple[Any, ...], int] = {}
    pairs: list[tuple[int, int]] = []
    like = np.empty((256, 256), np.int64)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            special = (i, j) if x.special is not None or y.special is not None else None
            key = (x.s * y.s, x.e + y.e, special)
            if key not in known:
                known[key] = len(pairs)
                pairs.append((i, j))
            like[i, j] = known[key]
    return pairs, like


def of_one(made: Arithmetic) -> tuple[Any, ...]:
    """Return what of an arithmetic counts in a product of one element."""
    return made.fraction_bits, made.kept_bits, made.rounding, made.zero_exponent, made.spill


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: names[0])
def test_every_pair_of_fp8_codes(names: list[str]) -> None:
    codes = np.arange(256, dtype=np.uint8)[:, None]
    first = PRESETS[names[0]]
    for a_format, b_format in itertools.product(("fp8_e4m3", "fp8_e5m2"), repeat=2):
        pairs, like = distinct(a_format, b_format)
        formats = (a_format, b_format, first.spill)
        one = np.array([twin.dot([i], [j], 0, first, formats) for i, j in pairs])
        for name in names:
            assert of_one(PRESETS[name]) == of_one(first)
            found = matmul(codes, codes, name, a_format=a_format, b_format=b_format)
            assert np.array_equal(found, one[like])


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 70), st.sampled_from(SPREADS))
def test_volta_takes_c_in_fp16(seed: int, k: int, spread: str) -> None:
    made = PRESETS["volta_fp16"]
    rng = np.random.default_rng(seed)
    a, b = (operand(rng, spread, "fp16", 2, k) for _ in range(2))
    c = operand(rng, "bits", "fp16", 2, 2)
    wanted = [
        [twin.dot(x.tolist(), y.tolist(), int(c[i, j]), made, ("fp16",) * 3)
         for j, y in enumerate(b)]
        for i, x in enumerate(a)
    ]  # fmt: skip
    assert np.array_equal(matmul(a, b, made, c), np.array(wanted, np.uint32))


@pytest.mark.parametrize("name", ["hopper_fp8", "hopper_fp8_f16", "blackwell_nvfp4"])
@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 9), st.integers(1, 130), st.integers(1, 300), st.sampled_from(SPREADS))
def test_portable_path_gives_the_same_bits(
    name: str, seed: int, m: int, n: int, k: int, spread: str
) -> None:
    made = PRESETS[name]
    (a, b, c), options = product(made, seed, (m, n, k), (spread,) * 3)
    wanted = matmul(a, b, made, c, **options)
    run = {"aligned": aligned.run_aligned, "grouped": grouped.run_grouped}[made.unit]

    def portable(given: Any) -> None:
        path: Path = "portable"
        run(given, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accelsim_kernels.product.runner", lambda unit: portable)
        assert np.array_equal(matmul(a, b, made, c, **options), wanted)


@pytest.mark.parametrize(
    "name", ["hopper_fp8", "ampere_bf16", "blackwell_mxfp8", "blackwell_nvfp4"]
)
def test_bits_depend_on_k_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PRESETS[name]
    (a, b, c), options = product(made, 5, (70, 131, 600), ("near", "far", "near"))
    whole = matmul(a, b, made, c, **options)
    for threads in ("1", "2"):
        monkeypatch.setenv("ACCELSIM_THREADS", threads)
        assert np.array_equal(matmul(a, b, made, c, **options), whole)
    more = {key: options[key] for key in ("a_format", "b_format")}
    for rows, columns in ((slice(0, 1), slice(0, 131)), (slice(3, 70), slice(64, 65))):
        if made.scale:
            more |= {
                "a_scales": options["a_scales"][rows],
                "b_scales": options["b_scales"][columns],
            }
        found = matmul(a[rows], b[columns], made, c[rows, columns], **more)
        assert np.array_equal(found, whole[rows, columns])


def test_sums_go_through_blocks_of_k_and_rows() -> None:
    made = PRESETS["hopper_fp8"]
    (a, b, c), options = product(made, 6, (600, 3, 1100), ("near", "near", "near"))
    whole = matmul(a, b, made, c, **options)
    wanted = expected(made, (a[597:], b, c[597:]), options)
    assert np.array_equal(whole[597:], wanted)


@pytest.mark.parametrize("name", ["blackwell_fp8", "hopper_fp16", "ampere_fp16"])
def test_sums_beyond_int32_are_right(name: str) -> None:
    made = PRESETS[name]
    fmt = made.operands[0]
    largest = FORMATS[fmt].mantissa_bits
    code = (FORMATS[fmt].bias << largest) | (2**largest - 1)
    a = np.full((2, 2 * made.chunk), code, np.uint8 if fmt.startswith("fp8") else np.uint16)
    c = np.full((2, 2), 0x3FFFFFFF, np.uint32)
    options = {"a_format": fmt, "b_format": fmt}
    assert np.array_equal(matmul(a, a, made, c), expected(made, (a, a, c), options))


def test_rounding_of_a_spelled_arithmetic() -> None:
    made = replace(PRESETS["ampere_fp16"], name="kept_7", kept_bits=7, fraction_bits=18, chunk=5)
    operands, options = product(made, 7, (4, 4, 33), ("near", "far", "near"))
    found = matmul(*operands[:2], made, operands[2], **options)
    assert np.array_equal(found, expected(made, operands, options))
