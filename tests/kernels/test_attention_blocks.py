"""Blocks, approximations, formats and parts of attention, bit by bit against a twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.attention import attention
from accelsim_kernels.attention_arithmetic import ATTENTION_PRESETS, AttentionArithmetic
from accelsim_kernels.rounding import round_to
from tests.kernels.naive_attention import Twin
from tests.kernels.support import SEEDS, Float32, numbers, same

Operands = tuple[Float32, Float32, Float32]

#: Every way that a block can go, on few keys.
BLOCKED = AttentionArithmetic("test", "", block=4)


def operands(seed: int, h: int, g: int, s: int, t: int, d: int, e: int) -> Operands:
    shapes = ((1, h, s, d), (1, g, t, d), (1, g, t, e))
    q, k, v = (round_to(numbers(seed + i, *x, spread=2), "bf16") for i, x in enumerate(shapes))
    return q, k, v


def twin(
    x: Operands, how: AttentionArithmetic, causal: bool, window: int, cap: float,
    shown: npt.NDArray[np.bool_] | None = None, added: Float32 | None = None,
) -> npt.NDArray[np.float64]:  # fmt: skip
    q, k, v = x
    (_, h, s, _), (_, g, t, _) = q.shape, k.shape
    found = np.zeros((1, h, s, v.shape[3]))
    for head in range(h):
        for i in range(s):
            behind = min(t, max(0, t - s + i + 1)) if causal else t
            first = max(0, behind - window) if causal and window else 0
            seen = [first <= j < behind for j in range(t)]
            if shown is not None:
                seen = [a and bool(b) for a, b in zip(seen, shown[i], strict=True)]
            line = None if added is None else added[i].tolist()
            if line is not None:
                seen = [a and b != -np.inf for a, b in zip(seen, line, strict=True)]
            other = head // (h // g)
            found[0, head, i] = Twin(how, 0.3, cap, line, ("bf16", "bf16")).attend(
                q[0, head, i].tolist(), k[0, other].tolist(), v[0, other].tolist(), seen, behind
            )
    return found


def spelled() -> st.SearchStrategy[AttentionArithmetic]:
    """Arithmetic over every choice of every field."""
    scaled = st.sampled_from(
        [
            ("storage", 1.0), ("fp32", 1.0), ("fp16", 1.0), ("fp8_e4m3", 1.0), ("fp8_e4m3", 448.0),
            ("fp8_e5m2", 256.0), ("int8", 127.0), ("bf16", 0.3),
        ]
    )  # fmt: skip
    power = st.sampled_from(
        [("exp", "difference")]
        + [
            (p, e)
            for p in ("exp2", "exp2_cubic", "exp2_table", "exp2_fp16")
            for e in ("difference", "folded")
        ]
    )
    parts = st.sampled_from([(0, 1, 0), (3, 1, 0), (4, 3, 0), (2, 2, 0), (2, 1, 4), (8, 1, 8)])

    def made(
        words: tuple[str, ...], power: tuple[str, str], scaled: tuple[str, float],
        parts: tuple[int, int, int], above: float,
    ) -> AttentionArithmetic:  # fmt: skip
        order, scores, sums, accumulator, carry, normalize, merge = words
        return AttentionArithmetic(
            "spelled", "", block=parts[0], order=order, exponential=power[0], exponent=power[1],
            scores=scores, probabilities=scaled[0], probability_scale=scaled[1], sums=sums,
            rescale_above=above, accumulator=accumulator, carry=carry, normalize=normalize,
            splits=parts[1], split_keys=parts[2], merge=merge,
        )  # fmt: skip

    plain = ("fp32", "bf16", "fp16")
    words = st.tuples(
        *map(
            st.sampled_from,
            (
                ("ascending", "descending"), plain, ("unrounded", "rounded"), plain,
                ("continued", "added"), ("division", "reciprocal"), ("together", "pairwise"),
            ),
        )
    )  # fmt: skip
    return st.builds(made, words, power, scaled, parts, st.sampled_from([0.0, 1.0, 8.0]))


@settings(max_examples=60)
@given(
    SEEDS, spelled(), st.integers(1, 8), st.integers(0, 6), st.booleans(), st.integers(0, 6),
    st.sampled_from([0.0, 5.0]), st.sampled_from(["none", "shown", "added"]),
)  # fmt: skip
def test_every_choice_against_the_twin(
    seed: int, how: AttentionArithmetic, s: int, past: int, causal: bool, window: int, cap: float,
    masked: str,
) -> None:  # fmt: skip
    t = s + past
    x = operands(seed, 2, 1, s, t, 3, 2)
    rng = np.random.default_rng(seed)
    shown = rng.random((s, t)) < 0.7 if masked == "shown" else None
    added = numbers(seed, s, t, spread=1) if masked == "added" else None
    if added is not None:
        added[rng.random((s, t)) < 0.2] = -np.inf
    found = attention(
        *x, how, scale=0.3, causal=causal, window=window, softcap=cap,
        mask=shown if added is None else added, probabilities="bf16", format="bf16",
    )  # fmt: skip
    wanted = twin(x, how, causal, window, cap, shown, added)
    assert same(found + 0.0, wanted.astype(np.float32) + 0.0)


@pytest.mark.parametrize("name", sorted(ATTENTION_PRESETS))
def test_presets_over_several_blocks(name: str) -> None:
    how = ATTENTION_PRESETS[name]
    x = operands(3, 1, 1, 3, 2 * (how.block or 64) * how.splits + 9, 2, 2)
    found = attention(*x, how, scale=0.3, causal=True, probabilities="bf16", format="bf16")
    assert same(found + 0.0, twin(x, how, True, 0, 0.0).astype(np.float32) + 0.0)


def flash2(q: Float32, k: Float32, v: Float32, block: int) -> Float32:
    """FlashAttention 2 in plain NumPy binary32 with NumPy's own exponential, one head.

    Products of integers so small that every order of sums gives their bits.
    """
    m = np.full(len(q), -np.inf, np.float32)
    total, out = np.zeros(len(q), np.float32), np.zeros((len(q), v.shape[1]), np.float32)
    for at in range(0, len(k), block):
        s = (q @ k[at : at + block].T) * np.float32(0.5)
        new = np.maximum(m, s.max(1))
        rescale = np.exp((m - new).astype(np.float64)).astype(np.float32)
        p = np.exp((s - new[:, None]).astype(np.float64)).astype(np.float32)
        total, out = total * rescale, out * rescale[:, None]
        for j in range(p.shape[1]):  # ascending, as the contract has it
            total = total + p[:, j]
            product = p[:, j, None].astype(np.float64) * v[at + j].astype(np.float64)
            out = (product + out.astype(np.float64)).astype(np.float32)
        m = new
    return out / total[:, None]


def test_flash_attention_in_plain_numpy_has_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    q, k = (rng.integers(-3, 4, (40, 8)).astype(np.float32) for _ in range(2))
    v = rng.integers(-8, 9, (40, 5)).astype(np.float32)  # products are exact in binary64
    how = replace(BLOCKED, block=16)
    found = attention(q[None, None], k[None, None], v[None, None], how, scale=0.5)
    assert same(found[0, 0], flash2(q, k, v, 16))


@pytest.mark.parametrize(
    ("name", "bound"),
    [("whole_row", 2e-6), ("online_64", 2e-6), ("flash_attention_2", 3e-6),
     ("flash_decoding", 3e-6), ("flash_attention_4", 2e-4), ("npu_table", 1e-4), ("npu_fp16", 4e-3),
     ("flash_attention_3_fp8", 4e-2), ("sage_attention_2", 4e-2), ("npu_int8", 8e-2)],
)  # fmt: skip
def test_torch_attends_alike(name: str, bound: float) -> None:
    torch = pytest.importorskip("torch")
    q, k, v = (numbers(6 + i, 1, 2, 300, 32, spread=1) for i in range(3))
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *(torch.from_numpy(x).double() for x in (q, k, v)), is_causal=True, scale=0.25
    ).numpy()
    found = attention(q, k, v, name, scale=0.25, causal=True)
    assert np.abs(found - wanted).max() < bound * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["online_64", "flash_decoding", "flash_attention_4"])
@pytest.mark.parametrize("window", [0, 70])
def test_a_decode_step_has_the_bits_of_the_prefill(name: str, window: int) -> None:
    q, k, v = operands(7, 2, 1, 300, 300, 4, 3)
    whole = attention(q, k, v, name, causal=True, window=window)
    for t in (1, 63, 64, 65, 129, 255, 256, 257, 300):
        step = attention(
            q[:, :, t - 1 : t], k[:, :, :t], v[:, :, :t], name, causal=True, window=window
        )
        assert same(step[:, :, 0], whole[:, :, t - 1])


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("name", ["online_64", "flash_decoding", "npu_table"])
def test_heads_tiles_of_queries_and_threads_change_no_bit(
    name: str, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    q, k, v = operands(8, 4, 2, 30, 300, 4, 20)
    mask = np.random.default_rng(1).random((1, 1, 30, 300)) < 0.8
    whole = attention(q, k, v, name, mask=mask)
    for h in range(4):
        for i in (0, 1, 7, 29):
            alone = attention(
                q[:, h : h + 1, i : i + 1], k[:, h // 2 : h // 2 + 1], v[:, h // 2 : h // 2 + 1],
                name, mask=mask[:, :, i : i + 1],
            )  # fmt: skip
            assert same(alone[0, 0, 0], whole[0, h, i])


def test_one_block_and_one_part_are_the_whole_row() -> None:
    x = operands(9, 1, 1, 9, 60, 4, 3)
    whole = attention(*x, causal=True)
    assert same(attention(*x, "online_64", causal=True), whole)
    split = replace(ATTENTION_PRESETS["online_64"], splits=5)
    assert same(attention(*x, split, causal=True) + 0.0, whole + 0.0)


@pytest.mark.parametrize("name", sorted(ATTENTION_PRESETS))
def test_what_is_no_number_stays_none(name: str) -> None:
    q, k, v = operands(10, 1, 1, 4, 300, 4, 3)
    k[0, 0, 200, 1] = np.nan
    found = attention(q, k, v, name, mask=np.arange(300) < np.array([[100], [300], [201], [200]]))
    assert np.isnan(found[0, 0, [1, 2]]).all()
    assert np.isfinite(found[0, 0, [0, 3]]).all()
    for odd in (np.inf, -np.inf, 3e38):
        wild = attention(q, np.full_like(k, odd), v, name)
        assert wild.shape == found.shape


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"order": "up"}, "order is 'up'; ascending, descending are allowed"),
        ({"exponential": "exp3"}, "exponential is 'exp3'"),
        ({"block": -1}, "block is -1"),
        ({"splits": 0}, "splits 0"),
        ({"splits": 2}, "needs a block"),
        ({"split_keys": 96, "block": 64}, "split_keys is 96, no multiple of block, which is 64"),
        ({"splits": 2, "split_keys": 64, "block": 64}, "give one"),
        ({"exponent": "folded"}, "needs a power of two"),
        ({"rescale_above": -1.0}, "rescale_above is -1.0"),
        ({"rescale_above": float("nan")}, "rescale_above is nan"),
        ({"probabilities": "int8"}, "127 is usual"),
        ({"probabilities": "fp8_e4m3", "probability_scale": 500.0}, "up to 448"),
        ({"probability_scale": float("nan")}, "probability_scale is nan"),
    ],
)
def test_arithmetic_that_does_not_fit_is_named(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AttentionArithmetic("x", "", **fields)  # type: ignore[arg-type]  # wrong on purpose


def test_an_unknown_preset_is_named() -> None:
    x = operands(1, 1, 1, 2, 2, 2, 2)
    with pytest.raises(ValueError, match="arithmetic is 'flash_9'; whole_row, online_64"):
        attention(*x, "flash_9")
    with pytest.raises(TypeError, match="arithmetic is 3"):
        attention(*x, 3)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="softcap nan"):
        attention(*x, softcap=float("nan"))
