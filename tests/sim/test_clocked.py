"""The clocked array against integer products, the closed forms, and a plain clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import InputError, RunError, UnknownNameError
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import early_cycles, fill_drain_cycles
from accelsim.mapping._core.tile import array_cycles
from accelsim.mapping.machine import DATAFLOWS
from accelsim.sim import clocked
from accelsim.sim.clocked import ClockedRun, clocked_gemm, tile_times
from accelsim.sim.clocked_operands import ClockedArray, prune_2to4
from tests.sim import naive_array

SHAPES = 2_000
Sizes = tuple[int, int, int, int]


def closed_form(array: ClockedArray, sizes: Sizes) -> tuple[int, int]:
    """Return what mapping, ``analytical`` and ``tile`` charge: occupancy, and cycles in all."""
    problem, machine, choice = vectors(array)
    b, m, n, k = sizes
    occupied = array_cycles(problem, machine, choice, b, m, n, k)
    own_m, own_n = (-(-size // parts) for size, parts in zip((m, n), array.split[1:], strict=True))
    tail = fill_drain_cycles(machine, array.flow)
    tail -= early_cycles(problem, machine, array.flow, own_m, own_n, k)
    return occupied, occupied + tail


def vectors(array: ClockedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    problem, machine, choice = (np.zeros(n, np.int64) for n in (at.P_SIZE, at.C_SIZE, at.S_SIZE))
    problem[at.P_K_NUM], problem[at.P_K_DEN] = (2, 4) if array.sparse else (1, 1)
    problem[at.P_K_PER_CYCLE] = array.k_per_cycle
    problem[at.P_CYCLES_PER_STEP] = array.cycles_per_step
    problem[at.P_GROUP], problem[at.P_GROUP_CYCLES] = array.group, array.group_cycles
    machine[at.C_ROWS], machine[at.C_COLS] = array.rows, array.columns
    machine[at.C_COUNT] = int(np.prod(array.split))
    machine[at.C_WEIGHT_DB] = machine[at.C_OUTPUT_DB] = int(array.double_buffer)
    choice[at.S_DATAFLOW] = array.flow
    choice[at.S_SPLIT_B], choice[at.S_SPLIT_M], choice[at.S_SPLIT_N] = array.split
    return problem, machine, choice


def cases(dataflow: str, count: int, seed: int) -> Iterator[tuple[ClockedArray, Sizes]]:
    """Yield random arrays and shapes; half of them plain, the rest with everything there is."""
    random = np.random.default_rng(seed)
    for i in range(count):
        rows, columns = (int(side) for side in random.integers(1, 10, 2))
        array = ClockedArray(rows, columns, dataflow, bool(random.integers(2)))
        if i % 2:
            array = replace(
                array,
                k_per_cycle=int(random.choice([1, 2, 4])),
                cycles_per_step=int(random.choice([1, 1, 2, 3])),
                sparse=bool(random.integers(2)),
                group=int(random.choice([0, 3, 4, 6, 8, 16])),
                group_cycles=int(random.integers(4)),
                split=_three(random),
            )
        m, n, k = (int(size) for size in random.integers(1, 30, 3))
        yield array, (int(random.integers(1, 4)) if i % 2 else 1, m, n, k)


def _three(random: np.random.Generator) -> tuple[int, int, int]:
    b, m, n = (int(parts) for parts in random.integers(1, 4, 3))
    return b, m, n


def operands(
    array: ClockedArray, sizes: Sizes, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    b, m, n, k = sizes
    a, w = random.integers(-128, 128, (b, m, k)), random.integers(-128, 128, (b, k, n))
    return a, prune_2to4(w, array.group) if array.sparse else w


def differs(run: ClockedRun, array: ClockedArray, sizes: Sizes) -> bool:
    return (run.occupied, run.cycles) != closed_form(array, sizes)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_values_equal_the_product_and_cycles_the_closed_form(dataflow: str) -> None:
    random = np.random.default_rng(1)
    for array, sizes in cases(dataflow, SHAPES, seed=2):
        a, w = operands(array, sizes, random)
        run = clocked_gemm(a, w, array)
        assert np.array_equal(run.outputs, a @ w), (array, sizes)
        assert not differs(run, array, sizes), (array, sizes, run.occupied, run.cycles)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_planted_cycle_is_found(dataflow: str) -> None:
    random = np.random.default_rng(3)
    for array, sizes in cases(dataflow, 20, seed=4):
        run = clocked_gemm(*operands(array, sizes, random), array)
        assert differs(replace(run, cycles=run.cycles + 1), array, sizes)
        assert differs(replace(run, occupied=run.occupied - 1), array, sizes)


@pytest.mark.parametrize("double_buffer", [False, True])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_equals_a_plain_clock(dataflow: str, double_buffer: bool) -> None:
    """The twin computes when every product happens and every register is free, without a clock."""
    random = np.random.default_rng(5)
    for _ in range(40):
        rows, columns, m, n, k = (int(size) for size in random.integers(1, 8, 5))
        array = ClockedArray(rows, columns, dataflow, double_buffer)
        a, w = operands(array, (1, m, n, k), random)
        outputs, cycles = naive_array.gemm(a[0].tolist(), w[0].tolist(), array)
        run = clocked_gemm(a[0], w[0], array)
        assert (run.outputs.tolist(), run.cycles) == (outputs, cycles), (array, m, n, k)


def test_folds_say_when_they_run() -> None:
    a, w = np.ones((3, 5), np.int64), np.ones((5, 2), np.int64)
    # By hand: 3 rows, 2 columns; K of 5 gives two folds of 3 rows to load, 3 to stream.
    alone = clocked_gemm(a, w, ClockedArray(3, 2, "weight_stationary"))
    assert [(f.load, f.start, f.first, f.last) for f in alone.folds[0]] == [
        (0, 3, 6, 8), (9, 12, 15, 17),
    ]  # fmt: skip
    overlapped = clocked_gemm(a, w, ClockedArray(3, 2, "weight_stationary", double_buffer=True))
    assert [(f.load, f.start, f.first, f.last) for f in overlapped.folds[0]] == [
        (0, 3, 6, 8), (3, 6, 9, 11),
    ]  # fmt: skip
    assert (overlapped.cycles, overlapped.occupied) == (12, 6)


def test_operands_of_16_bits_are_exact() -> None:
    a, w = np.full((2, 300), -(2**15)), np.full((300, 2), -(2**15))
    run = clocked_gemm(a.astype(np.int16), w.astype(np.int16), ClockedArray(4, 4))
    assert run.outputs.tolist() == [[300 * 2**30] * 2] * 2


def test_a_tile_of_a_plan() -> None:
    array = ClockedArray(8, 8, "weight_stationary", True, k_per_cycle=4, split=(1, 2, 1))
    problem, machine, choice = vectors(array)
    found = tile_times(problem, machine, choice, (1, 40, 20, 96))
    assert (found.occupied, found.cycles) == closed_form(array, (1, 40, 20, 96))


def test_a_wrong_value_in_a_tile_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: object) -> ClockedRun:
        run = clocked_gemm(*given)  # type: ignore[arg-type]
        run.outputs[0, 0, 0] += 1
        return run

    monkeypatch.setattr(clocked, "clocked_gemm", wrong)
    with pytest.raises(RunError, match="wrong values"):
        tile_times(*vectors(ClockedArray(2, 2, split=(3, 1, 1))), (3, 2, 2, 2))


@pytest.mark.parametrize(
    ("a", "w", "array", "says"),
    [
        (np.ones((2, 3), int), np.ones((4, 2), int), ClockedArray(2, 2), "batch or K differ"),
        (np.ones((2, 0), int), np.ones((0, 2), int), ClockedArray(2, 2), "is empty"),
        (np.ones((2, 3)), np.ones((3, 2), int), ClockedArray(2, 2), "a is float64"),
        (
            np.ones((2, 8), int),
            np.array([[1, 0, 1, 0, 1, 1, 1, 0]]).T,
            ClockedArray(2, 2, sparse=True),
            "column 0 of batch 0 has more than two weights in the four from K 4 on",
        ),
    ],
)
def test_operands_that_do_not_fit(
    a: np.ndarray, w: np.ndarray, array: ClockedArray, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        clocked_gemm(a, w, array)


def test_arrays_that_cannot_be_built() -> None:
    with pytest.raises(UnknownNameError, match="output_stationary"):
        ClockedArray(2, 2, "os")
    with pytest.raises(InputError, match="at least 1"):
        ClockedArray(0, 2)
