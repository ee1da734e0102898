from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.report import rows
from accelsim.sim.result import BOUNDS, STALLS
from tests.report.valued import valued

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]

HEADER = (
    "name,op,shape,activation,weight,output,repeats,macs,executed_macs,cycles,compute_cycles,"
    "stall_dram_cycles,stall_sram_cycles,stall_vector_cycles,stall_fill_drain_cycles,"
    "stall_overhead_cycles,bound_by,dram_bytes,sram_bytes,energy_low_pj,energy_typical_pj,"
    "energy_high_pj,utilization"
)
SUMS = (
    "macs", "executed_macs", "cycles", "compute_cycles", "stall_dram_cycles", "dram_bytes",
    "sram_bytes",
)  # fmt: skip

layers_like = st.lists(
    st.tuples(st.integers(0, 3), st.integers(2_000, 2_002), st.sampled_from(["int8", "bf16"])),
    min_size=1,
    max_size=12,
)


def test_csv_has_exactly_these_columns(small_run: Run) -> None:
    lines = rows.layers_csv(small_run).splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 1 + len(small_run["layers"])


def test_a_csv_line_is_the_layer_in_full_precision(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("fc", energy_typical_pj=1 / 3, dram_bytes=12)])
    energy = f"{1 / 3 * 0.6!r},{1 / 3!r},{1 / 3 * 1.7!r}"
    assert rows.layers_csv(run).splitlines()[1] == (
        "fc,matmul,batch=1 m=128 n=256 k=512,int8,int8,bf16,1,8000000,8000000,3000,1953,877,0,40,"
        f"30,100,compute,12,120,{energy},{8_000_000 / 4096 / 3000!r}"
    )


def test_names_with_commas_and_quotes_come_back(make_run: Make, make_layer: Make) -> None:
    name = 'a "b", c\nd'
    text = rows.layers_csv(make_run([make_layer(name)]))
    assert next(csv.DictReader(io.StringIO(text)))["name"] == name


def test_numeric_columns_follow_when_there_are_some(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("a", sqnr_arithmetic_db=None, max_abs_error=0.5), make_layer("b")])
    first, second = rows.layer_rows(run)
    assert tuple(first) == (*rows.LAYER_COLUMNS, *rows.NUMERIC_COLUMNS)
    assert (first["max_abs_error"], second["max_abs_error"]) == (0.5, None)
    assert rows.layers_csv(run).splitlines()[2].endswith(",,,,")


def test_a_sample_adds_its_standard_error(small_run: Run) -> None:
    run = valued(small_run, "sampled")
    lines = rows.layers_csv(run).splitlines()
    assert lines[0] == ",".join((HEADER, *rows.NUMERIC_COLUMNS, rows.SAMPLE_COLUMN))
    assert lines[2].endswith(",31.07,98.98,34.94,3.2,0.25")
    assert lines[4].endswith(",,,,0.0,")


def test_errors_of_a_group_are_those_of_its_worst_layer(make_run: Make, make_layer: Make) -> None:
    errors = [(40.0, 1.0, 0.5), (30.0, 2.0, 0.1), (None, None, None)]
    names = ("sqnr_quantization_db", "max_abs_error", "sqnr_stderr_db")
    run = make_run(
        [
            make_layer(f"l.{i}.fc", **dict(zip(names, error, strict=True)))
            for i, error in enumerate(errors)
        ]
    )
    (row,) = rows.grouped_rows(run)
    assert tuple(row[name] for name in names) == (30.0, 2.0, 0.1)
    assert row["sqnr_arithmetic_db"] is None
    (bare,) = rows.grouped_rows(make_run([make_layer("fc")]))
    assert not set(bare) & {*rows.NUMERIC_COLUMNS, rows.SAMPLE_COLUMN}


def test_a_run_without_layers_has_a_header(make_run: Make) -> None:
    assert rows.csv_text([], rows.LAYER_COLUMNS) == HEADER + "\n"
    assert rows.csv_text([]) == "\n"


@given(layers_like)
def test_groups_add_up_to_the_run(
    make_run: Make, make_layer: Make, shapes: list[tuple[int, int, str]]
) -> None:
    run = make_run(
        [
            make_layer(
                f"l.{i}.fc",
                100_000 * kind,
                cycles,
                formats={"activation": form, "weight": form, "output": "bf16"},
            )
            for i, (kind, cycles, form) in enumerate(shapes)
        ]
    )
    single, grouped = rows.layer_rows(run), rows.grouped_rows(run)
    for name in SUMS:
        assert sum(g[name] for g in grouped) == sum(r[name] for r in single)
    energy = "energy_typical_pj"
    assert math.isclose(sum(g[energy] for g in grouped), sum(r[energy] for r in single))
    assert math.isclose(sum(g["share"] for g in grouped), 1.0)
    assert sum(g["count"] for g in grouped) == len(shapes)
    cycles = [g["cycles"] for g in grouped]
    assert cycles == sorted(cycles, reverse=True)
    folded = rows.fold_layers(run)
    assert sorted(i for group in folded for i in group) == list(range(len(shapes)))
    for row, group in zip(grouped, folded, strict=True):
        assert row["count"] == len(group)
        assert {single[i]["shape"] for i in group} == {row["shape"]}
        assert {single[i]["activation"] for i in group} == {row["activation"]}


def test_equal_layers_are_one_row(small_run: Run) -> None:
    grouped = rows.grouped_rows(small_run)
    assert [(g["name"], g["count"]) for g in grouped] == [
        ("model.layers.*.mlp.up_proj.linear", 2),
        ("model.layers.*.self_attn.q_proj.linear", 2),
        ("model.layers.*.norm", 2),
    ]
    assert grouped[0]["cycles"] == 10_000
    assert grouped[0]["utilization"] == pytest.approx(16e6 / 4096 / 5000)


def test_cumulative_rounding_does_not_split_a_group(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer(f"l.{i}.fc", 0, 1000 + i % 2) for i in range(6)])
    assert [g["count"] for g in rows.grouped_rows(run)] == [6]
    run = make_run([make_layer("a", 0, 1000), make_layer("b", 0, 1002)])
    assert [g["count"] for g in rows.grouped_rows(run)] == [1, 1]


def test_the_summary_says_what_limits(small_run: Run) -> None:
    found = rows.summary(small_run)
    assert found.headline == (
        "Limited by compute: 68.9 % of peak compute, 16.1 % of peak DRAM bandwidth "
        "(20.1 % of sustained); "
        "21.5 % of the time is spent waiting for DRAM."
    )
    assert found.hint == rows.HINTS["compute"]
    assert (found.top_stall, found.cycles) == ("dram", 17_000)
    assert found.bound_shares == pytest.approx({"compute": 16 / 17, "vector": 1 / 17})
    assert list(found.bound_shares) == ["compute", "vector"]
    assert found.energy_per_token_j is not None
    assert found.energy_per_token_j.typical == pytest.approx(8.5e-6 / 128)


def test_a_summary_without_what_is_optional(make_run: Make, make_layer: Make) -> None:
    idle = dict.fromkeys(STALLS, 0)
    run = make_run([make_layer("fc", 0, 100, compute_cycles=100, stalls=idle)])
    for name in ("tokens_per_second", "energy_per_token_j", "area_by_part"):
        del run["totals"][name]
    run["chip"] = {"clock_hz": 1e9}
    found = rows.summary(run)
    assert found.headline == "Limited by compute: 0 % of peak compute."
    assert (found.top_stall, found.top_stall_share) == ("", 0.0)
    assert (found.dram_share, found.tokens_per_second, found.energy_per_token_j) == (None,) * 3


def test_every_bound_and_every_stall_has_its_words() -> None:
    assert set(rows.HINTS) == set(rows.BOUND_WORDS) == set(BOUNDS)
    assert set(rows.STALL_WORDS) == set(STALLS)
