"""Attention against one query at a time in fractions, and against torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim_kernels.attention import attention
from accelsim_kernels.rounding import round_to
from tests.kernels import naive
from tests.kernels.support import SEEDS, Float32, numbers, same


def operands(
    seed: int, b: int, h: int, g: int, s: int, t: int, d: int, e: int = 0
) -> tuple[Float32, ...]:
    shapes = ((b, h, s, d), (b, g, t, d), (b, g, t, e or d + 1))
    return tuple(
        round_to(numbers(seed + i, *shape, spread=1), "bf16") for i, shape in enumerate(shapes)
    )


def seen_by(i: int, s: int, t: int, causal: bool, window: int) -> list[bool]:
    if not causal:
        return [True] * t
    last = t - s + i
    return [j <= last and (not window or j > last - window) for j in range(t)]


def twin(
    q: Float32, k: Float32, v: Float32, causal: bool, window: int, cap: float,
    mask: npt.NDArray[np.bool_] | None, fmt: str,
) -> list[list[list[list[float]]]]:  # fmt: skip
    (b, h, s, _), (g, t) = q.shape, k.shape[1:3]
    found = []
    for batch in range(b):
        heads = []
        for head in range(h):
            other = head // (h // g)
            rows = []
            for i in range(s):
                seen = seen_by(i, s, t, causal, window)
                if mask is not None:
                    seen = [a and bool(m) for a, m in zip(seen, mask[batch, 0, i], strict=True)]
                rows.append(
                    naive.attend(
                        q[batch, head, i].tolist(), k[batch, other].tolist(),
                        v[batch, other].tolist(), seen, [0.0] * t, (0.3, cap), ("bf16", fmt),
                    )
                )  # fmt: skip
            heads.append(rows)
        found.append(heads)
    return found


@settings(max_examples=25)
@given(
    SEEDS, st.integers(1, 2), st.sampled_from([(1, 1), (2, 1), (4, 2)]), st.integers(1, 5),
    st.integers(0, 4), st.booleans(), st.integers(0, 4), st.sampled_from([0.0, 5.0]),
    st.booleans(),
)  # fmt: skip
def test_every_query_by_itself(
    seed: int, b: int, heads: tuple[int, int], s: int, past: int, causal: bool, window: int,
    cap: float, masked: bool,
) -> None:  # fmt: skip
    t = s + past
    q, k, v = operands(seed, b, *heads, s, t, 4)
    mask = np.random.default_rng(seed).random((b, 1, s, t)) < 0.7 if masked else None
    for fmt in ("fp32", "bf16"):
        found = attention(
            q, k, v, scale=0.3, causal=causal, window=window, softcap=cap, mask=mask,
            probabilities="bf16", format=fmt,
        )  # fmt: skip
        wanted = twin(q, k, v, causal, window if causal else 0, cap, mask, fmt)
        assert same(found + 0.0, np.array(wanted, np.float32) + 0.0)


@pytest.mark.parametrize(
    ("s", "t", "e", "causal", "window", "masked"),
    [
        (14, 70, 3, True, 0, False),  # three blocks of queries, two tiles of keys
        (13, 141, 2, True, 9, False),  # windows that begin inside a block and a tile
        (7, 66, 80, False, 0, False),  # values of 64 + 16 columns
        (2, 5, 48, True, 0, False),  # 32 + 16
        (9, 67, 16, True, 0, True),  # runs of keys that some queries do not see
        (12, 7, 2, True, 0, False),  # more queries than keys: the first ones see nothing
    ],
)
def test_blocks_of_queries_and_tiles_of_keys(
    s: int, t: int, e: int, causal: bool, window: int, masked: bool
) -> None:
    q, k, v = operands(8, 1, 2, 1, s, t, 3, e)
    mask = np.random.default_rng(1).random((1, 1, s, t)) < 0.9 if masked else None
    found = attention(
        q, k, v, scale=0.3, causal=causal, window=window, mask=mask, probabilities="bf16",
        format="fp32",
    )  # fmt: skip
    wanted = twin(q, k, v, causal, window, 0.0, mask, "fp32")
    assert same(found + 0.0, np.array(wanted, np.float32) + 0.0)


def test_a_hidden_key_leaves_the_sign_of_a_zero() -> None:
    """0 times a value, added to -0, would be +0: hidden keys must be left out, not weighed 0."""
    q = np.ones((1, 1, 6, 1), np.float32)
    k = np.array([0.0, 64.0, 0.0], np.float32).reshape(1, 1, 3, 1)
    v = np.array([-(2.0**-149), -0.0, 1.0], np.float32).reshape(1, 1, 3, 1)
    shown = np.array([True, True, False])
    found = attention(
        q, k, v, scale=1.0, causal=False, mask=shown, probabilities="fp32", format="fp32"
    )
    alone = attention(
        q, k[:, :, :2], v[:, :, :2], scale=1.0, causal=False, probabilities="fp32", format="fp32"
    )
    assert np.signbit(alone).all()
    assert same(found, alone)


def test_what_a_hidden_key_holds_does_not_matter() -> None:
    q, k, v = operands(9, 1, 2, 2, 8, 70, 4)
    mask = np.random.default_rng(2).random((1, 1, 1, 70)) < 0.8
    options = {"scale": 0.3, "causal": True, "probabilities": "bf16", "format": "bf16"}
    alone = attention(q, k, v, mask=mask, **options)  # type: ignore[arg-type]  # a bag of options
    for odd in (np.nan, np.inf, -np.inf, 3e38):
        hidden = ~mask[0, 0, 0]
        bad_k, bad_v = k.copy(), v.copy()
        bad_k[:, :, hidden], bad_v[:, :, hidden] = odd, odd
        found = attention(q, bad_k, bad_v, mask=mask, **options)  # type: ignore[arg-type]  # as above
        assert same(found, alone)


def test_no_number_among_the_scores_is_not_lost() -> None:
    q, k, v = operands(10, 1, 1, 1, 3, 9, 4)
    for odd in (np.nan, -np.nan):
        q[0, 0, 1, 2] = odd
        found = attention(q, k, v, scale=0.3, causal=False, probabilities="bf16", format="bf16")
        assert np.isnan(found[0, 0, 1]).all()
        assert np.isfinite(found[0, 0, [0, 2]]).all()


def test_empty_and_viewed_operands() -> None:
    q, k, v = operands(11, 1, 2, 1, 4, 6, 4)
    options = {"scale": 0.3, "causal": True, "probabilities": "bf16", "format": "bf16"}
    whole = attention(q, k, v, **options)  # type: ignore[arg-type]  # as above
    turned = [np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2) for x in (q, k, v)]
    for x in turned:
        x.setflags(write=False)
    assert same(attention(*turned, **options), whole)  # type: ignore[arg-type]  # as above
    assert not attention(q, k[:, :, :0], v[:, :, :0], **options).any()  # type: ignore[arg-type]  # as above
    assert attention(q[:, :, :0], k, v, **options).shape == (1, 2, 0, 5)  # type: ignore[arg-type]  # as above


def test_a_mask_of_numbers_is_added() -> None:
    q, k, v = operands(1, 1, 2, 1, 3, 5, 4)
    added = numbers(2, 1, 1, 3, 5, spread=1)
    found = attention(
        q, k, v, scale=0.3, causal=False, mask=added, probabilities="fp32", format="fp32"
    )
    wanted = [
        [
            naive.attend(
                q[0, h, i].tolist(), k[0, 0].tolist(), v[0, 0].tolist(), [True] * 5,
                added[0, 0, i].tolist(), (0.3, 0.0), ("fp32", "fp32"),
            )
            for i in range(3)
        ]
        for h in range(2)
    ]  # fmt: skip
    assert same(found[0], wanted)


def test_hidden_keys_change_no_bit() -> None:
    q, k, v = operands(3, 2, 4, 2, 6, 9, 8)
    alone = attention(q, k, v, scale=0.3, causal=True, probabilities="bf16", format="bf16")
    pad_k, pad_v = (np.concatenate([numbers(9, 2, 2, 3, x.shape[3]), x], axis=2) for x in (k, v))
    mask = np.broadcast_to(np.arange(12) >= 3, (2, 1, 6, 12))
    padded = attention(
        q, pad_k, pad_v, scale=0.3, causal=True, mask=mask, probabilities="bf16", format="bf16"
    )
    assert same(padded, alone)


def test_a_query_that_sees_nothing_gives_zeros() -> None:
    q, k, v = operands(4, 1, 1, 1, 2, 3, 4)
    nothing = np.zeros((1, 1, 2, 3), np.bool_)
    hidden = np.full((1, 1, 2, 3), -np.inf, np.float32)
    for mask in (nothing, hidden):
        found = attention(
            q, k, v, scale=0.3, causal=False, mask=mask, probabilities="bf16", format="bf16"
        )
        assert not found.any()


def test_scores_that_are_no_numbers_are_not_lost() -> None:
    q, k, v = operands(8, 1, 1, 1, 1, 3, 4)
    options = {"scale": 1.0, "causal": False, "probabilities": "bf16", "format": "bf16"}
    for value, index in ((np.nan, 1), (np.nan, 0)):
        broken = k.copy()
        broken[0, 0, index, 0] = value
        assert np.isnan(attention(q, broken, v, **options)).all()  # type: ignore[arg-type]  # a mixed bag of options
    huge = np.full_like(k, -3e38)
    found = attention(np.full_like(q, 3e38), huge, v, **options)  # type: ignore[arg-type]  # as above
    assert np.isnan(found).all()


def test_masks_broadcast_and_hidden_values_do_not_matter() -> None:
    q, k, v = operands(9, 2, 2, 1, 3, 4, 4)
    options = {"scale": 0.3, "causal": False, "probabilities": "bf16", "format": "bf16"}
    rows = np.array([True, False, True])[None, None, :, None]
    found = attention(q, k, v, mask=rows, **options)  # type: ignore[arg-type]  # as above
    assert not found[:, :, 1].any()
    assert same(found[:, :, 0], attention(q, k, v, **options)[:, :, 0])  # type: ignore[arg-type]  # as above
    hides = np.array([0.0, -np.inf, 0.0, 0.0], np.float32)
    wild = v.copy()
    wild[:, :, 1] = np.nan
    shown = np.isfinite(hides)
    assert same(
        attention(q, k, wild, mask=hides, **options),  # type: ignore[arg-type]  # as above
        attention(q, k, v, mask=shown, **options),  # type: ignore[arg-type]  # as above
    )


@pytest.mark.parametrize("threads", ["1", "3"])
def test_batches_heads_and_threads_change_no_bit(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELSIM_THREADS", threads)
    q, k, v = operands(5, 3, 4, 2, 7, 7, 8)
    settings_ = {"scale": 0.3, "causal": True, "probabilities": "bf16", "format": "bf16"}
    whole = attention(q, k, v, **settings_)  # type: ignore[arg-type]  # a mixed bag of options
    for b in range(3):
        for h in range(4):
            g = h // 2
            part = attention(
                q[b : b + 1, h : h + 1], k[b : b + 1, g : g + 1], v[b : b + 1, g : g + 1],
                **settings_,  # type: ignore[arg-type]  # as above
            )  # fmt: skip
            assert same(part[0, 0], whole[b, h])


def test_torch_attends_alike() -> None:
    torch = pytest.importorskip("torch")
    q, k, v = operands(6, 2, 4, 2, 33, 33, 16)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *(torch.from_numpy(x).double() for x in (q, k, v)), is_causal=True, scale=0.25,
        enable_gqa=True,
    ).numpy()  # fmt: skip
    found = attention(q, k, v, scale=0.25, causal=True, probabilities="fp32", format="fp32")
    assert np.abs(found - wanted).max() < 2e-6 * np.abs(wanted).max()


def test_what_does_not_fit_is_named() -> None:
    q, k, v = operands(7, 1, 4, 2, 3, 5, 4)
    options = {"scale": 1.0, "causal": False, "probabilities": "bf16", "format": "bf16"}
    with pytest.raises(ValueError, match="do not belong together"):
        attention(q, k[:, :, :4], v, **options)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match="3 query heads are not a multiple of 2 key heads"):
        attention(q[:, :3], k, v, **options)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match=r"q has the shape \(4, 3, 4\)"):
        attention(q[0], k, v, **options)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match="window is -1"):
        attention(q, k, v, window=-1, **options)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match=r"mask has the shape \(2, 5\)"):
        attention(q, k, v, mask=np.ones((2, 5), np.bool_), **options)  # type: ignore[arg-type]  # as above
