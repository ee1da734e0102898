"""SCALE-Sim's networks in closed form, its memory model, and the clocked array."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from accelsim.graph.scalesim import Layer
from accelsim.sim.clocked import clocked_gemm
from accelsim.sim.clocked_operands import ClockedArray
from accelsim.sim.scalesim import ScaleConfig, count, memory_of
from benchmarks.speed.conftest import Table

ARRAY = ScaleConfig("resnet", 32, 32, "os", 64, 64, 64)
#: Blocks, channels in the middle and outside, and side of the outputs of ResNet-50's stages
#: (He et al., CVPR 2016).
STAGES = ((3, 64, 256, 56), (4, 128, 512, 28), (6, 256, 1024, 14), (3, 512, 2048, 7))


def resnet50() -> list[Layer]:
    """Return ResNet-50: 53 convolutions, padded inputs, and the classifier."""
    layers = [Layer("conv1", 230, 230, 7, 7, 3, 64, 2)]
    before, side = 64, 56
    for blocks, inside, outside, out in STAGES:
        for block in range(blocks):
            stride = side // out
            layers += [
                Layer("reduce", side, side, 1, 1, before, inside, 1),
                Layer("conv", side + 2, side + 2, 3, 3, inside, inside, stride),
                Layer("expand", out, out, 1, 1, inside, outside, 1),
            ]
            if block == 0:
                layers.append(Layer("project", side, side, 1, 1, before, outside, stride))
            before, side = outside, out
    return [*layers, Layer("fc", 1, 1, 1, 1, 2048, 1000, 1)]


def test_resnet50_in_closed_form(table: Table, benchmark: BenchmarkFixture) -> None:
    layers = resnet50()
    assert len(layers) == 54
    benchmark(lambda: [count(layer, ARRAY) for layer in layers])
    start = time.perf_counter()
    for layer in layers:
        assert layer.m * layer.n * layer.k > 0
    limit = time.perf_counter() - start
    seconds = benchmark.stats.stats.median
    # SCALE-Sim 3.0.0 needs about 680 CPU seconds.
    table.add("ResNet-50 at 32x32, closed form", seconds * 1e3, 10, limit * 1e3, "ms")


def test_resnet50_with_its_memory_model(table: Table, benchmark: BenchmarkFixture) -> None:
    layers = resnet50()
    memory_of(layers[-1], ARRAY)
    benchmark.pedantic(lambda: [memory_of(layer, ARRAY) for layer in layers], rounds=3)
    accesses = sum(count(one, ARRAY).ifmap_reads + count(one, ARRAY).filter_reads for one in layers)
    words = np.ones(10_000_000, np.int64)
    start = time.perf_counter()
    words += 1
    limit = (time.perf_counter() - start) * accesses / words.size
    seconds = benchmark.stats.stats.median
    table.add("ResNet-50 at 32x32, memory model of SCALE-Sim", seconds, 5, limit, "s")


@pytest.mark.parametrize("dataflow", ["output_stationary", "weight_stationary"])
def test_clocked_array(dataflow: str, table: Table, benchmark: BenchmarkFixture) -> None:
    random = np.random.default_rng(0)
    a, w = random.integers(-128, 128, (256, 256)), random.integers(-128, 128, (256, 256))
    array = ClockedArray(32, 32, dataflow, double_buffer=True)
    run = benchmark(lambda: clocked_gemm(a, w, array))
    updates = run.cycles * array.rows * array.columns
    registers = np.zeros((4, array.rows, array.columns), np.int64)
    start = time.perf_counter()
    for _ in range(1000):
        registers[:, :, 1:] = registers[:, :, :-1]
    limit = (time.perf_counter() - start) / registers[0].size / 1000
    seconds = benchmark.stats.stats.median / updates
    table.add(f"clocked array, {dataflow}, per PE and cycle", seconds * 1e9, 100, limit * 1e9, "ns")
