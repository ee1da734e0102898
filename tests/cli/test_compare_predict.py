"""``accelsim compare`` and ``accelsim predict`` as a user sees them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from accelsim.sim.predict import RESULT_COLUMNS
from tests.support import Cli


def test_compare_lists_runs_and_says_what_was_refused(cli: Cli) -> None:
    recipes = ("--recipe", "bf16", "--recipe", "w4a8_int4_g32")
    small = ("--model", "bert-base", "--seq-len", "16")
    found = cli("compare", "edge_npu", "tpu_v4", *small, *recipes)
    assert found.code == 0, found.err
    assert "tpu_v4 in w4a8_int4_g32: tpu_v4 does not build int8 x int4" in found.out
    as_json = json.loads(cli("compare", "edge_npu", "tpu_v4", *small, *recipes, "--json").out)
    pairs = [(row["arch"], row["recipe"]) for row in as_json["rows"]]
    assert pairs == [("edge_npu", "bf16"), ("edge_npu", "w4a8_int4_g32"), ("tpu_v4", "bf16")]
    assert [row["arch"] for row in as_json["refused"]] == ["tpu_v4"]


def test_compare_of_nothing_that_runs_is_an_error(cli: Cli) -> None:
    found = cli("compare", "tpu_v4", "--model", "bert-base", "--recipe", "w4a4_int4_g32")
    assert found.code == 2
    assert "tpu_v4 does not build int4 x int4" in found.err


def test_predict_prints_the_plan(cli: Cli) -> None:
    found = cli("predict", "edge_npu", "gemm", "512", "512", "512")
    assert found.code == 0, found.err
    assert "cycles" in found.out
    assert "matrix 64x64" in found.out
    as_json = json.loads(cli("predict", "edge_npu", "gemm", "512", "512", "512", "--json").out)
    assert as_json["dtype"] == "int8"
    assert as_json["cycles"] >= 512**3 // 64**2
    assert set(RESULT_COLUMNS) <= set(as_json)


OPS = """op,dtype,M,N,K,batch,seq_q,seq_kv,heads,kv_heads,head_dim,causal,C,H,W,R,S,stride,padding,\
groups,mine
gemm,int8,128,256,512,,,,,,,,,,,,,,,,a
gemm,bf16,128,256,512,4,,,,,,,,,,,,,,,b
attention_prefill,bf16,,,,2,64,64,8,2,64,,,,,,,,,,c
attention_decode,bf16,,,,2,1,500,8,2,64,,,,,,,,,,d
conv2d,int8,,,64,1,,,,,,,3,32,32,3,3,2,1,1,e
softmax,bf16,64,512,,,,,,,,,,,,,,,,,f
layernorm,bf16,64,512,,,,,,,,,,,,,,,,,g
gelu,bf16,64,512,,,,,,,,,,,,,,,,,h
silu,bf16,64,512,,,,,,,,,,,,,,,,,i
"""


def test_every_op_of_the_table_is_predicted_and_other_columns_pass(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "ops.csv").write_text(OPS, encoding="utf-8")
    out = tmp_path / "out.csv"
    found = cli("predict", "edge_npu", "--csv", str(tmp_path / "ops.csv"), "-o", str(out))
    assert found.code == 0, found.err
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["mine"] for row in rows] == list("abcdefghi")
    assert list(rows[0])[-len(RESULT_COLUMNS) :] == list(RESULT_COLUMNS)
    for row in rows:
        assert int(row["cycles"]) > 0
        assert float(row["latency_us"]) > 0
        assert float(row["energy_pj"]) > 0
        assert 0 <= float(row["utilization"]) <= 1
    # Without -o the same text is the result.
    assert cli("predict", "edge_npu", "--csv", str(tmp_path / "ops.csv")).out == out.read_text(
        encoding="utf-8"
    )


BAD = """op,dtype,M,N,K
gemm,int8,1,2,3
gem,int8,1,2,3
gemm,int9,1,2,3
gemm,int8,1,,3
gemm,int8,1,x,3
gemm,int8,0,2,3
gemm,fp16,1,2,3
"""


def test_all_bad_rows_are_named_with_their_lines(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ops.csv"
    path.write_text(BAD, encoding="utf-8")
    found = cli("predict", "edge_npu", "--csv", str(path), "-o", str(tmp_path / "out.csv"))
    assert found.code == 2
    # Where kernels had to be compiled first, a note says so before.
    lines = [line for line in found.err.splitlines() if line.startswith(str(tmp_path))]
    expected = [
        "unknown op 'gem'",
        "unknown number format 'int9'",
        "gemm needs N",
        "N is 'x', a whole number is needed",
        "M is 0, at least 1 is needed",
        "edge_npu does not build fp16 x fp16",
    ]
    assert len(lines) == len(expected)
    for number, (line, words) in enumerate(zip(lines, expected, strict=True), start=3):
        assert line.startswith(f"{path}:{number}:1: ")
        assert words in line
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("edge_npu",), "give either an op (gemm M N K) or --csv FILE"),
        (("edge_npu", "gemm", "1", "2"), "gemm needs M N K, three sizes; found 2"),
        (("edge_npu", "conv", "1"), "'conv' is not predicted from the command line"),
        (("edge_npu", "--csv", "none.csv"), "none.csv: cannot be read"),
    ],
)
def test_mistakes_of_predict(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    found = cli("predict", *arguments)
    assert found.code == 2
    assert words in found.err


HEADERS = {
    "op,dtype,M,M,N,K\ngemm,int8,4,5,4,4\n": "column 'M' stands twice",
    "op,dtype,M,N,K,cycles\ngemm,int8,4,5,4,4\n": "column 'cycles' is one that the result adds",
    "op,M,N,K\ngemm,4,5,4\n": "column 'dtype' is missing",
    "op,dtype,M,N,K\ngemm,int8,4,4,4,5,6\n": "2 more cells than the header has columns",
    'op,dtype,M,N,K\ngemm,int8,4,4,"4\n': "unexpected end of data",
    "op,dtype,M,N,K\ngemm\n": "dtype is empty",
    "op,dtype,M,N,K\n": "there is no row to predict",
}  # fmt: skip


@pytest.mark.parametrize("text", HEADERS)
def test_tables_that_cannot_be_meant(cli: Cli, tmp_path: Path, text: str) -> None:
    path = tmp_path / "ops.csv"
    path.write_text(text, encoding="utf-8")
    found = cli("predict", "edge_npu", "--csv", str(path))
    assert found.code == 2
    assert HEADERS[text] in found.err
    assert f"{path}:" in found.err


def test_a_byte_order_mark_is_no_mistake(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ops.csv"
    path.write_text("op,dtype,M,N,K\ngemm,int8,4,4,4\n", encoding="utf-8-sig")
    assert cli("predict", "edge_npu", "--csv", str(path)).code == 0


def test_options_that_do_nothing_are_refused(cli: Cli, tmp_path: Path) -> None:
    gemm = ("predict", "edge_npu", "gemm", "4", "4", "4")
    assert cli(*gemm, "-o", str(tmp_path / "x.csv")).code == 2
    (tmp_path / "ops.csv").write_text("op,dtype,M,N,K\ngemm,int8,4,4,4\n", encoding="utf-8")
    assert cli("predict", "edge_npu", "--csv", str(tmp_path / "ops.csv"), "--json").code == 2


def test_a_small_op_is_clocked(cli: Cli) -> None:
    found = {}
    for fidelity in ("tile", "cycle"):
        outcome = cli(
            "predict", "edge_npu", "gemm", "64", "64", "64", "--fidelity", fidelity, "--json"
        )
        assert outcome.code == 0, outcome.err
        found[fidelity] = json.loads(outcome.out)
    # tile may have chosen another of the plans that are about equally good by closed form.
    assert found["cycle"]["cycles"] == pytest.approx(found["tile"]["cycles"], rel=0.08)


def test_a_large_op_is_too_much_for_the_clock(cli: Cli) -> None:
    outcome = cli("predict", "edge_npu", "gemm", "8192", "8192", "8192", "--fidelity", "cycle")
    assert outcome.code == 2
    assert "too large for --fidelity cycle" in outcome.err
