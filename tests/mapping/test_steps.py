"""Tile steps against a plain walk of the loop nest, and the closed form against their sums."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.cost import busy, link_traffic
from accelsim.mapping._core.steps import W_ARRAY, W_READ, W_SIZE, W_WRITTEN, count_steps, gemm_steps
from tests.mapping import naive

small = st.integers(1, 9)
Plan = tuple[naive.Problem, list[naive.Tile]]


@st.composite
def plans(draw: st.DrawFn, levels: int, divide: bool) -> Plan:
    """A problem with tiles of one or two levels; with ``divide``, as the search makes them."""
    problem = naive.Problem(
        b=draw(st.integers(1, 3)), m=draw(small), n=draw(small), k=draw(small),
        w_batched=draw(st.booleans()),
    )  # fmt: skip
    tiles: list[naive.Tile] = []
    for _ in range(levels):
        sizes = {}
        for dim in "bmnk":
            whole = getattr(problem, dim)
            inner = getattr(tiles[-1], dim) if tiles else 1
            options = [s for s in range(inner, whole + 1) if not divide or s % inner == 0]
            sizes[dim] = draw(st.sampled_from([*options, whole]))
        tiles.append(naive.Tile(**sizes, order=draw(st.integers(0, 5))))
    return problem, tiles


def lowered(problem: naive.Problem, tiles: list[naive.Tile]) -> tuple[Ints, Ints, Ints]:
    p = np.zeros(at.P_SIZE, np.int64)
    b, m, n, k = problem.b, problem.m, problem.n, problem.k
    p[:4] = b, m, n, k
    p[at.P_A_BITS] = b * m * k * problem.a
    p[at.P_W_BITS] = n * k * problem.w * (b if problem.w_batched else 1)
    p[at.P_O_BITS], p[at.P_ACC_BITS] = b * m * n * problem.o, problem.sums
    p[at.P_W_BATCHED] = problem.w_batched
    p[at.P_K_NUM] = p[at.P_K_DEN] = p[at.P_K_PER_CYCLE] = p[at.P_CYCLES_PER_STEP] = 1
    p[at.P_TAPS] = p[at.P_OUT_W] = p[at.P_OUT_H] = 1
    machine = np.zeros(at.C_SIZE, np.int64)
    machine[at.C_ROWS] = machine[at.C_COLS] = 2
    machine[at.C_COUNT] = machine[at.C_WEIGHT_DB] = machine[at.C_OUTPUT_DB] = 1
    machine[at.C_LEVELS] = len(tiles)
    choice = np.zeros(at.S_SIZE, np.int64)
    choice[1:4] = 1
    for level, tile in enumerate(tiles):
        base = at.S_LEVEL0 + at.S_STRIDE * level
        choice[base : base + 5] = tile.b, tile.m, tile.n, tile.k, tile.order
    return p, machine, choice


def steps_of(p: Ints, machine: Ints, choice: Ints) -> tuple[Ints, Ints]:
    count = count_steps(p, machine, choice)
    bits = np.zeros((machine[at.C_LEVELS], 4, count), np.int64)
    work = np.zeros((count, W_SIZE), np.int64)
    gemm_steps(p, machine, choice, bits[:, :3], bits[:, 3], work)
    return bits, work


@given(plans(levels=1, divide=False))
def test_steps_equal_a_plain_walk(plan: Plan) -> None:
    bits, _ = steps_of(*lowered(*plan))
    expected = np.array(naive.loads(*plan)).transpose(0, 2, 1)
    np.testing.assert_array_equal(bits, expected)


@given(plans(levels=2, divide=True))
def test_steps_of_two_levels_equal_a_plain_walk(plan: Plan) -> None:
    bits, _ = steps_of(*lowered(*plan))
    expected = np.array(naive.loads(*plan)).transpose(0, 2, 1)
    np.testing.assert_array_equal(bits, expected)


@given(plans(levels=2, divide=True))
def test_closed_form_traffic_is_the_sum_of_the_steps(plan: Plan) -> None:
    p, machine, choice = lowered(*plan)
    bits, _ = steps_of(p, machine, choice)
    for link in range(2):
        loaded, stored, _ = link_traffic(p, machine, choice, link)
        # Cut tiles at the edge can make a reload unnecessary; the closed form never has fewer.
        assert loaded >= bits[link, :3].sum()
        assert stored >= bits[link, 3].sum()


@given(plans(levels=1, divide=True))
def test_closed_form_of_one_level_is_exact(plan: Plan) -> None:
    p, machine, choice = lowered(*plan)
    bits, work = steps_of(p, machine, choice)
    loaded, stored, _ = link_traffic(p, machine, choice, 0)
    assert (loaded, stored) == (bits[0, :3].sum(), bits[0, 3].sum())
    levels = np.zeros((at.MAX_LEVELS, at.L_SIZE), np.int64)
    levels[:, at.L_PORTS] = 2
    cycles, (*operands, written), _ = busy(p, machine, levels, choice, np.ones(at.R_SIZE))
    read = sum(operands)
    assert cycles == work[:, W_ARRAY].sum()
    assert read == work[:, W_READ].sum()
    # Steps also count the finished outputs that the vector unit writes.
    assert written + p[at.P_O_BITS] == work[:, W_WRITTEN].sum()


@given(plans(levels=2, divide=True))
def test_every_product_is_computed_and_every_byte_moved(plan: Plan) -> None:
    problem, _ = plan
    bits, work = steps_of(*lowered(*plan))
    macs = problem.b * problem.m * problem.n * problem.k
    assert work[:, W_ARRAY].sum() * 4 >= macs
    compulsory = problem.b * problem.m * problem.k * problem.a
    assert (bits[:, 0].sum(axis=1) >= compulsory).all()
