"""What a run gets wrong: causes that add up, modes beside each other, and refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import api
from accelsim.errors import InputError
from accelsim.evaluate.error import Deviation, kl_divergence, sqnr_db
from accelsim.evaluate.layers import stderr_db
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from accelsim.sim.bindings import sums
from accelsim.sim.numerics import Mode
from accelsim.sim.result import LayerError, SimResult
from accelsim_kernels import integer
from tests.support import Cli
from tests.tiny import values

REQUEST = GraphRequest(seq_len=48)
SHORT = ("--seq-len", "48", "--problems", "8")


def run(recipe: str, mode: Mode = "exact", **options: Any) -> SimResult:
    given = {"request": REQUEST, "problems": 24, **options}
    return api.simulate("edge_npu", "tiny", recipe, numerics=mode, **given)


@pytest.fixture(scope="module")
def int8() -> SimResult:
    return run("w8a8_int8")


def errors(result: SimResult) -> dict[str, LayerError]:
    return {row.name: row.error for row in result.layers if row.error is not None}


def test_every_row_says_what_it_gets_wrong(int8: SimResult) -> None:
    found = errors(int8)
    assert len(found) == len(int8.layers)
    for name, error in found.items():
        if name.endswith("_proj.linear"):
            assert error.sqnr_quantization_db is not None
            assert 25 < error.sqnr_quantization_db < 60, name
            # Integer sums are exact: what is left is a last bit of the rescaling, if anything.
            assert error.sqnr_arithmetic_db is None or error.sqnr_arithmetic_db > 80, name
            assert error.sqnr_propagated_db is not None
    attention = found["model.layers.0.self_attn.attention"]
    assert attention.sqnr_arithmetic_db is not None
    assert 40 < attention.sqnr_arithmetic_db < 80  # its probabilities are bf16
    embedding = found["model.embed_tokens.embedding"]
    assert (embedding.sqnr_propagated_db, embedding.max_abs_error) == (None, 0.0)


def test_the_run_carries_its_totals_and_details(int8: SimResult) -> None:
    data = json.loads(json.dumps(int8.to_dict(), allow_nan=False))
    totals, details = data["totals"], data["numerics"]
    assert totals["numerics_mode"] == details["mode"] == "exact"
    assert 20 < totals["sqnr_db"] < 60
    assert 0.7 < totals["top1_agreement"] <= 1
    assert totals["exact_match_n"] == details["task"]["n"] == 24
    low, high = totals["exact_match_interval"]
    assert low <= totals["exact_match"] <= high
    assert sum(level["n"] for level in details["task"]["levels"]) == 24
    assert details["tokens"] == 48
    assert details["gap"] is None
    assert "int8xint8:int32_exact" in details["signature"]
    last = data["layers"][-1]
    assert last["name"] == "lm_head.linear"
    assert last["sqnr_propagated_db"] == totals["sqnr_db"]


def test_coarser_formats_are_further_off(int8: SimResult) -> None:
    found = [int8, *(run(recipe) for recipe in ("w4a8_int4_g32", "w4a4_int4_g32", "w8a8_2to4"))]
    ratios = [result.totals["sqnr_db"] for result in (run("bf16"), *found)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] - ratios[-1] > 25


def test_values_change_no_cycle(int8: SimResult) -> None:
    plain = api.simulate("edge_npu", "tiny", "w8a8_int8", request=REQUEST)
    assert plain.totals["cycles"] == int8.totals["cycles"]
    assert plain.id != int8.id
    assert "numerics" not in plain.to_dict()
    assert "sqnr_propagated_db" not in plain.to_dict()["layers"][0]


def test_the_same_run_has_the_same_bytes(int8: SimResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_THREADS", "3")
    assert run("w8a8_int8").to_dict() == int8.to_dict()


def test_the_graph_of_a_decode_step_has_values_too() -> None:
    result = run("w8a8_int8", request=GraphRequest("decode", 3, context_len=20))
    assert result.numerics is not None
    assert result.numerics["tokens"] == 3
    assert 20 < result.totals["sqnr_db"] < 60
    assert len(errors(result)) == len(result.layers)


def test_fast_values_say_how_far_they_are_from_exact_ones(int8: SimResult) -> None:
    fast = run("w8a8_int8", "fast")
    assert fast.numerics is not None
    gap = fast.numerics["gap"]
    assert gap["problems"] == 32
    assert gap["sqnr_db"] > 30
    assert abs(gap["exact_match_fast"] - gap["exact_match_exact"]) < 0.2
    assert abs(fast.totals["sqnr_db"] - int8.totals["sqnr_db"]) < 6


def test_a_sample_has_error_bars(int8: SimResult) -> None:
    sampled = run("w8a8_int8", "sampled", problems=240)
    assert sampled.totals["exact_match_n"] == 60
    assert sampled.numerics is not None
    assert sampled.numerics["gap"] is not None
    whole, part = errors(int8), errors(sampled)
    products = [name for name in whole if name.endswith("_proj.linear")]
    for name in products:
        exact, guess, bar = (
            whole[name].sqnr_quantization_db, part[name].sqnr_quantization_db, part[name].stderr_db,
        )  # fmt: skip
        assert exact is not None and guess is not None and bar is not None
        assert abs(exact - guess) < 1.0 + 4 * bar, name
    assert sampled.to_dict()["layers"][-1]["sqnr_quantization_db"] is not None


def test_a_wrong_bit_is_an_error_of_arithmetic(
    int8: SimResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = integer.matmul_int8

    def wrong(*operands: Any) -> Any:
        found = right(*operands)
        found[::2] ^= 1 << 8
        return found

    monkeypatch.setattr(sums, "matmul_int8", wrong)
    found, before = errors(run("w8a8_int8")), errors(int8)
    name = "model.layers.1.mlp.up_proj.linear"
    ratio = found[name].sqnr_arithmetic_db
    assert ratio is not None and ratio < 60
    good = before[name].sqnr_quantization_db
    assert good == pytest.approx(found[name].sqnr_quantization_db, abs=3)


def test_ratios_and_divergences() -> None:
    assert sqnr_db(np.array([10.0]), np.array([1.0])) == pytest.approx(20.0)
    assert sqnr_db(np.array([1.0]), np.zeros(1)) is None
    assert sqnr_db(np.zeros(1), np.ones(1)) is None
    p, q = np.log(np.array([[0.5, 0.5]])), np.log(np.array([[0.9, 0.1]]))
    assert kl_divergence(p, q)[0] == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(5.0))
    assert kl_divergence(p, p)[0] == 0.0
    same = Deviation.of(p[None], p[None])
    assert same == Deviation(None, 0.0, 1.0, 0.0)
    assert stderr_db(np.ones((4, 2)), np.ones((4, 2))) == 0.0
    assert stderr_db(np.ones((1, 2)), np.ones((1, 2))) is None


def test_models_without_values_are_refused(cli: Cli) -> None:
    for model, reason in (
        ("llama-3-8b", "no weights, so no values: give tiny"),
        ("bert-base", "values are computed for language models"),
    ):
        outcome = cli("simulate", "edge_npu", model, "--numerics", "exact", "--seq-len", "16")
        assert outcome.code == 2
        assert reason in outcome.err
    with pytest.raises(InputError, match="a graph has no weights"):
        api.simulate("edge_npu", load("tiny").graph(REQUEST), "bf16", numerics="exact")


def test_wrong_options_are_refused(cli: Cli) -> None:
    outcome = cli("simulate", "edge_npu", "tiny", "--numerics", "exakt")
    assert outcome.code == 2
    assert "did you mean 'exact'" in outcome.err
    assert cli("simulate", "edge_npu", "tiny", "--problems", "0").code == 2
    with pytest.raises(InputError, match="problems is 0"):
        run("bf16", problems=0)
    outcome = cli("simulate", "tpu_v4", "tiny", "--recipe", "fp8_e4m3", "--numerics", "exact")
    assert outcome.code == 2
    assert "fp8_e4m3" in outcome.err and "int8" in outcome.err


def test_compare_lists_scores_and_refusals(cli: Cli) -> None:
    outcome = cli(
        "compare", "edge_npu", "tpu_v4", "--model", "tiny", "--recipe", "w8a8_int8", "--recipe",
        "w4a4_int4_g32", "--numerics", "exact", *SHORT,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "exact match (95 % interval)" in outcome.out
    assert "tpu_v4 in w4a4_int4_g32: " in outcome.out
    assert outcome.out.count(" dB") == 9


def rewritten(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    path = folder / "model.safetensors"
    tensors = safetensors.load_file(path)
    edit(tensors)
    safetensors.save_file(tensors, path)
    assert torch is not None


def _nan(tensors: dict[str, Any]) -> None:
    tensors["model.layers.2.mlp.up_proj.weight"][3, 4] = float("nan")


def _infinite(tensors: dict[str, Any]) -> None:
    tensors["model.norm.weight"][0] = float("inf")


def _missing(tensors: dict[str, Any]) -> None:
    del tensors["model.layers.1.self_attn.q_proj.weight"]


def _extra(tensors: dict[str, Any]) -> None:
    tensors["model.layers.9.mlp.up_proj.weight"] = tensors["model.norm.weight"].clone()


def _shape(tensors: dict[str, Any]) -> None:
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:, :64].clone()


def _eights(tensors: dict[str, Any]) -> None:
    name = "model.layers.0.mlp.gate_proj.weight"
    tensors[name] = tensors[name].to(dtype=__import__("torch").int8)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_nan, r"'model.layers.2.mlp.up_proj.weight' holds 1 values that are NaN or infinite"),
        (_infinite, r"'model.norm.weight' holds 1 values that are NaN or infinite"),
        (_missing, r"1 missing: model.layers.1.self_attn.q_proj.weight"),
        (_extra, r"1 not of the model: model.layers.9.mlp.up_proj.weight"),
        (_shape, r"lm_head.weight \[384, 64\] instead of \[384, 128\]"),
        (_eights, r"is stored as I8; values are read from BF16, F16, F32"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(
    edit: Callable[[dict[str, Any]], None], message: str, tmp_path: Path, cli: Cli
) -> None:
    folder = Path(shutil.copytree(values().folder, tmp_path / "mine"))
    rewritten(folder, edit)
    target = tmp_path / "out"
    outcome = cli(
        "simulate", "edge_npu", str(folder), "--numerics", "exact", *SHORT, "-o", str(target)
    )
    assert outcome.code == 2
    assert message.replace("\\", "") in outcome.err.replace("\n", "")
    assert "Traceback" not in outcome.err
    assert not target.exists()


def test_a_hugging_face_folder_has_the_values_of_the_shipped_model(
    int8: SimResult, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    folder = shutil.copytree(values().folder, tmp_path / "mine")
    found = api.simulate(
        "edge_npu", str(folder), "w8a8_int8", request=REQUEST, numerics="exact", problems=4
    )
    assert [row.error for row in found.layers] == [row.error for row in int8.layers]
    assert found.numerics is not None
    assert found.numerics["task"] is None  # nobody knows that it was trained on the problems


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = Path(shutil.copytree(values().folder, tmp_path / "mine"))
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="not a tokenizer"):
        api.simulate("edge_npu", str(folder), "bf16", request=REQUEST, numerics="exact")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        api.simulate("edge_npu", str(folder), "bf16", request=REQUEST, numerics="exact")
