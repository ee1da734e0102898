"""What stays on chip between ops: it saves its bytes, takes its room, and never costs time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import MappingError
from accelsim.graph.ir import Graph
from accelsim.graph.ops import verify
from accelsim.mapping._core.cost import link_traffic
from accelsim.mapping.fuse import fuse
from accelsim.mapping.gemm import plan_gemm, problem_vector
from accelsim.mapping.residency import Life, lives, place
from accelsim.mapping.search import machines
from accelsim.mapping.workload import GemmWorkload, Resident, lower
from accelsim.sim.simulate import Simulator
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch
from tests.graph.graph_builder import Builder
from tests.mapping.chips import one_level, two_levels

SIZE = 64


def chain(depth: int = 3, keep: int | None = None) -> Graph:
    """Return products one after the other; ``keep`` names one whose output is also a result."""
    build = Builder()
    names = [build.given("x", SIZE, SIZE)]
    for i in range(depth):
        weight = build.given(f"w{i}", SIZE, SIZE, role="weight")
        names.append(build.op("matmul", (names[-1], weight), (SIZE, SIZE), name=f"y{i}"))
    kept = () if keep is None else (names[1 + keep],)
    return verify(build.graph(*kept, names[-1]))


def simulated_bytes(graph: Graph, chip: ArchSpec) -> int:
    return sum(row.dram_bytes for row in Simulator(chip, "tile").run(graph, "bf16").layers)


def test_lives_end_with_the_last_reader() -> None:
    graph = chain(3)
    bits = SIZE * SIZE * 16
    assert lives(graph, fuse(graph)) == [Life("y0", 0, 1, bits), Life("y1", 1, 2, bits)]


def test_a_chain_moves_its_ends_alone() -> None:
    tensor = SIZE * SIZE * 2
    # Three weights, the input and the last output; nothing in between.
    assert simulated_bytes(chain(3), load_arch("edge_npu", ())) == 5 * tensor


def test_an_output_of_the_graph_is_written_and_still_read_on_chip() -> None:
    tensor = SIZE * SIZE * 2
    assert simulated_bytes(chain(3, keep=0), load_arch("edge_npu", ())) == 6 * tensor


def test_without_room_everything_goes_through_dram() -> None:
    tensor = SIZE * SIZE * 2
    placed = place(chain(3), fuse(chain(3)), 8 * tensor - 1, lambda group, resident: 1)
    assert placed == [Resident()] * 3


def test_what_would_slow_an_op_down_is_not_kept() -> None:
    graph = chain(3)

    def cost(group: int, resident: Resident) -> int | None:
        return 10 + 5 * (group == 1 and resident.first)

    first, second, third = place(graph, fuse(graph), 1 << 30, cost)
    assert not second.first and first.o_bits == 0
    assert third.first and second.o_bits == SIZE * SIZE * 16


def test_an_op_that_no_longer_fits_is_left_alone() -> None:
    graph = chain(2)

    def cost(group: int, resident: Resident) -> int | None:
        return None if resident.held_bits else 10

    assert place(graph, fuse(graph), 1 << 30, cost) == [Resident(), Resident()]


@pytest.mark.parametrize("make", [one_level, two_levels])
def test_room_that_is_taken_is_not_used_twice(make: Callable[[], ArchSpec]) -> None:
    chip = make()
    graph = chain(2)
    workload = lower(graph, fuse(graph)[1], chip.conversions)
    (machine,) = machines(chip, "bf16", "bf16", sparse=False)
    free = machine.free_levels(1000)
    assert free[machine.levels_used - 1, 0] == machine.levels[machine.levels_used - 1, 0] - 1000
    assert isinstance(workload, GemmWorkload)
    kept = replace(workload, resident=Resident(first=True, held_bits=workload.a_bits // 2))
    assert not plan_gemm(kept, machine, "kept").steps.bits[-1, 0].any()
    full = replace(workload, resident=Resident(held_bits=int(machine.levels[-1, 0]) + (1 << 30)))
    with pytest.raises(MappingError, match="bytes over"):
        plan_gemm(full, machine, "full")


sizes = st.integers(1, 96)


@given(sizes, sizes, sizes, st.booleans(), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_closed_form_traffic_equals_the_steps(  # noqa: PLR0913 (one name per choice)
    m: int, n: int, k: int, first: bool, second: bool, out: bool, outer: bool
) -> None:
    chip = two_levels() if outer else load_arch("edge_npu", ())
    resident = Resident(first, second, 0, m * n * 8 * out, 0)
    workload = GemmWorkload(
        1, m, n, k, "int8", "int8", m * k * 8, n * k * 8, m * n * 8, 0, 8, False, False, 0, (),
        resident=resident,
    )  # fmt: skip
    (machine,) = machines(chip, "int8", "int8", sparse=False)
    found = plan_gemm(workload, machine, "product")
    problem = problem_vector(workload, machine)
    for link in range(machine.levels_used):
        loaded, stored, _ = link_traffic(problem, machine.vector, found.choice, link)
        assert found.steps.bits[link].sum() == loaded + stored
    gone = Resident()
    plain = plan_gemm(replace(workload, resident=gone), machine, "product")
    assert found.latency_ps <= plain.latency_ps
