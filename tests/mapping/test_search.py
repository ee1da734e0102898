"""The search against brute force, bounds, and the promise that more hardware never hurts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import MappingError, RecipeError
from accelsim.graph.single import single_graph
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import fill_drain_cycles
from accelsim.mapping._core.banks import bank_ps, moving_ps
from accelsim.mapping._core.cost import busy, edge_ps, fits, passing_bits, queue_traffic
from accelsim.mapping._core.search import on_grid, vector_ps
from accelsim.mapping._core.waste import wasted_bits
from accelsim.mapping.attention import plan_attention
from accelsim.mapping.fuse import fuse
from accelsim.mapping.gemm import heads, plan_gemm, problem_vector, tile_sizes
from accelsim.mapping.machine import Machine
from accelsim.mapping.search import machines, plan
from accelsim.mapping.workload import AttentionWorkload, GemmWorkload, StreamWorkload, lower
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch
from tests.mapping.chips import one_level, two_levels

size = st.sampled_from([1, 3, 16, 24, 40, 64])


def gemm(m: int, n: int, k: int, batch: int = 1) -> GemmWorkload:
    return GemmWorkload(
        batch=batch, m=m, n=n, k=k, activation="int8", weight="int8", a_bits=8 * batch * m * k,
        w_bits=8 * batch * n * k, o_bits=16 * batch * m * n, x_bits=0, element_bits=8,
        w_batched=batch > 1, sparse=False, group=0, work=(("mul", batch * m * n),),
    )  # fmt: skip


def machine_of(arch: ArchSpec) -> Machine:
    return machines(arch, "int8", "int8", False)[0]


def latency(machine: Machine, problem: Ints, choice: Ints) -> float:
    """Closed form of one plan, put together again from its parts; infinite if it does not fit."""
    vector, levels, rates = machine.vector, machine.levels, machine.rates
    cycles_ps, lanes_ps = rates[at.R_PS_PER_CYCLE], vector_ps(problem, rates)
    _, (first, second, rest, written), occupied = busy(problem, vector, levels, choice, rates)
    spans = [lanes_ps, occupied]
    visits = 1
    for link in range(machine.levels_used):
        below = visits
        queues, visits = queue_traffic(problem, vector, choice, link)
        if not fits(problem, vector, levels, choice, link, visits if link == 0 else below):
            return np.inf
        wasted = wasted_bits(problem, vector, choice, link)
        moving = moving_ps(levels, rates, link, queues, wasted)
        spent = moving + (occupied if link == 0 else 0)
        spans += [moving, _turnaround(machine, problem, choice, link, spent)]
        if link == 0:
            passing = passing_bits(problem, vector, choice, visits)
            unit = (
                first,
                second,
                rest + problem[at.P_X_BITS] + passing,
                written + problem[at.P_O_BITS] + passing,
            )
            spans.append(bank_ps(levels, rates, unit, queues))
    drain = fill_drain_cycles(vector, choice[at.S_DATAFLOW]) * cycles_ps
    jobs = math.prod(_trips(problem, choice, 0)[:3])
    if jobs > 1:
        held = vector[at.C_RESULT_BUFFERS]
        spans.append((jobs * drain + occupied + lanes_ps) / held)
    lead, tail = edge_ps(problem, vector, choice, rates)
    return float(on_grid(lead + tail + max(spans)))


def _trips(problem: Ints, choice: Ints, level: int) -> list[int]:
    base = at.S_LEVEL0 + at.S_STRIDE * level
    return [int(-(-problem[d] // choice[base + d])) for d in range(4)]


def _turnaround(machine: Machine, problem: Ints, choice: Ints, link: int, spent: float) -> float:
    tiles = math.prod(_trips(problem, choice, link))
    setup, buffers = machine.rates[at.R_SETUP0 + link], machine.levels[link, at.L_BUFFERS]
    return (tiles * setup + spent) / buffers if tiles > 1 else 0.0


def brute_force(machine: Machine, workload: GemmWorkload) -> float:
    problem = problem_vector(workload, machine)
    dims = [[int(s) for s in row[1 : 1 + row[0]]] for row in tile_sizes(workload, machine)]
    tiles = list(itertools.product(*dims))
    best = np.inf
    for head in heads(machine, workload):
        for nest in itertools.product(tiles, repeat=machine.levels_used):
            if not _nested(nest, problem):
                continue
            for orders in itertools.product(range(6), repeat=machine.levels_used):
                choice = np.zeros(at.S_SIZE, np.int64)
                choice[:4] = head
                for level, (tile, order) in enumerate(zip(nest, orders, strict=True)):
                    base = at.S_LEVEL0 + at.S_STRIDE * level
                    choice[base : base + 5] = (*tile, order)
                best = min(best, latency(machine, problem, choice))
    return best


def _nested(nest: tuple[tuple[int, ...], ...], problem: Ints) -> bool:
    for inner, outer in itertools.pairwise(nest):
        for d, (i, o) in enumerate(zip(inner, outer, strict=True)):
            if o < i or (o % i and o < problem[d]):
                return False
    return True


@pytest.mark.parametrize("shape", [(3, 40, 24), (40, 24, 3), (24, 24, 24), (1, 40, 40)])
def test_one_level_equals_brute_force(shape: tuple[int, int, int]) -> None:
    machine = machine_of(one_level("memories.0.size_bytes=2 KiB"))
    found = plan_gemm(gemm(*shape), machine, "op")
    assert found.latency_ps == np.ceil(brute_force(machine, gemm(*shape)))


@pytest.mark.parametrize("banking", ["per_tensor", "per_buffer"])
@pytest.mark.parametrize("shape", [(3, 40, 24), (24, 24, 24)])
def test_banks_of_tensors_equal_brute_force(shape: tuple[int, int, int], banking: str) -> None:
    banks = (f"memories.0.banking={banking}", "memories.0.banks=[8,4,4]")
    machine = machine_of(one_level(*banks, "memories.0.size_bytes=4 KiB"))
    found = plan_gemm(gemm(*shape), machine, "op")
    assert found.latency_ps == np.ceil(brute_force(machine, gemm(*shape)))


@pytest.mark.parametrize("shape", [(3, 20, 24), (20, 3, 17)])
def test_two_levels_equal_brute_force(shape: tuple[int, int, int]) -> None:
    sizes = ("memories.0.size_bytes=1 KiB", "memories.1.size_bytes=3 KiB")
    machine = machine_of(two_levels(*sizes, "arrays.0.rows=16", "arrays.0.columns=16"))
    found = plan_gemm(gemm(*shape), machine, "op")
    assert found.latency_ps == np.ceil(brute_force(machine, gemm(*shape)))


@settings(max_examples=40)
@given(size, size, size, st.sampled_from(["memories.0.size_bytes=64 KiB",
       "memories.0.bandwidth_bytes_per_s=900 GB/s", "dram.bandwidth_bytes_per_s=120 GB/s",
       "dram.latency_s=10 ns", "vector.lanes=64"]))  # fmt: skip
def test_more_hardware_is_never_slower(m: int, n: int, k: int, better: str) -> None:
    workload = gemm(m, n, k)
    before = plan_gemm(workload, machine_of(one_level()), "op").latency_ps
    assert plan_gemm(workload, machine_of(one_level(better)), "op").latency_ps <= before


@settings(max_examples=20)
@given(
    size,
    size,
    size,
    st.sampled_from(
        [
            "memories.1.size_bytes=1 MiB",
            "memories.1.bandwidth_bytes_per_s=8 TB/s",
            "dram.bandwidth_bytes_per_s=2 TB/s",
        ]
    ),
)
def test_more_hardware_is_never_slower_with_two_levels(m: int, n: int, k: int, better: str) -> None:
    workload = gemm(m, n, k)
    before = plan_gemm(workload, machine_of(two_levels()), "op").latency_ps
    assert plan_gemm(workload, machine_of(two_levels(better)), "op").latency_ps <= before


@settings(max_examples=40)
@given(size, size, size, st.integers(1, 3), st.booleans())
def test_latency_is_at_or_above_the_roofline(
    m: int, n: int, k: int, batch: int, deep: bool
) -> None:
    machine = machine_of(two_levels() if deep else one_level())
    workload = gemm(m, n, k, batch)
    arch = machine.arch
    compute = batch * m * n * k / arch.peak_macs_per_s("int8", "int8")
    moved = (workload.a_bits + workload.w_bits + workload.o_bits) / 8
    bound = max(compute, moved / arch.dram.bandwidth_bytes_per_s)
    assert plan_gemm(workload, machine, "op").latency_ps * 1e-12 >= bound


def test_what_does_not_fit_says_which_level_and_by_how_much() -> None:
    arch = one_level("memories.0.size_bytes=64")
    with pytest.raises(MappingError, match=r"op: no tile fits level 'scratchpad' .* bytes over"):
        plan(gemm(64, 64, 64), arch, "op")


def test_formats_that_are_not_built_are_named() -> None:
    odd = GemmWorkload(**{**_fields(gemm(4, 4, 4)), "weight": "fp8_e4m3"})
    with pytest.raises(RecipeError, match=r"does not build int8 x fp8_e4m3; it has int8 x int8"):
        plan(odd, one_level(), "op")


def _fields(workload: GemmWorkload) -> dict[str, Any]:
    return {name: getattr(workload, name) for name in workload.__dataclass_fields__}


def attention(**changes: Any) -> AttentionWorkload:
    fields: dict[str, Any] = {
        "units": 2, "group": 2, "queries": 96, "keys": 96, "depth": 16, "value_depth": 16,
        "causal": False, "window": 0, "q_format": "bf16", "k_format": "bf16",
        "o_bits": 16 * 4 * 96 * 16, "x_bits": 0, "mask_bits": 0, "mask_planes": 1,
        "score_work": (("exp", 4 * 96 * 96),), "output_work": (),
    }  # fmt: skip
    return AttentionWorkload(**{**fields, **changes})


def test_causal_attention_skips_blocks() -> None:
    big = ("memories.0.size_bytes=256 KiB", "arrays.0.accumulator_bytes=64 KiB")
    machine = machines(one_level(*big), "bf16", "bf16", False)[0]
    full = plan_attention(attention(), machine, "op")
    half = plan_attention(attention(causal=True), machine, "op")
    assert half.steps.work[:, 0].sum() < full.steps.work[:, 0].sum()
    assert half.latency_ps < full.latency_ps


def test_attention_moves_keys_and_queries_once_at_least() -> None:
    roomy = ("memories.0.size_bytes=64 KiB", "memories.1.size_bytes=1 MiB")
    machine = machines(two_levels(*roomy), "bf16", "bf16", False)[0]
    found = plan_attention(attention(queries=32, keys=32), machine, "op")
    operands = 16 * (4 * 32 * 16 + 2 * 2 * 32 * 16)
    assert found.steps.bits[-1, :3].sum() >= operands


def test_a_row_that_does_not_fit_is_an_error() -> None:
    arch = one_level("memories.0.size_bytes=1 KiB")
    with pytest.raises(MappingError, match=r"a row of .* bytes does not fit level 'scratchpad'"):
        plan(StreamWorkload(8 * 10**5, 8 * 10**5, 1, (("add", 10**5),)), arch, "op")


def test_streams_are_cut_into_pieces_that_sum_to_the_whole() -> None:
    found = plan(StreamWorkload(8 * 12345, 8 * 777, 4096, (("add", 999),)), one_level(), "op")
    assert found.steps.bits[0, 0].sum() == 8 * 12345
    assert found.steps.bits[0, 3].sum() == 8 * 777


def test_the_plan_prints_as_a_loop_nest() -> None:
    nest = plan(gemm(64, 64, 64), one_level(), "op").nest
    assert nest.splitlines()[0] == "lpddr5: A, W, O"
    assert "scratchpad: A[" in nest
    assert "matrix 4x4, " in nest


def test_depthwise_convolutions_run_on_the_lanes_where_that_is_faster() -> None:
    graph = single_graph("conv2d", "bf16", {"C": 32, "H": 28, "W": 28, "K": 32, "R": 3, "S": 3,
                                            "padding": 1, "groups": 32})  # fmt: skip
    (group,) = fuse(graph)
    arch = load_arch("edge_npu")
    workload = lower(graph, group, arch.conversions)
    assert isinstance(workload, GemmWorkload)
    found = plan(workload, arch, "op")
    assert found.machine.array is None
    assert isinstance(found.workload, StreamWorkload)
    assert found.workload.macs == 32 * 28 * 28 * 9
    on_array = plan_gemm(workload, machines(arch, "bf16", "bf16", False)[0], "op")
    assert found.latency_ps < on_array.latency_ps


@given(st.floats(512, 1e18), st.floats(512, 1e18))
def test_the_grid_of_latencies_keeps_the_order(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert on_grid(low) <= on_grid(high)
    assert low <= on_grid(low) <= low * (1 + 1 / 256)


def test_among_equally_fast_plans_the_one_that_moves_least_wins() -> None:
    workload = gemm(64, 64, 64)
    blind = plan(workload, one_level(), "op")
    sparing = plan(workload, one_level(), "op", (1.0, 1000.0))
    assert sparing.latency_ps == blind.latency_ps
    assert sparing.traffic <= blind.traffic


def test_a_window_bounds_the_blocks_of_a_row() -> None:
    big = ("memories.0.size_bytes=256 KiB", "arrays.0.accumulator_bytes=64 KiB")
    machine = machines(one_level(*big), "bf16", "bf16", False)[0]
    long = {"queries": 512, "keys": 512, "causal": True}
    full = plan_attention(attention(**long), machine, "op")
    narrow = plan_attention(attention(**long, window=32), machine, "op")
    assert narrow.steps.work[:, 0].sum() < full.steps.work[:, 0].sum() / 2
    # Every query still meets its window: at least 512 x 32 scores of two products.
    peak = machine.arch.peak_macs_per_s("bf16", "bf16") / machine.arch.clock_hz
    assert narrow.steps.work[:, 0].sum() * peak >= 4 * (512 - 31) * 32 * 2 * 16


@settings(max_examples=40)
@given(
    st.integers(1, 3000), st.integers(1, 2000),
    st.sampled_from(["memories.0.size_bytes=64 KiB", "dram.bandwidth_bytes_per_s=120 GB/s",
                     "dma.setup_s=1 ns", "vector.lanes=64"]),
)  # fmt: skip
def test_more_hardware_never_slows_a_stream(rows: int, row: int, better: str) -> None:
    workload = StreamWorkload(8 * rows * row, 8 * rows * row, rows, (("add", rows * row),))
    before = plan(workload, one_level("memories.0.size_bytes=16 KiB"), "op").latency_ps
    after = plan(workload, one_level("memories.0.size_bytes=16 KiB", better), "op").latency_ps
    assert after <= before


@settings(max_examples=15)
@given(
    st.integers(1, 5), st.integers(1, 150), st.booleans(),
    st.sampled_from(["memories.0.size_bytes=256 KiB", "dram.bandwidth_bytes_per_s=120 GB/s"]),
)  # fmt: skip
def test_more_hardware_never_slows_attention(
    units: int, tokens: int, causal: bool, better: str
) -> None:
    base = ("memories.0.size_bytes=128 KiB", "arrays.0.accumulator_bytes=64 KiB")
    workload = attention(units=units, queries=tokens, keys=tokens, causal=causal)
    before = plan(workload, one_level(*base), "op").latency_ps
    assert plan(workload, one_level(*base, better), "op").latency_ps <= before


def test_pieces_of_a_stream_are_whole_rows() -> None:
    """Five rows of 1000 bytes in 2600 bytes with two buffers: one row at a time."""
    arch = one_level("memories.0.size_bytes=2600")
    found = plan(StreamWorkload(8 * 4000, 8 * 1000, 5, (("add", 5),)), arch, "op")
    assert found.steps.work.shape[0] == 5
