"""Whole cycles out of picoseconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accelsim.sim.rounding import share_cycles

PARTS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 10**15), min_size=1)


@given(PARTS, st.integers(0, 10**12))
def test_shares_sum_to_the_total_and_stay_within_a_cycle(parts: dict[str, int], total: int) -> None:
    found = share_cycles(parts, total)
    assert sum(found.values()) == total
    weight = sum(parts.values())
    if weight:
        for name, part in parts.items():
            assert abs(found[name] - part * total / weight) <= 1 + 1e-3
            assert found[name] >= 0


def test_the_largest_remainder_rounds_up() -> None:
    assert share_cycles({"a": 26, "b": 37, "c": 37}, 10) == {"a": 2, "b": 4, "c": 4}
    assert share_cycles({"a": 0, "b": 0}, 3) == {"a": 3, "b": 0}
