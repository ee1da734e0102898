"""The timing engine and the mapping search inside one process."""

from __future__ import annotations

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.jit import Ints, kernel
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.cost import link_traffic
from accelsim.mapping.fuse import fuse
from accelsim.mapping.gemm import problem_vector
from accelsim.mapping.plan import Plan
from accelsim.mapping.search import plan
from accelsim.mapping.workload import GemmWorkload, Workload, lower
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe
from accelsim.sim.memory import dram_of
from accelsim.sim.outcome import time_plan
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch
from benchmarks.speed.conftest import Table


@pytest.fixture(scope="module")
def arch() -> ArchSpec:
    return load_arch("cloud_npu")


@pytest.fixture(scope="module")
def workloads(arch: ArchSpec) -> list[Workload]:
    found: list[Workload] = []
    for name, tokens in (("llama-3-8b", 2048), ("resnet-50", 512)):
        graph = load(name).graph(GraphRequest(seq_len=tokens))
        groups = fuse(annotated := annotate(graph, load_recipe("bf16")))
        found += dict.fromkeys(lower(annotated, g, arch.conversions) for g in groups)
    return found


@pytest.fixture(scope="module")
def plans(arch: ArchSpec, workloads: list[Workload]) -> list[Plan]:
    return [plan(workload, arch, "op") for workload in workloads]


def test_timing_engine(
    table: Table, arch: ArchSpec, plans: list[Plan], benchmark: BenchmarkFixture
) -> None:
    dram = dram_of(arch)
    benchmark(lambda: [time_plan(found, "tile", dram) for found in plans])
    start = time.perf_counter()
    for found in plans:
        found.steps.bits.sum()
        found.steps.work.sum()
    limit = time.perf_counter() - start
    seconds = benchmark.stats.stats.median
    table.add(
        "timing engine, llama-3-8b prefill and resnet-50, all ops",
        seconds * 1e3,
        50,
        limit * 1e3,
        "ms",
    )


def test_mapping_search(
    table: Table, arch: ArchSpec, workloads: list[Workload], benchmark: BenchmarkFixture
) -> None:
    benchmark(lambda: [plan(workload, arch, "op") for workload in workloads])
    seconds = benchmark.stats.stats.median
    plans = [plan(workload, arch, "op") for workload in workloads]
    evaluated = sum(found.evaluated for found in plans if isinstance(found.workload, GemmWorkload))
    limit = _one_evaluation_s(next(p for p in plans if isinstance(p.workload, GemmWorkload)))
    table.add("mapping search of the same ops", seconds * 1e3, 500, limit * evaluated * 1e3, "ms")


@kernel
def _evaluate(problem: Ints, machine: Ints, choice: Ints, times: int) -> int:
    total = 0
    for _ in range(times):
        total += link_traffic(problem, machine, choice, 0)[0]
        choice[at.S_LEVEL0 + at.DIMS] = total & 1  # so that no iteration can be left out
    return total


def _one_evaluation_s(found: Plan) -> float:
    """Time of the least that a candidate costs: the traffic of one link."""
    assert isinstance(found.workload, GemmWorkload)
    arguments = (
        problem_vector(found.workload, found.machine), found.machine.vector, found.choice.copy(),
    )  # fmt: skip
    _evaluate(*arguments, 1)
    start = time.perf_counter()
    _evaluate(*arguments, 100_000)
    return (time.perf_counter() - start) / 100_000
