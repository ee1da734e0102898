"""Bytes and accesses of single ops counted by hand, so that nothing moves for free."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import MappingError
from accelsim.graph.ir import Attr, Graph, Op, Tensor
from accelsim.graph.ops import verify
from accelsim.graph.single import single_graph
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.steps import W_READ, W_SUMS, W_WRITTEN
from accelsim.mapping._core.tile import a_tile_bits, accumulator_bits, port_bits
from accelsim.mapping.attention import plan_attention
from accelsim.mapping.fuse import fuse
from accelsim.mapping.gemm import problem_vector, tile_sizes
from accelsim.mapping.plan import Plan
from accelsim.mapping.search import machines, plan
from accelsim.mapping.workload import AttentionWorkload, GemmWorkload, lower
from accelsim.sim.outcome import FIDELITIES
from accelsim.sim.simulate import Simulator
from accelsim.spec.energy import load_energy_table
from accelsim.spec.load import load_arch


def planned(graph: Graph, chip: str = "edge_npu", *overrides: str) -> Plan:
    arch = load_arch(chip, overrides)
    (group,) = fuse(graph)
    return plan(lower(graph, group, arch.conversions), arch, "op")


def linear(residual: str, m: int = 128, n: int = 128) -> Graph:
    """y = x W + residual, all in bf16; the residual may be x itself."""
    tensors = [
        Tensor("x", (m, n), "input"),
        Tensor("r", (m, n), "input"),
        Tensor("w", (n, n), "weight"),
        Tensor("p", (m, n)),
        Tensor("y", (m, n)),
    ]
    ops = (
        Op("linear", "matmul", ("x", "w"), ("p",)),
        Op("add", "elementwise", ("p", residual), ("y",), {"fn": "add"}),
    )
    return verify(Graph("residual", {t.name: t for t in tensors}, ops, ("y",)))


@pytest.mark.parametrize("residual", ["r", "x"])
def test_what_an_epilogue_adds_is_loaded_and_read(residual: str) -> None:
    found = planned(linear(residual))
    matrix = 16 * 128 * 128
    assert found.steps.bits[-1, at.OP_C].sum() == matrix
    plain = planned(single_graph("gemm", "bf16", {"M": 128, "N": 128, "K": 128}))
    assert found.steps.bits[-1].sum() == plain.steps.bits[-1].sum() + matrix


def vectors(dataflow: int, m: int, n: int, k: int) -> tuple[Ints, Ints, Ints]:
    arch = load_arch("edge_npu")
    (machine,) = machines(arch, "int8", "int8", False)
    graph = single_graph("gemm", "int8", {"M": m, "N": n, "K": k})
    (group,) = fuse(graph)
    workload = lower(graph, group, arch.conversions)
    assert isinstance(workload, GemmWorkload)
    vector = np.zeros(at.S_SIZE, np.int64)
    vector[:4] = dataflow, 1, 1, 1
    return problem_vector(workload, machine), machine.vector, vector


@pytest.mark.parametrize(
    ("dataflow", "a_passes", "w_passes"), [(at.OS, 3, 2), (at.WS, 3, 1), (at.IS, 1, 2)]
)
def test_operands_are_read_once_per_fold_that_needs_them(
    dataflow: int, a_passes: int, w_passes: int
) -> None:
    """128 x 160 outputs and K = 64 on a 64 x 64 array: 2 folds of rows, 3 of columns."""
    problem, machine, choice = vectors(dataflow, 128, 160, 64)
    first, second, sums, written = port_bits(problem, machine, choice, 1, 128, 160, 64)
    read = first + second + sums
    assert read == 8 * 128 * 64 * a_passes + 8 * 160 * 64 * w_passes
    assert written == 0


def test_sums_pass_accumulator_memory_once_per_fold() -> None:
    """K = 192 on 64 rows is three folds: three writes and, but for the first, a read before."""
    problem, machine, choice = vectors(at.WS, 64, 64, 192)
    sums = 32 * 64 * 64
    assert accumulator_bits(problem, machine, choice, 1, 64, 64, 192, True) == 5 * sums
    # The same cut into three tiles along K costs the same.
    parts = [accumulator_bits(problem, machine, choice, 1, 64, 64, 64, k == 0) for k in range(3)]
    assert sum(parts) == 5 * sums
    problem, machine, choice = vectors(at.OS, 64, 64, 192)
    assert accumulator_bits(problem, machine, choice, 1, 64, 64, 192, True) == 0
    parts = [accumulator_bits(problem, machine, choice, 1, 64, 64, 64, k == 0) for k in range(3)]
    assert sum(parts) == 5 * sums


def conv(**changes: int) -> tuple[GemmWorkload, Ints]:
    arch = load_arch("edge_npu")
    sizes = {"C": 8, "H": 32, "W": 20, "K": 16, "R": 3, "S": 3, "padding": 1, **changes}
    graph = single_graph("conv2d", "int8", sizes)
    (group,) = fuse(graph)
    workload = lower(graph, group, arch.conversions)
    assert isinstance(workload, GemmWorkload)
    (machine,) = machines(arch, "int8", "int8", False)
    return workload, problem_vector(workload, machine)


def test_a_tile_of_a_convolution_is_loaded_with_its_halo() -> None:
    workload, problem = conv()
    assert workload.conv is not None
    row = 8 * 20
    # Four output rows of 20 read six input rows; half of the channels is half of that.
    assert a_tile_bits(problem, 1, 4 * 20, 8 * 9) == 8 * 6 * row
    assert a_tile_bits(problem, 1, 4 * 20, 4 * 9) == 4 * 6 * row
    # Stride 2: four output rows read nine.
    _, strided = conv(stride=2)
    assert a_tile_bits(strided, 1, 4 * 10, 8 * 9) == 8 * 9 * row


def test_dilation_widens_the_halo() -> None:
    attrs: dict[str, Attr] = {"dilation_h": 3, "dilation_w": 1}
    tensors = [
        Tensor("x", (1, 8, 32, 20), "input"),
        Tensor("w", (16, 8, 3, 3), "weight"),
        Tensor("y", (1, 16, 26, 18)),
    ]
    op = Op("conv", "conv2d", ("x", "w"), ("y",), attrs)
    graph = verify(Graph("dilated", {t.name: t for t in tensors}, (op,), ("y",)))
    (group,) = fuse(graph)
    workload = lower(graph, group, load_arch("edge_npu").conversions)
    assert isinstance(workload, GemmWorkload)
    assert workload.conv is not None
    assert workload.conv.kernel_h == 7


def masked(mask_shape: tuple[int, ...], heads: int = 4, tokens: int = 32) -> Graph:
    shape = (1, heads, tokens, 16)
    tensors = [Tensor(name, shape, "input") for name in "qkv"]
    tensors += [Tensor("mask", mask_shape, "input"), Tensor("y", shape)]
    op = Op("attention", "attention", ("q", "k", "v", "mask"), ("y",), {"causal": False})
    return verify(Graph("masked", {t.name: t for t in tensors}, (op,), ("y",)))


def test_a_shared_mask_is_read_for_every_head_and_an_own_one_once() -> None:
    """Four heads one after another on one array; a mask is 32 x 32 bf16."""
    plane = 16 * 32 * 32
    shared = planned(masked((1, 1, 32, 32)))
    own = planned(masked((1, 4, 32, 32)))
    assert shared.steps.bits[-1, at.OP_C].sum() == 4 * plane
    assert own.steps.bits[-1, at.OP_C].sum() == 4 * plane
    # With four arrays the heads run together and share what they load.
    together = planned(masked((1, 1, 32, 32)), "edge_npu", "arrays.0.count=4")
    assert together.steps.bits[-1, at.OP_C].sum() <= 4 * plane


def one_block() -> AttentionWorkload:
    return AttentionWorkload(
        units=1, group=1, queries=32, keys=32, depth=64, value_depth=64, causal=False, window=0,
        q_format="bf16", k_format="bf16", o_bits=16 * 32 * 64, x_bits=16 * 32 * 64, mask_bits=0,
        mask_planes=1, score_work=(), output_work=(),
    )  # fmt: skip


def test_a_block_of_attention_by_hand() -> None:
    (machine,) = machines(load_arch("edge_npu"), "bf16", "bf16", False)
    found = plan_attention(one_block(), machine, "op")
    assert found.steps.work.shape[0] == 1
    operand, scores = 16 * 32 * 64, 16 * 32 * 32
    # Q, K, V, the probabilities and the epilogue's input are read; the array is wide enough for
    # one pass each.
    assert found.steps.work[0, W_READ] == 3 * operand + scores + operand
    assert found.steps.work[0, W_WRITTEN] == scores + operand
    assert found.steps.work[0, W_SUMS] == 2 * 32 * (32 * 32 + 32 * 64)
    assert found.steps.bits[-1, at.OP_C].sum() == operand


def test_without_accumulator_memory_sums_use_the_port() -> None:
    arch = load_arch("edge_npu", ["arrays.0.accumulator_bytes=null"])
    (machine,) = machines(arch, "bf16", "bf16", False)
    found = plan_attention(one_block(), machine, "op")
    assert found.steps.work[:, W_SUMS].sum() == 0
    assert found.steps.work[0, W_WRITTEN] == 16 * 32 * 96 + 32 * 32 * (32 + 64)


def test_attention_holds_its_blocks_in_every_buffer() -> None:
    """The smallest block takes 24 KiB: 40 KiB hold it once, not twice."""
    tight = ["memories.0.size_bytes=40 KiB"]
    (one,) = machines(
        load_arch("edge_npu", [*tight, "memories.0.buffers=1"]), "bf16", "bf16", False
    )
    assert plan_attention(one_block(), one, "op").latency_ps > 0
    (two,) = machines(load_arch("edge_npu", tight), "bf16", "bf16", False)
    with pytest.raises(MappingError, match="no block fits level 'scratchpad'"):
        plan_attention(one_block(), two, "op")


def test_levels_count_what_passes_them() -> None:
    graph = single_graph("gemm", "bf16", {"M": 512, "N": 512, "K": 512})
    arch = load_arch("cloud_npu")
    simulator = Simulator(arch, "tile")
    row = simulator.run(graph, "bf16").layers[0]
    steps = simulator.time(lower(graph, fuse(graph)[0], arch.conversions), "op").plan.steps
    inner, outer = (int(link.sum()) // 8 for link in steps.bits)
    assert row.bytes_by_level["shared"] == inner + outer
    port = int(steps.work[:, [W_READ, W_WRITTEN]].sum()) // 8
    assert row.bytes_by_level["local"] == inner + port


def test_lanes_pay_for_their_products() -> None:
    sizes = {"C": 64, "H": 56, "W": 56, "K": 64, "R": 3, "S": 3, "padding": 1, "groups": 64}
    row = Simulator(load_arch("edge_npu"), "tile").run(single_graph("conv2d", "bf16", sizes), "x")
    macs = 64 * 56 * 56 * 9
    table = load_energy_table()
    per_mac = table.vector_pj("mul", 7).typical + table.vector_pj("add", 7).typical
    assert row.layers[0].energy_by_part["vector"].typical == pytest.approx(macs * per_mac)
    assert row.layers[0].energy_by_part["array"].typical == 0


@settings(max_examples=25)
@given(
    st.sampled_from([4, 12, 64]), st.sampled_from([1, 3]), st.sampled_from([16, 4096]),
    st.sampled_from([1, 32]), st.integers(1, 60), st.booleans(),
)  # fmt: skip
def test_nothing_is_used_more_than_there_is(
    side: int, count: int, lanes: int, groups: int, size: int, attention: bool
) -> None:
    arch = load_arch(
        "edge_npu",
        [f"arrays.0.rows={side}", f"arrays.0.columns={side + 2}", f"arrays.0.count={count}",
         f"vector.lanes={lanes}"],
    )  # fmt: skip
    if attention:
        sizes = {"seq_q": size, "seq_kv": size + 3, "heads": 6, "kv_heads": 3, "head_dim": 32}
        graph = single_graph("attention_prefill", "bf16", sizes)
    else:
        sizes = {"C": 32, "H": size, "W": size, "K": 32, "R": 3, "S": 3, "padding": 1}
        graph = single_graph("conv2d", "int8", {**sizes, "groups": groups})
    for fidelity in FIDELITIES:
        run = Simulator(arch, fidelity).run(graph, "x")
        (row,) = run.layers
        assert 0 < row.utilization <= 1
        assert row.compute_cycles + sum(row.stalls.values()) == row.cycles


def test_tiles_of_a_convolution_do_not_straddle_images() -> None:
    arch = load_arch("edge_npu")
    sizes = {"batch": 8, "C": 64, "H": 7, "W": 7, "K": 64, "R": 3, "S": 3, "padding": 1}
    graph = single_graph("conv2d", "int8", sizes)
    workload = lower(graph, fuse(graph)[0], arch.conversions)
    assert isinstance(workload, GemmWorkload)
    (machine,) = machines(arch, "int8", "int8", False)
    rows = tile_sizes(workload, machine)[at.M]
    assert rows[1 : 1 + rows[0]].tolist() == [7, 14, 28, 49, 98, 196, 392]
