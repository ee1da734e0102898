"""Whole models on shipped chips: sums, bounds, keys, and the promises of docs/model.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import api
from accelsim.api import Phase
from accelsim.errors import InputError, MappingError, RecipeError
from accelsim.graph.ir import Attr, Graph, Op, Tensor
from accelsim.graph.ops import verify
from accelsim.graph.request import GraphRequest
from accelsim.graph.single import single_graph
from accelsim.graph.zoo import load
from accelsim.mapping.fuse import fuse
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe
from accelsim.sim.outcome import Fidelity
from accelsim.sim.result import BOUNDS, STALLS, SimResult
from accelsim.spec.load import load_arch

#: Fidelities that run whole models.
WHOLE: tuple[Fidelity, ...] = ("analytical", "tile")
CHIPS = ("edge_npu", "cloud_npu", "tpu_v4")
CASES = [
    ("edge_npu", "llama-3-8b", "w8a8_int8", "prefill"),
    ("edge_npu", "llama-3-8b", "w4a8_int4_g32", "decode"),
    ("edge_npu", "resnet-50", "w8a8_int8", "prefill"),
    ("cloud_npu", "llama-3-8b", "w8a8_2to4", "prefill"),
    ("cloud_npu", "bert-base", "fp8_e4m3", "prefill"),
    ("tpu_v4", "vit-b-16", "bf16", "prefill"),
]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def run(request: pytest.FixtureRequest) -> SimResult:
    arch, model, recipe, phase = request.param
    asked = GraphRequest(phase=phase, seq_len=128, context_len=128)
    return api.simulate(arch, model, recipe, request=asked)


def test_rows_sum_to_the_totals(run: SimResult) -> None:
    totals = run.totals
    for key in ("cycles", "macs", "executed_macs", "dram_bytes"):
        assert totals[key] == sum(getattr(row, key) for row in run.layers)
    for end in ("low", "typical", "high"):
        summed = sum(getattr(row.energy_pj, end) for row in run.layers)
        assert totals["energy_pj"][end] == pytest.approx(summed, rel=1e-12)
        parts = sum(part[end] for part in totals["energy_by_part"].values())
        assert totals["energy_pj"][end] == pytest.approx(parts, rel=1e-12)
        areas = sum(part[end] for part in totals["area_by_part"].values())
        assert totals["area_mm2"][end] == pytest.approx(areas, rel=1e-12)
    assert sum(totals["cycles_by_bound"].values()) == totals["cycles"]
    assert totals["cycles"] == pytest.approx(
        totals["seconds"] * run.chip["clock_hz"], abs=1, rel=1e-12
    )


def test_every_row_is_consistent(run: SimResult) -> None:
    for row in run.layers:
        assert row.compute_cycles + sum(row.stalls.values()) == row.cycles, row.name
        assert set(row.stalls) == set(STALLS)
        assert min(row.stalls.values()) >= 0
        assert row.bound_by in BOUNDS
        assert 0 <= row.utilization <= 1
        assert row.executed_macs <= row.macs
        assert row.energy_pj.low <= row.energy_pj.typical <= row.energy_pj.high
        assert row.repeats >= 1
    assert 0 < run.totals["utilization"] <= 1
    area = run.totals["area_mm2"]
    assert 0 < area["low"] <= area["typical"] <= area["high"]


def test_no_row_beats_its_roofline(run: SimResult) -> None:
    arch = load_arch(run.arch)
    for row in run.layers:
        seconds = row.duration_ps * 1e-12
        assert seconds >= row.dram_bytes / arch.dram.bandwidth_bytes_per_s
        if row.executed_macs:
            assert seconds >= row.executed_macs / row.peak_macs_per_s


def test_the_graph_moves_at_least_its_compulsory_bytes(run: SimResult) -> None:
    asked = GraphRequest(
        phase="decode" if run.phase == "decode" else "prefill",
        batch=run.sizes["batch"],
        seq_len=128,
        context_len=128,
    )
    graph = annotate(load(run.model).graph(asked), load_recipe(run.recipe))
    assert run.totals["dram_bytes"] >= compulsory_bytes(graph)


def compulsory_bytes(graph: Graph) -> int:
    """Bytes that must cross the DRAM interface once if nothing else is kept on chip."""
    read: dict[str, int] = {}
    for group in fuse(graph):
        for name, bits in group.reads.items():
            if graph.tensors[name].role in ("weight", "input"):
                read[name] = bits
    return sum(read.values()) // 8


def test_json_has_its_keys_and_its_bytes(run: SimResult) -> None:
    found = run.to_dict()
    assert found["schema_version"] == 1
    keys = {"id", "arch", "model", "recipe", "fidelity", "phase", "validation", "totals", "layers"}
    assert keys <= set(found)
    assert {"cycles", "seconds", "macs", "executed_macs", "energy_pj", "area_mm2", "power_w",
            "dram_bytes", "utilization", "bound_by"} <= set(found["totals"])  # fmt: skip
    layer_keys = {"name", "op", "shape", "formats", "repeats", "macs", "executed_macs", "cycles",
                  "compute_cycles", "stalls", "bound_by", "dram_bytes", "sram_bytes", "energy_pj",
                  "utilization"}  # fmt: skip
    for layer in found["layers"]:
        assert layer_keys <= set(layer)
    text = json.dumps(found, allow_nan=False)
    phase: Phase = "decode" if run.phase == "decode" else "prefill"
    asked = GraphRequest(phase=phase, seq_len=128, context_len=128)
    again = api.simulate(run.arch, run.model, run.recipe, request=asked)
    assert json.dumps(again.to_dict(), allow_nan=False) == text


def test_language_models_have_tokens(run: SimResult) -> None:
    tokens = "tokens_per_second" in run.totals
    assert tokens == (run.model == "llama-3-8b")
    if tokens:
        per_run = run.sizes["batch"] * (128 if run.phase == "prefill" else 1)
        assert run.totals["tokens_per_second"] == pytest.approx(per_run / run.totals["seconds"])


def test_macs_of_llama_3_8b_by_hand() -> None:
    """2048 tokens, 32 layers, 4096 wide, 32 and 8 heads of 128, 14336 hidden, 128256 words."""
    tokens, width, hidden, head, words = 2048, 4096, 14336, 128, 128256
    projections = tokens * width * (2 * width + 2 * 8 * head)
    mlp = 3 * tokens * width * hidden
    scores = 32 * tokens * tokens * (head + head)
    expected = 32 * (projections + mlp + scores) + width * words
    run = api.simulate("cloud_npu", "llama-3-8b", request=GraphRequest(seq_len=tokens))
    assert run.totals["macs"] == expected
    causal = 32 * 32 * (tokens * (tokens + 1) // 2) * (head + head)
    assert run.totals["executed_macs"] == expected - 32 * scores + causal


def test_decode_macs_by_hand() -> None:
    context, width, hidden, head, words = 1000, 4096, 14336, 128, 128256
    per_layer = width * (2 * width + 2 * 8 * head) + 3 * width * hidden
    per_layer += 32 * (context + 1) * 2 * head
    asked = GraphRequest(phase="decode", context_len=context, batch=3)
    run = api.simulate("cloud_npu", "llama-3-8b", request=asked)
    assert run.totals["macs"] == 3 * (32 * per_layer + width * words)


def test_two_of_four_halves_the_executed_macs_of_its_layers() -> None:
    dense = api.simulate("cloud_npu", "bert-base", "w8a8_int8")
    sparse = api.simulate("cloud_npu", "bert-base", "w8a8_2to4")
    for a, b in zip(dense.layers, sparse.layers, strict=True):
        if a.formats.get("weight") == "int8":
            assert b.executed_macs * 2 == a.executed_macs
    # Metadata and the unpruned rest keep the gain well below twice.
    assert 1 < dense.totals["cycles"] / sparse.totals["cycles"] < 2


def test_compression_shows_in_bytes_and_time() -> None:
    asked = GraphRequest(phase="decode", context_len=256)
    runs = [
        api.simulate("edge_npu", "llama-3-8b", recipe, request=asked)
        for recipe in ("bf16", "w8a8_int8", "w4a8_int4_g32")
    ]
    bytes_moved = [run.totals["dram_bytes"] for run in runs]
    assert bytes_moved == sorted(bytes_moved, reverse=True)
    assert runs[0].totals["seconds"] > 1.5 * runs[1].totals["seconds"]
    # Half the bytes, but a rescale per group of 32 on the array.
    assert runs[1].totals["seconds"] > 1.2 * runs[2].totals["seconds"]


def test_a_format_that_is_not_built_is_refused() -> None:
    with pytest.raises(RecipeError, match="tpu_v4 does not build int8 x int4; it has bf16 x bf16"):
        api.simulate("tpu_v4", "bert-base", "w4a8_int4_g32")


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MappingError, match=r"do not fit the DRAM of edge_npu: .* over"):
        api.simulate("edge_npu", "llama-3-8b", overrides=["dram.size_bytes=8 GiB"], recipe="bf16")


def test_a_cache_counts_once() -> None:
    """Weights 16.06 GB and, per sequence of 1001 tokens, 1001 x 131,072 bytes of cache."""
    weights, cache = 2 * 8_030_261_248, 1001 * 131_072
    room = [f"dram.size_bytes={weights + cache + 10**6}"]
    asked = GraphRequest(phase="decode", context_len=1000)
    api.simulate("edge_npu", "llama-3-8b", "bf16", request=asked, overrides=room)
    with pytest.raises(MappingError, match=rf"cache \({cache:,} bytes\)"):
        api.simulate(
            "edge_npu", "llama-3-8b", "bf16", request=asked,
            overrides=[f"dram.size_bytes={weights + cache // 2}"],
        )  # fmt: skip


def test_unknown_names_are_named() -> None:
    with pytest.raises(InputError, match=r"unknown recipe 'w8a8_int'.*did you mean 'w8a8_int8'"):
        api.simulate("edge_npu", "bert-base", "w8a8_int")
    with pytest.raises(InputError, match="unknown fidelity"):
        api.simulate("edge_npu", "bert-base", fidelity="tiles")  # type: ignore[arg-type]


@settings(max_examples=15)
@given(
    st.sampled_from([(chip, recipe) for chip in CHIPS for recipe in ("bf16", "w8a8_int8")]),
    st.sampled_from(["bert-base", "vit-b-16", "resnet-50"]),
    st.integers(1, 3),
    st.integers(1, 200),
    st.sampled_from(WHOLE),
)
def test_every_run_respects_its_bounds(
    where: tuple[str, str], model: str, batch: int, seq_len: int, fidelity: Fidelity
) -> None:
    (chip, recipe), asked = where, GraphRequest(batch=batch, seq_len=seq_len)
    run = api.simulate(chip, model, recipe, request=asked, fidelity=fidelity)
    test_every_row_is_consistent(run)
    test_no_row_beats_its_roofline(run)
    graph = annotate(load(model).graph(asked), load_recipe(recipe))
    assert run.totals["dram_bytes"] >= compulsory_bytes(graph)


@settings(max_examples=12)
@given(st.sampled_from(CHIPS), st.integers(1, 4), st.integers(1, 300), st.sampled_from(["bf16"]))
def test_fidelities_agree_on_work_and_closely_on_time(
    chip: str, batch: int, seq_len: int, recipe: str
) -> None:
    asked = GraphRequest(batch=batch, seq_len=seq_len)
    tile, closed = (
        api.simulate(chip, "bert-base", recipe, request=asked, fidelity=fidelity)
        for fidelity in WHOLE[::-1]
    )
    for a, b in zip(tile.layers, closed.layers, strict=True):
        assert a.macs == b.macs
        if a.mapping["regret"] == 0:
            assert (a.compute_cycles, a.dram_bytes) == (b.compute_cycles, b.dram_bytes)
    assert closed.totals["seconds"] == pytest.approx(tile.totals["seconds"], rel=0.15)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    code = (
        "from accelsim import api; from accelsim.graph.request import GraphRequest;"
        "print(api.simulate('cloud_npu', 'bert-base', 'fp8_e4m3',"
        " request=GraphRequest(seq_len=64)).totals)"
    )
    texts = set()
    for threads in ("1", "2"):
        path = os.pathsep.join(sys.path)
        env = {**os.environ, "NUMBA_NUM_THREADS": threads, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
        )
        texts.add(done.stdout)
    assert len(texts) == 1


def test_recipes_of_one_name_have_ids_of_their_own(tmp_path: Path) -> None:
    ids = set()
    for more in ("", ", group: 32", ", sparsity: '2:4'"):
        path = tmp_path / "mine.yaml"
        path.write_text(
            "schema_version: 1\nname: mine\nrules:\n"
            f"- {{weight: {{format: int8{more}}}, activation: {{format: int8}}}}\n",
            encoding="utf-8",
        )
        ids.add(api.simulate("edge_npu", "bert-base", str(path)).id)
    assert len(ids) == 3


def test_a_graph_can_be_simulated_and_nothing_else_passes_for_a_model() -> None:
    graph = single_graph("gemm", "bf16", {"M": 64, "N": 64, "K": 64})
    assert api.simulate("edge_npu", graph).totals["macs"] == 64**3
    for arch, model, recipe in ((5, "bert-base", "bf16"), ("edge_npu", 7, "bf16"),
                                ("edge_npu", "bert-base", 7)):  # fmt: skip
        with pytest.raises(InputError, match="not int"):
            api.simulate(arch, model, recipe)  # type: ignore[arg-type]


def test_activations_count_towards_the_memory() -> None:
    graph = single_graph("gelu", "bf16", {"M": 4096, "N": 4096})
    with pytest.raises(MappingError, match=r"activations \(33,554,432 bytes\)"):
        api.simulate("edge_npu", graph, overrides=["dram.size_bytes=40 MiB"])


def test_experts_share_rows_and_the_fullest_decides() -> None:
    """31 or 32 rows over 8 experts: four rows each at most, in any case all 8 weights."""
    cycles = []
    for rows in (31, 32):
        tensors = [
            Tensor("x", (rows, 64), "input"),
            Tensor("w", (8, 64, 64), "weight"),
            Tensor("y", (rows, 64)),
        ]
        attrs: dict[str, Attr] = {"experts": 8, "top_k": 2}
        op = Op("experts", "grouped_matmul", ("x", "w"), ("y",), attrs)
        graph = verify(Graph("experts", {t.name: t for t in tensors}, (op,), ("y",)))
        (row,) = api.simulate("edge_npu", graph).layers
        assert row.macs == rows * 64 * 64
        cycles.append(row.compute_cycles)
    assert cycles[0] == cycles[1]
