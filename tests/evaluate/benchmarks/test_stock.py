"""Scores are those that lm-eval itself gives on the same rows."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from accelsim.evaluate.benchmarks.catalog import Asked
from accelsim.evaluate.benchmarks.result import Evaluation
from tests.evaluate.benchmarks.folders import SUBJECTS, write_rows

pytest.importorskip("lm_eval", reason="the extra 'evaluate' (lm-eval) is not installed")
pytest.importorskip("accelerate", reason="the extra 'evaluate' (accelerate) is not installed")
torch = pytest.importorskip("torch")

from accelsim.evaluate.benchmarks import load, offline
from accelsim.evaluate.benchmarks.plan import plan
from accelsim.evaluate.benchmarks.run import run

pytestmark = pytest.mark.filterwarnings("ignore")

FIVE = ("mmlu", "gsm8k", "humaneval", "ifeval", "wikitext")
#: Tokens of an answer: the models here say nothing that is worth more.
SHORT = 12


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **options: Any) -> Any:
        raise AssertionError("a connection was opened")

    for name in ("socket", "create_connection", "getaddrinfo", "socketpair"):
        monkeypatch.setattr(socket, name, refuse)


def ours(model: str, data: Path, tasks: tuple[str, ...] = FIVE, **settings: Any) -> Evaluation:
    asked = Asked(tasks, **{"max_gen_toks": SHORT, **settings})
    return run(plan(model, asked, data, None, "auto", True), None, quiet)


def scores(found: Evaluation) -> dict[str, dict[str, float]]:
    return {
        task["task"]: {one["metric"]: one["value"] for one in task["scores"]}
        for task in found.tasks
    }


class ExecScorer:
    """What ``code_eval`` of the hub computes, for programs that do no harm."""

    def compute(self, references: list[str], predictions: Any, k: list[int]) -> Any:
        try:
            exec(f"{predictions[0][0]}\n{references[0]}", {})
        except Exception:
            return {"pass@1": 0.0}, {}
        return {"pass@1": 1.0}, {}


@pytest.fixture
def stock_humaneval(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = pytest.importorskip("evaluate")

    original: Callable[..., Any] = evaluate.load

    def fetched(name: str, *rest: Any, **options: Any) -> Any:
        return ExecScorer() if name == "code_eval" else original(name, *rest, **options)

    monkeypatch.setattr(evaluate, "load", fetched)


def local(config: dict[str, Any], files: Mapping[str, Path], cache: Path) -> dict[str, Any]:
    """Return lm-eval's own configuration of a task; only where it reads from is changed."""
    splits = {"test_split": "test", "fewshot_split": "train", "training_split": "train"}
    config = {
        k: v for k, v in config.items() if k not in ("dataset_name", "tag", "validation_split")
    }
    for key in splits:
        if config.get(key) not in files:
            config.pop(key, None)
    wanted = {split: str(path) for split, path in files.items()}
    options = {"data_files": wanted, "cache_dir": str(cache)}
    return {**config, "dataset_path": "json", "dataset_kwargs": options}


def stock_tasks(
    data: Path, cache: Path, wanted: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    from lm_eval.tasks._yaml_loader import load_yaml

    files = {
        "gsm8k/gsm8k.yaml": {"test": "gsm8k/test.jsonl", "train": "gsm8k/train.jsonl"},
        "humaneval/humaneval.yaml": {"test": "humaneval/HumanEval.jsonl"},
        "ifeval/ifeval.yaml": {"train": "ifeval/input_data.jsonl"},
        "wikitext/wikitext.yaml": {"test": "wikitext2/wiki.test.docs.jsonl"},
    }
    offline.prepare_ifeval()
    for name, parts in files.items():
        if name.partition("/")[0] not in wanted:
            continue
        places = {split: data / part for split, part in parts.items()}
        config = load_yaml(offline.task_file(name))
        yield name.partition("/")[0], local(config, places, cache)
    for subject in subjects_in(data) if "mmlu" in wanted else ():
        places = {}
        for split in ("test", "dev"):
            lines = (data / f"mmlu/{split}.jsonl").read_text().splitlines()
            mine = [row for row in map(json.loads, lines) if row["subject"] == subject]
            places[split] = cache / f"{subject}.{split}.jsonl"
            write_rows(places[split], mine)
        config = load_yaml(offline.task_file(f"mmlu/default/mmlu_{subject}.yaml"))
        yield "mmlu", local(config, places, cache)


def subjects_in(data: Path) -> list[str]:
    lines = (data / "mmlu/test.jsonl").read_text().splitlines()
    return sorted({json.loads(line)["subject"] for line in lines})


def stock_model(model: str, softmax: str = "float32") -> Any:
    from lm_eval.models.huggingface import HFLM

    module, tokenizer = load.load(load.find(model), "auto")
    # What --model_args softmax_dtype=float32 is on lm-eval's command line.
    kind = None if softmax == "auto" else softmax
    return HFLM(pretrained=module, tokenizer=tokenizer, batch_size=1, softmax_dtype=kind)


def theirs(
    lm: Any,
    data: Path,
    cache: Path,
    limit: int | None = None,
    num_fewshot: int | None = None,
    tasks: tuple[str, ...] = FIVE,
) -> dict[str, dict[str, float]]:
    """Return lm-eval's own scores, the way its command line sets tasks up."""
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False)
    found: dict[str, list[tuple[dict[str, float], int]]] = {}
    for name, config in stock_tasks(data, cache, tasks):
        loaded = manager.load([config])
        (task,) = loaded["tasks"].values()
        if config.get("num_fewshot") != 0:
            wanted = config.get("num_fewshot") if num_fewshot is None else num_fewshot
            task.set_config(key="num_fewshot", value=wanted or 0)
        task.set_fewshot_seed(seed=1234)
        if task.OUTPUT_TYPE == "generate_until":
            options = {"max_gen_toks": SHORT}
            task.set_config(key="generation_kwargs", value=options, update=True)
        result = evaluate(
            lm=lm, task_dict=loaded, limit=limit, bootstrap_iters=0, confirm_run_unsafe_code=True
        )
        values = {
            metric: value
            for metric, value in next(iter(result["results"].values())).items()
            if "," in metric and "stderr" not in metric
        }
        n = next(iter(result["n-samples"].values()))["effective"]
        found.setdefault(name, []).append((values, n))
    return {name: weighted(parts) for name, parts in found.items()}


def weighted(parts: list[tuple[dict[str, float], int]]) -> dict[str, float]:
    total = sum(n for _, n in parts)
    return {
        metric: parts[0][0][metric]
        if len(parts) == 1
        else sum(v[metric] * n for v, n in parts) / total
        for metric in parts[0][0]
    }


@pytest.mark.parametrize(
    ("model", "num_fewshot", "softmax"), [("llama", None, "float32"), ("tiny", 1, "auto")]
)
def test_scores_are_those_of_lm_eval(  # noqa: PLR0913
    model: str, num_fewshot: int | None, softmax: str, data: Path, llama: Path, tmp_path: Path,
    stock_humaneval: None, no_network: None,
) -> None:  # fmt: skip
    name = str(llama) if model == "llama" else model
    found = scores(ours(name, data, num_fewshot=num_fewshot, softmax=softmax))
    with offline.offline():
        wanted = theirs(stock_model(name, softmax), data, tmp_path, num_fewshot=num_fewshot)
    assert set(found) == set(FIVE)
    for task, metrics in found.items():
        assert set(metrics) == set(wanted[task]), task
        for metric, value in metrics.items():
            if task == "mmlu":  # lm-eval averages the means of subjects
                assert value == pytest.approx(wanted[task][metric], abs=1e-12)
            else:
                assert value == wanted[task][metric], (task, metric)


def test_scores_on_published_rows_are_those_of_lm_eval(
    reference: Path, tmp_path: Path, stock_humaneval: None
) -> None:
    data = reference / "data"
    if not data.is_dir():
        pytest.skip(f"{reference} holds no folder of data")
    tasks = ("gsm8k", "humaneval", "ifeval")
    found = scores(ours("tiny", data, tasks, limit=3))
    with offline.offline():
        assert found == theirs(stock_model("tiny"), data, tmp_path, limit=3, tasks=tasks)


def test_subjects_weigh_as_many_as_their_rows(data: Path, llama: Path) -> None:
    found = ours(str(llama), data, ("mmlu",))
    (task,) = found.tasks
    assert [one["subject"] for one in task["subjects"]] == sorted(SUBJECTS)
    right = sum(one["value"] * one["n"] for one in task["subjects"])
    assert task["scores"][0]["value"] == pytest.approx(right / task["n"], abs=1e-12)
    assert task["n"] == sum(one["n"] for one in task["subjects"]) == 6
