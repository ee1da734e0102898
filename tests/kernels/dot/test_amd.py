"""Units of AMD against fractions, mmasim and the vectors, and every pair of FP8 codes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.dot import amd_floored
from accelsim_kernels.dot.lanes import COLUMNS, ROWS
from accelsim_kernels.formats import format_of
from accelsim_kernels.jit import leaf
from accelsim_kernels.presets import PRESETS
from tests.kernels.dot import twins_units as twins
from tests.kernels.dot.operands import Array, codes, run, same_class, values
from tests.kernels.support import SEEDS

FNUZ = ("fp8_e4m3fnuz", "fp8_e5m2fnuz")
CDNA = [row for row in PRESETS.values() if row.name.startswith("cdna")]
#: Parts of kernels, compiled by themselves.
HALVED, ADDED = leaf(amd_floored._halved), leaf(amd_floored._added)
ADD = leaf(amd_floored._add)
#: Units that fractions follow.
FLOATS = [row for row in CDNA if row.accumulator == "fp32"]


def twin(rule: Any, a: Array, b: Array, c: Array, formats: tuple[str, str]) -> Array:
    """Return the codes of sums in fractions."""
    least = (format_of(formats[0]).least_exponent, format_of(formats[1]).least_exponent)
    left, right, start = values(a, formats[0]), values(b, formats[1]), values(c, "fp32")
    halves = 2 if rule.unit == "floored_halves" else 1

    def one(x: list[float], y: list[float], z: float) -> float:
        if rule.unit == "flushed_pairs":
            return twins.flushed_pairs(x, y, z, least, (rule.chunk, rule.step))
        if rule.unit.startswith("floored"):
            return twins.floored(x, y, z, least, (rule.chunk, halves))
        return twins.serial(x, y, z, (twins.FP32, twins.FP32), (rule.chunk, 0))

    found = [[one(x, y, z) for y, z in zip(right, line, strict=True)]
             for x, line in zip(left, start, strict=True)]  # fmt: skip
    return np.array(found, np.float32).view(np.uint32)


@pytest.mark.parametrize("rule", FLOATS, ids=lambda row: row.name)
@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(1, 5), st.integers(1, 40), st.integers(0, 12))
def test_units_are_what_fractions_say(
    rule: Any, seed: int, m: int, n: int, k: int, spread: int
) -> None:
    names = rule.operands or ("fp32",)
    formats = (names[seed % len(names)], names[seed // 2 % len(names)])
    a, b = (
        codes(seed, formats[0], m, k, spread=spread),
        codes(seed + 1, formats[1], n, k, spread=spread),
    )
    c = codes(seed + 2, "fp32", m, n, spread=spread and 2 * spread)
    assert same_class(run(rule, a, b, c, formats), twin(rule, a, b, c, formats), "fp32")


@pytest.mark.parametrize("formats", [(x, y) for x in FNUZ for y in FNUZ])
def test_every_pair_of_fp8_codes(formats: tuple[str, str]) -> None:
    every = np.arange(256, dtype=np.uint8)[:, None]
    found = run(PRESETS["cdna3_fp8"], every, every, None, formats)
    left, right = values(every, formats[0]), values(every, formats[1])
    products = [[x[0] * y[0] + 0.0 for y in right] for x in left]  # exact in FP32
    assert same_class(found, np.array(products, np.float32).view(np.uint32), "fp32")


@pytest.mark.parametrize("rule", CDNA, ids=lambda row: row.name)
def test_cutting_m_and_n_changes_nothing(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (rule.operands or (rule.accumulator,))[:1] * 2
    a, b = codes(1, names[0], 101, 37, spread=9), codes(2, names[1], 70, 37, spread=9)
    c = codes(3, rule.spill, 101, 70, spread=9)
    monkeypatch.setenv("ACCELSIM_THREADS", "1")
    whole = run(rule, a, b, c)
    monkeypatch.setenv("ACCELSIM_THREADS", "2")
    assert np.array_equal(run(rule, a, b, c), whole)
    rows = [run(rule, a[i : i + 13], b, c[i : i + 13]) for i in range(0, 101, 13)]
    assert np.array_equal(np.concatenate(rows), whole)
    columns = [run(rule, a, b[j : j + 9], c[:, j : j + 9]) for j in range(0, 70, 9)]
    assert np.array_equal(np.concatenate(columns, axis=1), whole)


@pytest.mark.parametrize("rule", CDNA, ids=lambda row: row.name)
def test_k_is_a_chain_of_instructions(rule: Any) -> None:
    # Where an instruction ends at a whole chunk, its result is the next one's accumulator.
    step = rule.step or rule.chunk
    name = (rule.operands or (rule.accumulator,))[0]
    a, b = codes(4, name, 9, 4 * step, spread=6), codes(5, name, 7, 4 * step, spread=6)
    c = codes(6, rule.spill, 9, 7, spread=6)
    whole = run(rule, a, b, c)
    for k in range(0, 4 * step, step):
        part = slice(k, k + step)
        c = run(rule, np.ascontiguousarray(a[:, part]), np.ascontiguousarray(b[:, part]), c)
    assert np.array_equal(c, whole)


def test_an_accumulator_overflows_to_infinity() -> None:
    big = np.full((1, 64), 0x7BFF, np.uint16)  # 65504
    c = np.full((1, 1), 0x7F7FFFFF, np.uint32)
    for name in ("cdna1_fp16", "cdna2_fp16", "cdna3_fp16"):
        huge = c.copy()
        for _ in range(3):
            huge = run(PRESETS[name], big, big, huge)
        assert huge[0, 0] == 0x7F7FFFFF  # 64 products of 2^32 are below half a step of 2^128
    wide = np.full((1, 8), 0x7F00, np.uint16)  # 2^127
    for name in ("cdna1_bf16", "cdna2_bf16", "cdna2_bf16_1k", "cdna3_bf16"):
        assert run(PRESETS[name], wide, wide)[0, 0] == 0x7F800000


def test_floors_are_not_symmetric() -> None:
    one = np.array([[0x3C00]], np.uint16)  # 1.0, and the least subnormal number of either sign
    tiny = np.array([[0x0001]], np.uint16)
    rule = PRESETS["cdna3_fp16"]
    c = np.array([[0x3F800000]], np.uint32)
    up, down = run(rule, tiny, tiny, c), run(rule, tiny | 0x8000, tiny, c)
    assert up[0, 0] == c[0, 0] and down[0, 0] == c[0, 0]  # below half a step of 1.0
    low = np.array([[0x80000001]], np.uint32)
    assert run(rule, one, one, low)[0, 0] == 0x3F7FFFFF  # c is floored to -2^-24
    assert run(rule, one, one, low & 0x7FFFFFFF)[0, 0] == 0x3F800000


@pytest.mark.parametrize("halves", [1, 2])
@pytest.mark.parametrize("bits", [23, 24, 25])
def test_sixteen_lanes_are_one_sum_each(halves: int, bits: int) -> None:
    rng, size = np.random.default_rng(bits), ROWS * COLUMNS
    for spread in (2, 8, 40, 200):
        room = amd_floored._Room(
            np.zeros(size, np.int8), np.zeros(size, np.float32),
            rng.integers(-(2 ** (bits + 4)), 2 ** (bits + 4), 2 * size).astype(np.int32)
            >> rng.integers(0, 31, 2 * size).astype(np.int32),
            rng.integers(-spread, min(spread, 100), 2 * size).astype(np.int32),
            np.zeros(size, np.float32), np.zeros(size, np.float32),
        )  # fmt: skip
        acc = codes(bits, "fp32", size, spread=min(spread, 126)).view(np.float32)
        acc[:4] = np.nan, np.inf, -np.inf, -0.0
        wanted = []
        for i in range(size):
            total, top = room.sums[i], room.tops[i]
            if halves == 2:
                total, top = HALVED(room, i)
            wanted.append(ADDED(total, top, acc[i], bits, halves == 2))
        ADD(room, halves, bits, acc)
        assert np.array_equal(acc.view(np.uint32), np.array(wanted, np.float32).view(np.uint32))


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("cdna2_fp16", {"chunk": 8}, "chunk is 8"),
        ("cdna2_fp16", {"step": 6}, "step is 6"),
        ("cdna3_fp16", {"fraction_bits": 22}, "fraction_bits is 22"),
        ("cdna3_fp16", {"fraction_bits": 29}, "fraction_bits is 29"),
        ("cdna3_fp8", {"chunk": 4096}, "chunk is 4096"),
    ],
)
def test_what_a_unit_cannot_be(name: str, changes: dict[str, Any], told: str) -> None:
    one = np.zeros((1, 1), np.uint8 if name.endswith("fp8") else np.uint16)
    with pytest.raises(ValueError, match=told):
        run(replace(PRESETS[name], **changes), one, one)


def mfma(arch: str, suffix: str) -> Any:
    pytest.importorskip("torch", reason="mmasim needs torch")
    pytest.importorskip("mmasim", reason="mmasim, the peer, is not installed")
    module = pytest.importorskip("mmasim.amd", reason="mmasim needs a C++ compiler")
    return module.MFMA(arch, suffix)


PEERS = {
    "cdna1_fp16": ("CDNA1", "f32_16x16x16f16"), "cdna1_bf16": ("CDNA1", "f32_16x16x8bf16"),
    "cdna2_fp16": ("CDNA2", "f32_16x16x16f16"), "cdna2_bf16": ("CDNA2", "f32_16x16x8bf16"),
    "cdna2_bf16_1k": ("CDNA2", "f32_16x16x16bf16_1k"), "cdna3_fp16": ("CDNA3", "f32_16x16x16_f16"),
    "cdna3_bf16": ("CDNA3", "f32_16x16x16_bf16"), "cdna3_xf32": ("CDNA3", "f32_16x16x8_xf32"),
    "cdna3_fp8": ("CDNA3", "f32_16x16x32_fp8_bf8"), "cdna3_fp32": ("CDNA3", "f32_16x16x4_f32"),
    "cdna3_fp64": ("CDNA3", "f64_16x16x4_f64"),
}  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("spread", [0, 5, 14])
def test_chained_instructions_of_mmasim(name: str, spread: int) -> None:
    peer, rule = mfma(*PEERS[name]), PRESETS[name]
    import torch

    formats = FNUZ if name == "cdna3_fp8" else ((rule.operands or (rule.accumulator,))[0],) * 2
    k = peer.k * 4
    a, b = codes(7, formats[0], 19, k, spread=spread), codes(8, formats[1], 21, k, spread=spread)
    word, kind = ("i8", torch.float64) if rule.accumulator == "fp64" else ("i4", torch.float32)
    sums = torch.zeros(19, 21, dtype=kind)
    left = torch.from_numpy(a.view(f"i{a.itemsize}")).view(peer.a_type)
    right = torch.from_numpy(b.view(f"i{b.itemsize}")).view(peer.b_type)
    for start in range(0, k, peer.k):
        part = slice(start, start + peer.k)
        sums = peer(left[:, part], right[:, part].T, sums)
    wanted = sums.view(torch.int64 if word == "i8" else torch.int32).numpy()
    found = run(rule, a, b, None, formats)
    assert same_class(found, wanted.view(found.dtype), rule.spill)


def reference() -> Path:
    folder = os.environ.get("ACCELSIM_REFERENCE")
    if not folder or not (Path(folder) / "numerics/index.json").is_file():
        pytest.skip("ACCELSIM_REFERENCE names no folder with vectors of matrix units")
    return Path(folder) / "numerics"


def preset_of(entry: dict[str, Any]) -> str:
    kind = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float64": "fp64"}.get(
        entry["a"], "fp8"
    )
    suffix = "_1k" if entry["instruction"].endswith("_1k") else ""
    kind = "xf32" if entry["instruction"].endswith("xf32") else kind
    return f"{entry['arch'].lower()}_{kind}{suffix}"


def test_the_vectors_of_mfma() -> None:
    folder = reference()
    index = json.loads((folder / "index.json").read_text())
    spelled = dict(zip(("float8_e4m3fnuz", "float8_e5m2fnuz"), FNUZ, strict=True))
    file = folder / "open_mma_amd_mfma.npz"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    with np.load(file) as arrays:
        for entry in index["sets"][file.name]["entries"]:
            key, rule = entry["key"], PRESETS[preset_of(entry)]
            own = (rule.operands or (rule.accumulator,))[0]
            formats = (spelled.get(entry["a"], own), spelled.get(entry["b"], own))
            for a, b, c, d in zip(*(arrays[f"{key}_{x}"] for x in "ABCD"), strict=True):
                assert same_class(run(rule, a, b, c, formats), d, rule.spill), entry
