"""What an evaluation found: scores with intervals, every item, and two runs compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import InputError
from accelsim.evaluate.benchmarks.catalog import BENCHMARKS, Benchmark, Metric
from accelsim.evaluate.benchmarks.scores import Pair, estimate, paired, score
from accelsim.evaluate.benchmarks.stock import Scored

RUN, ITEMS = "run.json", "items.jsonl"
#: Settings that two runs may differ in and still be compared; the difference is told.
_SETTINGS = ("num_fewshot", "max_gen_toks", "version", "truncated")


@dataclass(frozen=True)
class Group:
    """Items of a task that were answered in one arithmetic.

    Attributes:
        arithmetic: ``torch``, ``exact`` or ``fast``.
        items: what each gave, by number.
        identity: what tells an item from others.
    """

    arithmetic: str
    items: Mapping[int, Scored]
    identity: Callable[[int], dict[str, Any]]

    def pairs(self, metric: Metric, numbers: Sequence[int] | None = None) -> list[Pair]:
        """Return what items gave to a metric, all of them or those of some numbers."""
        wanted = self.items if numbers is None else numbers
        return [self.items[number].pairs[metric.name] for number in wanted]

    def lines(self, benchmark: Benchmark) -> Iterator[dict[str, Any]]:
        """Yield the lines of ``items.jsonl``."""
        for number, one in self.items.items():
            yield {
                "task": benchmark.label, "arithmetic": self.arithmetic, **self.identity(number),
                "pairs": {name: list(pair) for name, pair in one.pairs.items()},
                "answer": one.answer,
            }  # fmt: skip


def task_result(
    benchmark: Benchmark, settings: Mapping[str, Any], groups: Sequence[Group], mode: str | None
) -> dict[str, Any]:
    """Return the JSON form of one task's results.

    Args:
        benchmark: the task.
        settings: how its items were put.
        groups: the items in the arithmetic of the mode first, then those of the gap to exact.
        mode: ``exact``, ``sampled`` or ``fast``; None for plain torch.
    """
    every = groups[0]
    found: dict[str, Any] = {
        "task": benchmark.name, "protocol": benchmark.protocol or "lm-eval", "n": len(every.items),
        "arithmetic": every.arithmetic, **settings,
        "scores": [score(metric, every.pairs(metric)) for metric in benchmark.metrics],
        "subjects": _subjects(benchmark, every), "gap": None,
    }  # fmt: skip
    if len(groups) > 1:
        found["gap"] = _gap(benchmark, found["scores"], every, groups[1], mode)
    return found


def _subjects(benchmark: Benchmark, group: Group) -> list[dict[str, Any]]:
    if "{subject}" not in benchmark.stock:
        return []
    numbers: dict[str, list[int]] = {}
    for number in group.items:
        numbers.setdefault(str(group.identity(number)["subject"]), []).append(number)
    metric = benchmark.metrics[0]
    return [
        {"subject": subject, **score(metric, group.pairs(metric, mine))}
        for subject, mine in sorted(numbers.items())
    ]


def _gap(
    benchmark: Benchmark, scores: Sequence[Mapping[str, Any]], fast: Group, exact: Group,
    mode: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Return how far fast answers are from exact ones on a sample, item by item."""
    numbers = list(exact.items)
    metrics = [
        paired(metric, exact.pairs(metric), fast.pairs(metric, numbers))
        for metric in benchmark.metrics
    ]
    found: dict[str, Any] = {
        "n": len(numbers), "of": "exact less fast, on the same items", "metrics": metrics,
        "equal_answers": sum(exact.items[n].answer == fast.items[n].answer for n in numbers),
    }  # fmt: skip
    if mode == "sampled":
        guesses = map(estimate, benchmark.metrics, scores, metrics)
        found["estimates"] = [one for one in guesses if one is not None]
    return found


@dataclass(frozen=True)
class Evaluation:
    """A finished run.

    Attributes:
        head: what was run.
        tasks: results by task.
        items: one line per item.
    """

    head: Mapping[str, Any]
    tasks: tuple[Mapping[str, Any], ...]
    items: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        """The name of the run."""
        return str(self.head["id"])

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the items."""
        return {**self.head, "tasks": [dict(task) for task in self.tasks]}

    def texts(self) -> dict[str, str]:
        """Return the files of the run's folder by name."""
        lines = (json.dumps(item, allow_nan=False) for item in self.items)
        return {
            RUN: json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n",
            ITEMS: "".join(f"{line}\n" for line in lines),
        }


def is_evaluation(folder: str | Path) -> bool:
    """Whether a folder holds items of an evaluation beside its run."""
    return all((Path(folder) / name).is_file() for name in (RUN, ITEMS))


def read(folder: str | Path) -> Evaluation:
    """Read a saved run.

    Raises:
        InputError: it is no folder of an evaluation, or one of its files is damaged.
    """
    place = Path(folder)
    try:
        run = json.loads((place / RUN).read_text(encoding="utf-8"))
        if not isinstance(run, dict) or run.get("kind") != "evaluation":
            raise InputError(f"{place / RUN}: not a run of accelsim evaluate")
        lines = (place / ITEMS).read_text(encoding="utf-8").splitlines()
        items = []
        for number, line in enumerate(lines, 1):
            items.append(_item(line, f"{place / ITEMS}:{number}:1"))
        tasks = run.pop("tasks")
        if run["schema_version"] != 1:
            raise InputError(f"{place / RUN}: schema version {run['schema_version']} is not known")
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{place / RUN}: damaged ({error})") from None
    return Evaluation(run, tuple(tasks), tuple(items))


def _item(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: is not JSON: {error}") from None
    needed = {"task", "arithmetic", "item", "row", "pairs"}
    if not isinstance(found, dict) or not needed <= found.keys():
        raise InputError(f"{where}: not an item; one holds {', '.join(sorted(needed))}")
    return found


def compare(run: Evaluation, other: Evaluation) -> dict[str, Any]:
    """Return the scores of a run less those of another, paired over the items they share.

    Raises:
        InputError: they share no items.
    """
    tasks = []
    for benchmark in BENCHMARKS:
        mine, theirs = (_items(one, benchmark.label) for one in (run, other))
        shared = [key for key in mine if key in theirs]
        if shared:
            tasks.append({
                "task": benchmark.name, "protocol": benchmark.protocol or "lm-eval",
                "n": len(shared), "only_here": len(mine) - len(shared),
                "only_there": len(theirs) - len(shared),
                "differs": _differs(run, other, benchmark),
                "metrics": [
                    paired(
                        metric, [mine[key][metric.name] for key in shared],
                        [theirs[key][metric.name] for key in shared],
                    )
                    for metric in benchmark.metrics
                ],
            })  # fmt: skip
    if not tasks:
        raise InputError(f"runs {run.id} and {other.id} share no items, so nothing can be paired")
    keys = ("id", "model", "arch", "recipe", "numerics_mode")
    return {"against": {key: other.head.get(key) for key in keys}, "compared": tasks}


def _items(run: Evaluation, label: str) -> dict[tuple[str, int, str], Mapping[str, Pair]]:
    """Return what the items of a task gave, in the arithmetic of its scores."""
    lines = [line for line in run.items if line["task"] == label]
    main = lines[0]["arithmetic"] if lines else ""
    return {
        (line.get("subject", ""), line["item"], line["row"]): {
            name: (pair[0], pair[1]) for name, pair in line["pairs"].items()
        }
        for line in lines
        if line["arithmetic"] == main
    }


def _differs(run: Evaluation, other: Evaluation, benchmark: Benchmark) -> list[str]:
    label = (benchmark.name, benchmark.protocol or "lm-eval")
    pair = [
        next(task for task in one.tasks if (task["task"], task["protocol"]) == label)
        for one in (run, other)
    ]
    found = [
        f"{key} {pair[0].get(key)} against {pair[1].get(key)}"
        for key in _SETTINGS
        if pair[0].get(key) != pair[1].get(key)
    ]
    for key, what in (("chat", "chat template"), ("softmax", "type of the softmax")):
        if run.head.get(key) != other.head.get(key):
            found.append(what)
    return found
