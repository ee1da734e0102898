"""lm-eval's own tasks over local rows: its prompts, its filters and its scoring, item by item."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.errors import InputError, RunError
from accelsim.evaluate.benchmarks.catalog import Asked, Benchmark
from accelsim.evaluate.benchmarks.journal import Answers
from accelsim.evaluate.benchmarks.offline import prepare_ifeval, reseed, task_file
from accelsim.evaluate.benchmarks.rows import Data, Row
from accelsim.evaluate.benchmarks.sandbox import Sandbox
from accelsim.evaluate.benchmarks.scores import Pair
from accelsim.ids import content_id

#: lm-eval's seed of the examples that stand before a question.
_FEWSHOT_SEED = 1234
#: Share of a context that answers may fill where a task asks for more than there is.
_MOST_OF_CONTEXT = 2


@dataclass(frozen=True)
class Scored:
    """What one item gave.

    Attributes:
        pairs: numerator and denominator by metric.
        answer: what the model said, for a reader.
    """

    pairs: Mapping[str, Pair]
    answer: Any


class StockTask:
    """One benchmark of lm-eval's, as a list of items that are asked and scored one by one.

    Args:
        benchmark: which.
        data: its rows.
        asked: limits and settings.
        lm: the model, as lm-eval sees it.
        sandbox: runs programs; None: none may be run.

    Raises:
        InputError: rows or settings that do not fit the task.
    """

    def __init__(
        self, benchmark: Benchmark, data: Data, asked: Asked, lm: Any, sandbox: Sandbox | None
    ) -> None:
        self.benchmark, self.lm = benchmark, lm
        if benchmark.name == "ifeval":
            prepare_ifeval()
            _check_instructions(data.splits["train"])
        self._tasks = [
            _build(benchmark, splits, asked, sandbox) for splits in _by_subject(benchmark, data)
        ]
        self._items: list[tuple[Any, list[Any]]] = []
        for task in self._tasks:
            self._settle(task, asked)
            self._items += _requests(task, asked, lm)
        # The longest first, as lm-eval asks.
        lengths = [-len(requests[0].args[0]) for _, requests in self._items]
        self.order = sorted(range(len(lengths)), key=lambda number: (lengths[number], number))

    def __len__(self) -> int:
        return len(self._items)

    @property
    def settings(self) -> dict[str, Any]:
        """How the questions are put, for the result."""
        config = self._tasks[0].config
        found: dict[str, Any] = {
            "version": config.metadata.get("version"), "num_fewshot": config.num_fewshot,
            "truncated": sum(self._too_long(number) for number in range(len(self))),
        }  # fmt: skip
        if config.output_type == "generate_until":
            found["max_gen_toks"] = _max_gen_toks(self._tasks[0], self.lm)
            found["max_gen_toks_stock"] = self._stock_max_gen_toks
        return found

    def identity(self, number: int) -> dict[str, Any]:
        """Return what tells an item from others: a readable name, and a digest of its row."""
        instances = self._items[number][1]
        row = instances[0].doc
        found: dict[str, Any] = {"item": instances[0].doc_id, "row": content_id(row)}
        if len(self._tasks) > 1 or "subject" in row:
            found["subject"] = row["subject"]
        return found

    def ask(self, numbers: Sequence[int]) -> dict[int, Answers]:
        """Let the model answer some items.

        Raises:
            RunError: a probability that is no number.
        """
        wanted = [(number, one) for number in numbers for one in self._items[number][1]]
        requests = [one for _, one in wanted]
        answers = getattr(self.lm, requests[0].request_type)(requests, disable_tqdm=True)
        found: dict[int, Answers] = {number: [] for number in numbers}
        for (number, _), answer in zip(wanted, answers, strict=True):
            found[number].append(_plain(answer, self.benchmark.label))
        return found

    def score(self, answers: Mapping[int, Answers]) -> dict[int, Scored]:
        """Return what answered items gave, by lm-eval's filters and metrics."""
        for number, given in answers.items():
            for one, answer in zip(self._items[number][1], given, strict=True):
                one.resps, one.filtered_resps = [_native(answer)], {}
        for task in self._tasks:
            mine = [i for n in answers if self._items[n][0] is task for i in self._items[n][1]]
            if mine:
                for ensemble in task._filters:
                    ensemble.apply(mine)
        return {number: self._scored(number, answers[number]) for number in answers}

    def _scored(self, number: int, given: Answers) -> Scored:
        task, instances = self._items[number]
        pairs: dict[str, Pair] = {}
        for name in instances[0].filtered_resps:
            reseed()
            filtered = [one.filtered_resps[name] for one in instances]
            for metric, value in task.process_results(instances[0].doc, filtered).items():
                pairs[f"{metric},{name}"] = _pair(value)
        return Scored(pairs, given[0] if len(given) == 1 else given)

    def _settle(self, task: Any, asked: Asked) -> None:
        """Set what lm-eval sets from its command line."""
        # A task that is asked without examples stays so, as in lm-eval.
        if task.config.num_fewshot is None or (
            asked.num_fewshot is not None and task.config.num_fewshot
        ):
            task.set_config(key="num_fewshot", value=asked.num_fewshot or 0)
        task.set_fewshot_seed(seed=_FEWSHOT_SEED)
        if task.OUTPUT_TYPE != "generate_until":
            return
        self._stock_max_gen_toks = _max_gen_toks(task, self.lm)
        most = asked.max_gen_toks
        if most is not None and most >= self.lm.max_length:
            raise InputError(
                f"--max-gen-toks is {most}; the model's context holds {self.lm.max_length} tokens, "
                "question and answer together"
            )
        if most is None and self._stock_max_gen_toks >= self.lm.max_length:
            most = self.lm.max_length // _MOST_OF_CONTEXT
        if most is not None:
            task.set_config(key="generation_kwargs", value={"max_gen_toks": most}, update=True)

    def _too_long(self, number: int) -> bool:
        """Whether lm-eval cuts off the beginning of an item's prompt."""
        request = self._items[number][1][0]
        if request.request_type == "loglikelihood_rolling":
            return False
        prompt = len(self.lm.tok_encode(request.args[0]))
        if request.request_type == "generate_until":
            return bool(
                prompt > self.lm.max_length - _max_gen_toks(self._items[number][0], self.lm)
            )
        rest = max(len(self.lm.tok_encode(one.args[1])) for one in self._items[number][1])
        return bool(prompt + rest > self.lm.max_length + 1)


def _by_subject(benchmark: Benchmark, data: Data) -> list[Mapping[str, Sequence[Row]]]:
    """Return the splits of a task, or of each subject's task."""
    if "{subject}" not in benchmark.stock:
        return [data.splits]
    asked = data.splits[benchmark.sources[0].split]
    subjects = sorted({str(row["subject"]) for row in asked})
    return [
        {
            split: [row for row in rows if row["subject"] == subject]
            for split, rows in data.splits.items()
        }
        for subject in subjects
    ]


def _build(
    benchmark: Benchmark, splits: Mapping[str, Sequence[Row]], asked: Asked, sandbox: Sandbox | None
) -> Any:
    """Return lm-eval's task over the rows."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    first = next(iter(splits.values()))[0]
    path = task_file(benchmark.stock.format(subject=first.get("subject", "")))
    if not path.is_file():
        raise InputError(
            f"{benchmark.name}: lm-eval has no task for the subject {first['subject']!r}"
        )
    # The helpers of a task that runs code fetch a metric from a hub when they are imported.
    config = load_yaml(path, resolve_func=not benchmark.runs_code)
    if benchmark.runs_code:
        config |= _programs(config, sandbox)
    try:
        tables = {split: Dataset.from_list(list(rows)) for split, rows in splits.items()}
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{benchmark.label}: rows that do not fit each other: {reason}") from None
    for empty in (split for split, rows in splits.items() if not rows):
        if asked.num_fewshot:
            raise InputError(
                f"{benchmark.label}: no rows to take --num-fewshot {asked.num_fewshot} from"
                + (f" for {first['subject']}" if "subject" in first else f" in {empty}")
            )
        tables[empty] = Dataset.from_list([dict(first)]).select([])
    # What names the published data; and splits that no local file holds.
    for key in ("dataset_path", "dataset_name", "tag", "group"):
        config.pop(key, None)
    for key in ("training_split", "validation_split", "fewshot_split"):
        if config.get(key) not in splits:
            config.pop(key, None)
    config["custom_dataset"] = lambda **options: tables
    return ConfigurableTask(config=config)


def _programs(config: Mapping[str, Any], sandbox: Sandbox | None) -> dict[str, Any]:
    """Return the parts of a task that runs code with our own runner in them."""
    if sandbox is None:
        raise InputError("humaneval runs programs that the model wrote: --allow-code allows it")
    runner: Sandbox = sandbox

    def pass_at_k(references: list[str], predictions: list[list[str]], k: list[int]) -> Any:
        passed = runner.run(f"{predictions[0][0]}\n{references[0]}") == "passed"
        return {"pass@1": float(passed)}

    def build_predictions(resps: Sequence[Any], docs: Sequence[Any]) -> list[list[str]]:
        return [
            [doc["prompt"] + one for one in mine] for mine, doc in zip(resps, docs, strict=True)
        ]

    metrics = [{**config["metric_list"][0], "metric": pass_at_k}]
    filters = [
        {**one, "filter": [{**one["filter"][0], "filter_fn": build_predictions}]}
        for one in config["filter_list"]
    ]
    return {"metric_list": metrics, "filter_list": filters}


def _requests(task: Any, asked: Asked, lm: Any) -> list[tuple[Any, list[Any]]]:
    """Return a task's items, each with the requests it makes."""
    chat: Mapping[str, Any] = {}
    if asked.chat:
        template: Callable[..., str] = lm.apply_chat_template
        chat = {
            "apply_chat_template": True, "chat_template": template, "fewshot_as_multiturn": True,
            "tokenizer_name": lm.tokenizer_name,
        }  # fmt: skip
    try:
        task.build_all_requests(limit=asked.limit, **chat)
    except (AssertionError, ValueError) as error:
        raise InputError(f"{task.config.task}: no questions can be made: {error}") from None
    by_item: dict[int, list[Any]] = {}
    for one in task.instances:
        by_item.setdefault(one.doc_id, []).append(one)
    return [(task, sorted(ones, key=lambda one: one.idx)) for _, ones in sorted(by_item.items())]


def _max_gen_toks(task: Any, lm: Any) -> int:
    options = task.config.generation_kwargs or {}
    return int(options.get("max_gen_toks", lm.max_gen_toks))


def _check_instructions(rows: Sequence[Row]) -> None:
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    unknown = {n for row in rows for n in row["instruction_id_list"] if n not in INSTRUCTION_DICT}
    if unknown:
        raise InputError(f"ifeval: no checker for the instructions {', '.join(sorted(unknown))}")


def _plain(answer: Any, label: str) -> Any:
    """Return an answer as JSON holds it."""
    if isinstance(answer, str):
        return answer
    loss = answer[0] if isinstance(answer, tuple | list) else answer
    if not math.isfinite(loss):
        raise RunError(f"{label}: the model gives a log-probability of {loss}")
    return [float(loss), bool(answer[1])] if isinstance(answer, tuple | list) else float(loss)


def _native(answer: Any) -> Any:
    """Return an answer as lm-eval's scoring takes it."""
    return tuple(answer) if isinstance(answer, list) else answer


def _pair(value: Any) -> Pair:
    """Return what an item gives to a metric: followed of all, loss of words, or one of one."""
    if isinstance(value, list):
        return float(sum(value)), float(len(value))
    if isinstance(value, tuple):
        return -float(value[0]), float(value[1])
    return float(value), 1.0
