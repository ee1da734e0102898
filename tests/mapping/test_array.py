"""Closed forms of the array against a plain count, SCALE-Sim, and each other."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import (
    early_cycles,
    fill_drain_cycles,
    k_folds_of,
    k_steps,
    tile_cycles,
)
from tests.mapping import naive

FLOWS = {"os": at.OS, "ws": at.WS, "is": at.IS}
side = st.integers(1, 40)
length = st.integers(1, 300)


def machine(rows: int, columns: int, double_buffered: bool) -> np.ndarray:
    found = np.zeros(at.C_SIZE, np.int64)
    found[at.C_ROWS], found[at.C_COLS], found[at.C_COUNT] = rows, columns, 1
    found[at.C_WEIGHT_DB] = found[at.C_OUTPUT_DB] = int(double_buffered)
    return found


def problem(per_cycle: int = 1, slow: int = 1, kept: tuple[int, int] = (1, 1)) -> np.ndarray:
    found = np.zeros(at.P_SIZE, np.int64)
    found[at.P_K_PER_CYCLE], found[at.P_CYCLES_PER_STEP] = per_cycle, slow
    found[at.P_K_NUM], found[at.P_K_DEN] = kept
    return found


@given(length, length, length, side, side, st.sampled_from(sorted(FLOWS)))
def test_without_overlap_equals_a_plain_count(
    m: int, n: int, k: int, rows: int, columns: int, flow: str
) -> None:
    found = tile_cycles(problem(), machine(rows, columns, False), FLOWS[flow], m, n, k)
    assert found == naive.cycles_without_overlap(m, n, k, rows, columns, flow)


@given(length, length, length, side, side, st.sampled_from(sorted(FLOWS)))
def test_overlap_saves_time_but_never_work(
    m: int, n: int, k: int, rows: int, columns: int, flow: str
) -> None:
    overlapped = machine(rows, columns, True)
    pipelined = tile_cycles(problem(), overlapped, FLOWS[flow], m, n, k)
    fill = fill_drain_cycles(overlapped, FLOWS[flow])
    alone = naive.cycles_without_overlap(m, n, k, rows, columns, flow)
    # The last sums of an output-stationary array take `rows` cycles to shift out, which the plain
    # count leaves to the next fold's time.
    shift_out = rows if flow == "os" else 0
    assert pipelined + fill <= alone + naive.fold_count(m, n, k, rows, columns, flow) * rows + (
        shift_out
    )
    assert pipelined * rows * columns >= m * n * k


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_rates_scale_the_stream(flow: str) -> None:
    array = machine(8, 8, True)
    base = tile_cycles(problem(), array, FLOWS[flow], 64, 64, 64)
    assert tile_cycles(problem(slow=4), array, FLOWS[flow], 64, 64, 64) == 4 * base
    assert tile_cycles(problem(per_cycle=2), array, FLOWS[flow], 64, 64, 64) == base // 2
    assert tile_cycles(problem(kept=(2, 4)), array, FLOWS[flow], 64, 64, 64) == base // 2


def test_scale_groups_end_stationary_folds() -> None:
    grouped = problem()
    grouped[at.P_GROUP], grouped[at.P_GROUP_CYCLES] = 32, 1
    array = machine(64, 64, True)
    assert k_folds_of(grouped, array, 320) == 10
    # Output stationary: one more cycle per group of 32.
    assert tile_cycles(grouped, array, at.OS, 64, 64, 320) == 320 + 10
    # Weight stationary: half of the rows stay empty, so there are twice as many folds.
    plain = tile_cycles(problem(), array, at.WS, 64, 64, 320)
    assert tile_cycles(grouped, array, at.WS, 64, 64, 320) == 2 * plain


def test_folds_of_groups_by_hand() -> None:
    array = machine(64, 64, True)
    # 960 in groups of 96: every group takes one fold of 64 rows and one of 32.
    grouped = problem()
    grouped[at.P_GROUP] = 96
    assert k_folds_of(grouped, array, 960) == 10 * 2
    # 2:4 keeps 16 of a group of 32: a fold of 16 rows each.
    sparse = problem(kept=(2, 4))
    sparse[at.P_GROUP] = 32
    assert k_folds_of(sparse, array, 960) == 30
    # A group at least as long as K changes nothing.
    grouped[at.P_GROUP] = 1024
    assert k_folds_of(grouped, array, 960) == 15


def test_steps_never_cross_a_scale_group() -> None:
    # Groups of 6 with 4 products per step: two steps each, and one more cycle to rescale.
    grouped = problem(per_cycle=4)
    grouped[at.P_GROUP], grouped[at.P_GROUP_CYCLES] = 6, 1
    assert tile_cycles(grouped, machine(2, 2, True), at.OS, 2, 2, 24) == 4 * (2 + 1)


@pytest.mark.parametrize(("k", "places"), [(1, 2), (4, 2), (5, 4), (6, 4), (7, 4), (8, 4), (9, 6)])
def test_two_of_four_store_two_places_also_of_a_part(k: int, places: int) -> None:
    assert k_steps(problem(kept=(2, 4)), k) == places


def test_the_last_fold_waits_for_no_next_one() -> None:
    array = machine(8, 4, True)
    # A stream of 3 keeps 8 rows for 8 cycles, of which the last fold needs 3.
    assert tile_cycles(problem(), array, at.WS, 3, 4, 24) == 3 * 8
    assert early_cycles(problem(), array, at.WS, 3, 4, 24) == 5
    assert early_cycles(problem(), array, at.WS, 9, 4, 24) == 0
    assert early_cycles(problem(), machine(8, 4, False), at.WS, 3, 4, 24) == 0


@pytest.mark.parametrize("name", ["scalesim300_compute_only.csv", "scalesim300_full_runs.csv"])
def test_equals_scale_sim(reference: Path, name: str) -> None:
    """SCALE-Sim 3 prints the index of the last cycle, one less than their number."""
    compared = 0
    lines = (reference / "array" / name).read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(lines):
        if not row["M"] or row.get("sparsity") not in (None, "", "False"):
            continue
        cycles = row.get("compute_cycles_no_stall") or row["total_cycles"]
        array = machine(int(row["rows"]), int(row["cols"]), False)
        sizes = (int(row[key]) for key in "MNK")
        found = tile_cycles(problem(), array, FLOWS[row["dataflow"]], *sizes)
        assert found - 1 == int(cycles), row
        compared += 1
    assert compared >= 20
