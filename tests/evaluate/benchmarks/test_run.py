"""Runs as a whole: in the chip's arithmetic, stopped and resumed, compared, and refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accelsim.errors import CheckpointError, InputError, UnknownNameError
from accelsim.evaluate.benchmarks.catalog import Asked
from accelsim.evaluate.benchmarks.result import Evaluation, compare, read
from accelsim.recipe.load import load_recipe
from accelsim.spec.load import load_arch

pytest.importorskip("lm_eval", reason="the extra 'evaluate' (lm-eval) is not installed")
pytest.importorskip("accelerate", reason="the extra 'evaluate' (accelerate) is not installed")
torch = pytest.importorskip("torch")

from accelsim.evaluate.benchmarks import load
from accelsim.evaluate.benchmarks.plan import Chip, Plan, plan
from accelsim.evaluate.benchmarks.run import run
from accelsim.evaluate.live import on_chip
from accelsim.sim.numerics import numerics_of

pytestmark = pytest.mark.filterwarnings("ignore")

Tell = Callable[[str, int, int], None]


def quiet(what: str, done: int, total: int) -> None:
    pass


def chip(mode: Any, recipe: str = "w8a8_int8") -> Chip:
    return Chip(load_arch("edge_npu"), load_recipe(recipe), mode)


def planned(model: str, data: Path, *tasks: str, on: Chip | None = None, **settings: Any) -> Plan:
    return plan(model, Asked(tasks, **{"max_gen_toks": 4, **settings}), data, on, "auto", True)


def values(found: Evaluation, task: str) -> dict[str, float]:
    return {
        one["metric"]: one["value"]
        for part in found.tasks
        if part["task"] == task
        for one in part["scores"]
    }


def test_exact_scores_come_from_the_kernels(data: Path) -> None:
    found = run(planned("tiny", data, "mmlu", on=chip("exact"), limit=1), None, quiet)
    module, tokenizer = load.load(load.find("tiny"), "bfloat16")
    line = found.items[0]
    assert line["arithmetic"] == "exact"
    row = json.loads((data / "mmlu/test.jsonl").read_text().splitlines()[0])
    prompt = (
        f"The following are multiple choice questions (with answers) about {row['subject']}.\n\n"
        + row["question"]
        + "".join(
            f"\n{letter}. {text}" for letter, text in zip("ABCD", row["choices"], strict=True)
        )
        + "\nAnswer:"
    )
    context, whole = tokenizer(prompt)["input_ids"], tokenizer(f"{prompt} A")["input_ids"]
    with (
        torch.no_grad(),
        on_chip(module, load_recipe("w8a8_int8"), numerics_of(load_arch("edge_npu"))),
    ):
        logits = module(torch.tensor([whole[:-1]])).logits[0]
    logs = torch.nn.functional.log_softmax(logits.float(), -1)
    wanted = sum(float(logs[i - 1, whole[i]]) for i in range(len(context), len(whole)))
    assert line["answer"][0][0] == pytest.approx(wanted, abs=1e-4)


def test_exact_answers_do_not_move_with_the_batch(data: Path) -> None:
    alone, together = (
        run(planned("tiny", data, "mmlu", on=chip("exact"), limit=1, batch_size=size), None, quiet)
        for size in (1, 3)
    )
    assert [line["answer"] for line in alone.items] == [line["answer"] for line in together.items]


@pytest.mark.parametrize("mode", ["fast", "sampled"])
def test_fast_scores_stand_beside_their_gap(mode: str, data: Path) -> None:
    found = run(planned("tiny", data, "mmlu", "wikitext", on=chip(mode)), None, quiet)
    for task in found.tasks:
        assert task["arithmetic"] == "fast"
        assert task["gap"]["n"] == task["n"]  # so few items are all looked at
        assert [one["metric"] for one in task["gap"]["metrics"]] == [
            one["metric"] for one in task["scores"]
        ]
        assert ("estimates" in task["gap"]) == (mode == "sampled")
    exact = run(planned("tiny", data, "mmlu", "wikitext", on=chip("exact")), None, quiet)
    for task in found.tasks:
        for one in task["gap"]["metrics"]:
            assert one["value"] == values(exact, task["task"])[one["metric"]]
            assert one["against"] == values(found, task["task"])[one["metric"]]
        for guess in task["gap"].get("estimates", ()):
            assert guess["tag"] == "predicted"
            exactly = values(exact, task["task"])[guess["metric"]]
            assert guess["value"] == pytest.approx(exactly, rel=1e-9)


class Stopped(Exception):
    pass


def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    data: Path, llama: Path, tmp_path: Path
) -> None:
    tasks = ("mmlu", "gsm8k", "wikitext")
    whole = run(planned(str(llama), data, *tasks, batch_size=2), None, quiet).texts()
    journal, asked = tmp_path / "journal.jsonl", []

    def stop(after: int) -> Tell:
        def tell(what: str, done: int, total: int) -> None:
            asked.append(what)
            if done and len(asked) >= after:
                raise Stopped

        return tell

    for after in (2, 5, 9):
        asked.clear()
        with pytest.raises(Stopped):
            run(planned(str(llama), data, *tasks, batch_size=2), journal, stop(after))
    with journal.open("a") as file:
        file.write('{"arithmetic": "tor')  # killed while it wrote
    known = journal.read_text().count("\n")
    assert run(planned(str(llama), data, *tasks, batch_size=2), journal, quiet).texts() == whole
    lines = journal.read_text().splitlines()
    assert len(lines) > known > 3 and all(json.loads(line) for line in lines)
    with pytest.raises(InputError, match=r"answers of another run \(other limit\)"):
        run(planned(str(llama), data, *tasks, batch_size=2, limit=1), journal, quiet)


def test_two_runs_are_paired_item_by_item(data: Path, llama: Path) -> None:
    plain = run(planned(str(llama), data, "mmlu", "wikitext"), None, quiet)
    part = run(planned(str(llama), data, "mmlu", "wikitext", limit=1), None, quiet)
    found = compare(part, plain)
    mmlu, wikitext = found["compared"]
    assert (mmlu["n"], mmlu["only_here"], mmlu["only_there"]) == (3, 0, 3)
    assert mmlu["metrics"][0]["difference"] == 0.0
    assert wikitext["metrics"][0]["ratio"] == 1.0
    other = run(planned(str(llama), data, "gsm8k", limit=1), None, quiet)
    with pytest.raises(InputError, match="share no items"):
        compare(other, plain)


@pytest.mark.parametrize("protocol", ["gptq-2048", "lm-eval-words"])
def test_a_protocol_stands_beside_its_number(protocol: str, data: Path, llama: Path) -> None:
    found = run(planned(str(llama), data, "wikitext", protocols=(protocol,), limit=2), None, quiet)
    (task,) = found.tasks
    assert task["protocol"] == protocol
    assert all(math.isfinite(one["value"]) and one["tag"] == "measured" for one in task["scores"])


def test_windows_are_scored_as_the_code_of_gptq_does(data: Path, llama: Path) -> None:
    found = run(
        planned(str(llama), data, "wikitext", protocols=("gptq-2048",), limit=2), None, quiet
    )
    module, tokenizer = load.load(load.find(str(llama)), "auto")
    rows = map(json.loads, (data / "wikitext2/wiki.test.rows.jsonl").read_text().splitlines())
    ids = tokenizer("\n\n".join(row["text"] for row in rows), return_tensors="pt")["input_ids"]
    losses = []
    for window in range(2):
        part = ids[:, window * 2048 : (window + 1) * 2048]
        with torch.no_grad():
            logits = module(part).logits.float()
        loss = torch.nn.CrossEntropyLoss()(logits[0, :-1], part[0, 1:])
        losses.append(float(loss) * 2048)
    wanted = math.exp(sum(losses) / (2 * 2048))
    assert values(found, "wikitext")["token_perplexity"] == pytest.approx(wanted, rel=1e-6)


def test_wrong_settings_are_refused_before_anything_is_loaded(data: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown task 'gsm9k' \(did you mean 'gsm8k'"):
        planned("tiny", data, "gsm9k")
    with pytest.raises(UnknownNameError, match="unknown protocol 'gptq'"):
        planned("tiny", data, "wikitext", protocols=("gptq",))
    for name in ("limit", "max_gen_toks", "batch_size"):
        settings: dict[str, Any] = {name: 0}
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is 0"):
            planned("tiny", data, "gsm8k", **settings)
    with pytest.raises(InputError, match="--num-fewshot is -1"):
        planned("tiny", data, "gsm8k", num_fewshot=-1)
    with pytest.raises(InputError, match="--allow-code"):
        plan("tiny", Asked(("humaneval",)), data, None, "auto", False)
    with pytest.raises(InputError, match="llama-3-8b: ships without weights"):
        planned("llama-3-8b", data, "gsm8k")


def test_missing_and_damaged_data_say_where(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gsm8k/test.jsonl does not exist.*gsm8k/train.jsonl"):
        planned("tiny", tmp_path, "gsm8k")
    for name in ("test", "train"):
        (tmp_path / "gsm8k").mkdir(exist_ok=True)
        (tmp_path / f"gsm8k/{name}.jsonl").write_text(
            '{"question": "?", "answer": "#### 1"}\n{"q\n[]\n'
        )
    with pytest.raises(InputError) as caught:
        planned("tiny", tmp_path, "gsm8k")
    first, second = str(caught.value).splitlines()
    assert ":2:1: is not JSON" in first and first.startswith(str(tmp_path))
    assert second.endswith("test.jsonl:3:1: an object is needed, found list")


def test_settings_that_do_not_fit_the_context(data: Path) -> None:
    with pytest.raises(InputError, match="context holds 1024 tokens"):
        run(planned("tiny", data, "gsm8k", max_gen_toks=1024), None, quiet)
    with pytest.raises(InputError, match="windows of 4096 tokens; the model's context holds 1024"):
        run(planned("tiny", data, "wikitext", protocols=("4096",)), None, quiet)
    with pytest.raises(InputError, match="no chat template"):
        run(planned("tiny", data, "gsm8k", chat=True), None, quiet)
    found = run(planned("tiny", data, "ifeval", max_gen_toks=None, limit=1), None, quiet)
    assert (found.tasks[0]["max_gen_toks"], found.tasks[0]["max_gen_toks_stock"]) == (512, 1280)


def test_rows_that_do_not_fit_each_other(data: Path, tmp_path: Path) -> None:
    few = tmp_path / "mmlu"
    few.mkdir()
    for name in ("test", "dev"):
        lines = (data / f"mmlu/{name}.jsonl").read_text().splitlines()
        kept = [line for line in lines if name == "test" or "virology" not in line]
        (few / f"{name}.jsonl").write_text("\n".join(kept))
    with pytest.raises(InputError, match="no rows to take --num-fewshot 2 from for virology"):
        run(planned("tiny", tmp_path, "mmlu", num_fewshot=2), None, quiet)
    row = json.loads(lines[0])
    (few / "test.jsonl").write_text(json.dumps({**row, "subject": "plumology"}))
    with pytest.raises(InputError, match="lm-eval has no task for the subject 'plumology'"):
        run(planned("tiny", tmp_path, "mmlu"), None, quiet)
    (tmp_path / "ifeval").mkdir()
    mixed = [
        {
            "key": n,
            "prompt": "?",
            "instruction_id_list": ["punctuation:no_comma"],
            "kwargs": [{"a": v}],
        }
        for n, v in enumerate((1, "one"))
    ]
    (tmp_path / "ifeval/input_data.jsonl").write_text("\n".join(map(json.dumps, mixed)))
    with pytest.raises(InputError, match="ifeval: rows that do not fit each other"):
        run(planned("tiny", tmp_path, "ifeval"), None, quiet)


def test_damaged_runs_say_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 1, "layers": []}')
    with pytest.raises(InputError, match="not a run of accelsim evaluate"):
        read(tmp_path)
    head = {"schema_version": 1, "kind": "evaluation", "id": "x", "tasks": []}
    (tmp_path / "run.json").write_text(json.dumps(head))
    for line, wrong in (
        ("{", "is not JSON"),
        ("[]", "not an item"),
        ('{"task": "a"}', "not an item"),
    ):
        (tmp_path / "items.jsonl").write_text(line)
        with pytest.raises(InputError, match=rf"items\.jsonl:1:1: {wrong}"):
            read(tmp_path)


def copied(llama: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in llama.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_models_that_cannot_be_used_are_refused(data: Path, llama: Path, tmp_path: Path) -> None:
    pickled = copied(llama, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled weights are not read"):
        planned(str(pickled), data, "gsm8k")
    mute = copied(llama, tmp_path / "mute")
    (mute / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="no tokenizer: none of"):
        planned(str(mute), data, "gsm8k")
    with pytest.raises(InputError, match="no such folder"):
        planned(str(tmp_path / "nowhere"), data, "gsm8k")
    deeper = copied(llama, tmp_path / "deeper")
    config = json.loads((deeper / "config.json").read_text())
    (deeper / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match=r"9 weights are missing: model.layers.2"):
        run(planned(str(deeper), data, "gsm8k"), None, quiet)
    (deeper / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(CheckpointError, match="9 tensors belong to no part of the model"):
        run(planned(str(deeper), data, "gsm8k"), None, quiet)


def test_weights_that_are_no_numbers_are_refused(data: Path, llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = copied(llama, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'model\.norm\.weight' holds 1 values that are NaN"):
        run(planned(str(broken), data, "gsm8k"), None, quiet)
