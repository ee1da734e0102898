"""Where tiles lie in DRAM: every byte of every operand, no other, against a plain walk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.jit import Ints
from accelsim.mapping._core.places import PLACE_SIZE, piece, streamed_places
from accelsim.mapping.gemm import plan_gemm
from accelsim.mapping.plan import Plan
from accelsim.mapping.search import machines
from accelsim.mapping.workload import GemmWorkload
from accelsim.sim.cycle import places_of
from tests.mapping.chips import one_level, two_levels

REQUEST = 64


def bytes_of(place: Ints, size: int) -> Iterator[int]:
    """Yield the addresses of a tile's bytes by the definition of a place."""
    base, segment, pitch, rows, outer = place.tolist()
    for at in range(size):
        part, inside = divmod(at, segment)
        yield base + part // rows * outer + part % rows * pitch + inside


def blocks_of(place: Ints, size: int) -> list[int]:
    """Return the blocks that requests ask for, one after the other."""
    at, found = 0, []
    while at < size:
        block, used = piece(place, at, size, REQUEST)
        assert 0 < used <= REQUEST
        found.append(block)
        at += used
    assert at == size
    return found


def product(m: int, n: int, k: int, outer: bool) -> Plan:
    chip = two_levels() if outer else one_level()
    workload = GemmWorkload(
        1, m, n, k, "int8", "int8", m * k * 8, n * k * 8, m * n * 8, 0, 8, False, False, 0, ()
    )
    (machine,) = machines(chip, "int8", "int8", sparse=False)
    return plan_gemm(workload, machine, "product")


sizes = st.integers(1, 150)


@given(sizes, sizes, sizes, st.booleans())
@settings(max_examples=40, deadline=None)
def test_tiles_cover_their_tensors(m: int, n: int, k: int, outer: bool) -> None:
    plan = product(m, n, k, outer)
    bits = plan.steps.bits[-1]
    places = places_of(plan, bits.shape[1])
    seen: list[set[int]] = [set(), set(), set(), set()]
    for step in range(bits.shape[1]):
        for which in range(4):
            size = int(bits[which, step]) // 8
            found = list(bytes_of(places[step, which], size))
            assert len(found) == len(set(found)) == size
            assert {b // REQUEST * REQUEST for b in found} == set(
                blocks_of(places[step, which], size)
            )
            if which != 2:
                seen[which].update(found)
    for which, size in ((0, m * k), (1, n * k)):
        low = min(seen[which])
        assert low % (1 << 16) == 0
        assert seen[which] == set(range(low, low + size))
    assert not seen[0] & seen[1] and not seen[1] & seen[3]


def test_a_tile_of_whole_rows_is_one_segment() -> None:
    place = np.array([0, 100, 100, 1, 100], np.int64)
    assert blocks_of(place, 100) == [0, 64]
    # Rows of 9 bytes, 200 apart: a request each, though only 9 bytes are of use.
    assert blocks_of(np.array([0, 9, 200, 4, 0], np.int64), 36) == [0, 192, 384, 576]


def test_streams_lie_one_behind_the_other() -> None:
    bits = np.array([[80, 80], [0, 0], [0, 0], [16, 16]], np.int64)
    places = np.zeros((2, 4, PLACE_SIZE), np.int64)
    size = streamed_places(bits, places)
    assert places[:, 0, 0].tolist() == [0, 10]
    assert places[:, 3, 0].tolist() == [1 << 16, (1 << 16) + 2]
    assert size == 2 << 16
