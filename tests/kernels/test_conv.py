"""Convolution of codes against taps summed one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim_kernels.conv import Geometry, conv2d_int8, conv2d_sums
from accelsim_kernels.requant import Requantization, requantize
from tests.kernels import naive_integer
from tests.kernels.support import SEEDS, codes

SIDES = st.tuples(st.integers(1, 2), st.integers(1, 2))
PADS = st.tuples(st.integers(0, 2), st.integers(0, 2))


@given(
    SEEDS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), SIDES, SIDES,
    st.tuples(PADS, PADS),
)  # fmt: skip
def test_sums_are_those_of_the_twin(
    seed: int, groups: int, width: int, each: int, stride: Any, dilation: Any, pads: Any
) -> None:
    x, w = codes(seed, 2, 6, 5, groups * width), codes(seed + 1, groups * each, 2, 3, width)
    rng = np.random.default_rng(seed)
    zero, zeros = int(rng.integers(-128, 128)), rng.integers(-128, 128, len(w))
    settings: Any = {"stride": stride, "dilation": dilation, "padding": pads, "groups": groups}
    found = conv2d_sums(x, w, x_zero=zero, w_zero=zeros, **settings)
    twin = naive_integer.conv2d(x, w, stride, dilation, pads, groups, zero, zeros.tolist())
    assert found.tolist() == twin or found.size == np.array(twin).size == 0
    by = Requantization.of("tflite", rng.random(len(w)) * 0.01, 7, "uint8")
    settings |= {"x_zero": zero, "w_zero": zeros}
    assert np.array_equal(conv2d_int8(x, w, by, **settings), requantize(found, by))


def test_unsigned_codes_and_many_blocks() -> None:
    x, w = codes(1, 3, 40, 30, 9), codes(2, 70, 3, 3, 9)
    signed = conv2d_sums(x, w, padding="same", x_zero=3)
    shifted = (x.astype(np.int16) + 128).astype(np.uint8)
    assert np.array_equal(conv2d_sums(shifted, w, padding="same", x_zero=131), signed)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    wide = torch.from_numpy((x.astype(np.float64) - 3).transpose(0, 3, 1, 2))
    taps = torch.from_numpy(w.astype(np.float64).transpose(0, 3, 1, 2))
    wanted = torch.nn.functional.conv2d(wide, taps, padding="same").numpy().transpose(0, 2, 3, 1)
    assert np.array_equal(signed, wanted)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "wanted"),
    [(7, 3, 2, 1, (1, 4)), (6, 3, 2, 1, (0, 3)), (5, 2, 1, 1, (0, 5)), (5, 3, 1, 2, (2, 5))],
)
def test_same_padding_puts_the_odd_row_below(
    size: int, kernel: int, stride: int, dilation: int, wanted: tuple[int, int]
) -> None:
    geometry = Geometry.of(
        (1, size, 9, 1), (1, kernel, 1, 1), (stride, 1), "same", (dilation, 1), 1
    )
    assert (geometry.padding[0], geometry.out[0]) == wanted


def test_nothing_to_convolve() -> None:
    w = codes(1, 4, 3, 3, 2)
    assert conv2d_sums(codes(1, 0, 5, 5, 2), w).shape == (0, 3, 3, 4)
    assert conv2d_sums(codes(1, 1, 2, 2, 2), w).shape == (1, 0, 0, 4)


@pytest.mark.parametrize(
    ("x", "w", "settings", "match"),
    [
        ((1, 4, 4), (1, 1, 1, 4), {}, "NHWC and OHWI"),
        ((1, 4, 4, 4), (2, 1, 1, 3), {}, "x has 4 channels, w takes 3"),
        ((1, 4, 4, 4), (3, 1, 1, 2), {"groups": 2}, "gives 3 in 2 groups"),
        ((1, 4, 4, 4), (2, 1, 1, 4), {"stride": (0, 1)}, "all are at least 1"),
        ((1, 4, 4, 4), (2, 0, 1, 4), {}, "all are at least 1"),
        ((1, 4, 4, 4), (2, 1, 1, 4), {"padding": "full"}, "padding is 'full'"),
        ((1, 4, 4, 4), (2, 1, 1, 4), {"padding": ((-1, 0), (0, 0))}, "at least 0"),
        ((1, 4, 4, 4), (2, 1, 1, 4), {"x_zero": 300}, "x_zero holds 300"),
        ((1, 4, 4, 4), (2, 1, 1, 4), {"bias": np.zeros(3, np.int32)}, "bias has the shape"),
    ],
)
def test_what_does_not_fit_is_named(x: Any, w: Any, settings: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        conv2d_sums(np.zeros(x, np.int8), np.zeros(w, np.int8), **settings)
