"""A model on benchmarks: plainly in torch, or with every op answered by a chip's kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from accelsim.errors import InputError
from accelsim.evaluate.benchmarks import load, offline
from accelsim.evaluate.benchmarks.catalog import Benchmark
from accelsim.evaluate.benchmarks.journal import Answers, Journal
from accelsim.evaluate.benchmarks.plan import Chip, Plan
from accelsim.evaluate.benchmarks.result import Evaluation, Group, task_result
from accelsim.evaluate.benchmarks.sandbox import Sandbox
from accelsim.evaluate.benchmarks.stock import Scored, StockTask
from accelsim.evaluate.benchmarks.windows import Windows
from accelsim.sim.numerics import numerics_of

Progress = Callable[[str, int, int], None]

#: Names of the arithmetic that items were answered in.
TORCH, EXACT, FAST = "torch", "exact", "fast"
#: Items of a task that are also answered exactly: one in so many, at least, and at most.
_SAMPLES: Mapping[str, tuple[int, int, int]] = {"fast": (32, 8, 32), "sampled": (4, 50, 1 << 30)}


class Suite(Protocol):
    """A benchmark as a list of items."""

    @property
    def benchmark(self) -> Benchmark:
        """Which benchmark."""

    @property
    def order(self) -> Sequence[int]:
        """Numbers of the items, in the order in which they are asked."""

    def __len__(self) -> int:
        """How many items there are."""

    @property
    def settings(self) -> dict[str, Any]:
        """How the items are put, for the result."""

    def identity(self, number: int) -> dict[str, Any]:
        """Return what tells an item from others."""

    def ask(self, numbers: Sequence[int]) -> dict[int, Answers]:
        """Let the model answer some items."""

    def score(self, answers: Mapping[int, Answers]) -> dict[int, Scored]:
        """Return what answered items gave."""


def run(planned: Plan, journal_path: Path | None, progress: Progress) -> Evaluation:
    """Ask the model, score its answers, and keep both.

    Args:
        planned: what to run.
        journal_path: where answers are kept while the run goes on; None: nowhere.
        progress: told what is being done, how much of it is done, and how much there is.

    Raises:
        InputError: a model or settings that do not fit the tasks.
        RunError: values that leave the range of their format.
    """
    with offline.offline():
        sandbox = Sandbox() if planned.allow_code else None
        protections = None
        if sandbox is not None and any(one.runs_code for one in planned.asked.benchmarks):
            protections = dict(sandbox.protections)
        lm = _language_model(planned)
        suites = [_suite(one, planned, lm, sandbox) for one in planned.asked.benchmarks]
        journal = Journal(journal_path, planned.identity)
        answered = _answer(planned, lm, suites, journal, progress)
        tasks, items = [], []
        for suite in suites:
            progress(f"{suite.benchmark.label}: scoring", 0, 1)
            groups = [
                Group(arithmetic, suite.score(answers), suite.identity)
                for (label, arithmetic), answers in answered.items()
                if label == suite.benchmark.label
            ]
            mode = None if planned.chip is None else planned.chip.mode
            tasks.append(task_result(suite.benchmark, suite.settings, groups, mode))
            items += [line for group in groups for line in group.lines(suite.benchmark)]
        return Evaluation(_head(planned, protections), tuple(tasks), tuple(items))


def _head(planned: Plan, protections: Mapping[str, str] | None) -> dict[str, Any]:
    chip = planned.chip
    tasks = {one.name for one in planned.asked.benchmarks}
    return {
        "schema_version": 1, "kind": "evaluation", "id": planned.id,
        **planned.identity,
        "arch": None if chip is None else chip.arch.name,
        "recipe": None if chip is None else chip.recipe.name,
        "signature": None if chip is None else numerics_of(chip.arch).signature,
        "programs": protections,
        "sentence_tables": offline.sentence_tables() if "ifeval" in tasks else None,
    }  # fmt: skip


def _language_model(planned: Plan) -> Any:
    from lm_eval.models.huggingface import HFLM

    from accelsim.evaluate.live import STORAGE

    chip = planned.chip
    dtype = planned.dtype
    if chip is not None:
        dtype = str(STORAGE[chip.recipe.storage]).removeprefix("torch.")
    model, tokenizer = load.load(planned.folder, dtype)
    if planned.asked.chat and not tokenizer.chat_template:
        raise InputError(f"{planned.folder.path}: its tokenizer has no chat template")
    try:
        return HFLM(
            pretrained=model, tokenizer=tokenizer, batch_size=planned.asked.batch_size,
            backend="causal",
            softmax_dtype=None if planned.asked.softmax == "auto" else planned.asked.softmax,
        )  # fmt: skip
    except (AssertionError, ValueError, AttributeError) as error:
        raise InputError(f"{planned.folder.path}: lm-eval does not take it: {error}") from None


def _suite(benchmark: Benchmark, planned: Plan, lm: Any, sandbox: Sandbox | None) -> Suite:
    data = planned.data[benchmark.label]
    if benchmark.window:
        return Windows(benchmark, data, planned.asked, lm)
    return StockTask(benchmark, data, planned.asked, lm, sandbox)


def _answer(
    planned: Plan, lm: Any, suites: Sequence[Suite], journal: Journal, progress: Progress
) -> dict[tuple[str, str], dict[int, Answers]]:
    """Return the answers to all items by task and arithmetic, asking what is not known yet."""
    passes = _passes(planned.chip, suites)
    found: dict[tuple[str, str], dict[int, Answers]] = {}
    for arithmetic, wanted in passes:
        with _arithmetic(planned, lm, arithmetic):
            for suite, numbers in wanted:
                label = suite.benchmark.label
                found[label, arithmetic] = _ask(
                    suite, arithmetic, numbers, planned.asked.batch_size, journal, progress
                )  # fmt: skip
    return found


def _ask(
    suite: Suite, arithmetic: str, numbers: Sequence[int], size: int, journal: Journal,
    progress: Progress,
) -> dict[int, Answers]:  # fmt: skip
    """Answer items in chunks that are the same after an interruption."""
    label, found = suite.benchmark.label, dict[int, Answers]()
    what = f"{label} ({'torch' if arithmetic == TORCH else f'{arithmetic} numerics'})"
    progress(what, 0, len(numbers))
    for first in range(0, len(numbers), size):
        chunk = numbers[first : first + size]
        known = {number: journal.get(arithmetic, label, number) for number in chunk}
        if any(answers is None for answers in known.values()):
            fresh = suite.ask(chunk)
            journal.put(arithmetic, label, fresh)
            known = dict(fresh)
        found |= {number: answers for number, answers in known.items() if answers is not None}
        progress(what, len(found), len(numbers))
    return {number: found[number] for number in sorted(found)}


def _passes(
    chip: Chip | None, suites: Sequence[Suite]
) -> Iterable[tuple[str, list[tuple[Suite, list[int]]]]]:
    """Return which items are answered in which arithmetic."""
    every = [(suite, list(suite.order)) for suite in suites]
    if chip is None:
        return [(TORCH, every)]
    if chip.mode == "exact":
        return [(EXACT, every)]
    return [(FAST, every), (EXACT, [(suite, _sample(suite, chip.mode)) for suite in suites])]


def _sample(suite: Suite, mode: str) -> list[int]:
    """Return items that are spread evenly over a task, in the order of the task."""
    share, least, most = _SAMPLES[mode]
    n = len(suite)
    count = min(n, most, max(least, n // share))
    chosen = {round(i * (n - 1) / max(count - 1, 1)) for i in range(count)}
    return [number for number in suite.order if number in chosen]


@contextmanager
def _arithmetic(planned: Plan, lm: Any, name: str) -> Iterator[None]:
    """Let the model compute in an arithmetic."""
    chip = planned.chip
    if chip is None:
        with _fastest_device(lm):
            yield
        return
    from accelsim.evaluate.benchmarks.fake import can_fake, fake_quantized
    from accelsim.evaluate.live import on_chip

    if name == FAST and can_fake(lm.model, chip.recipe):
        with _fastest_device(lm), fake_quantized(lm.model, chip.recipe):
            yield
        return
    # What torch cannot round to is interpreted, its products in the host's own order.
    with on_chip(lm.model, chip.recipe, numerics_of(chip.arch, ideal=name == FAST)):
        yield


@contextmanager
def _fastest_device(lm: Any) -> Iterator[None]:
    """Run on a GPU while the context is open, where there is one."""
    import torch

    if not torch.cuda.is_available():
        yield
        return
    before = lm._device
    lm.model.to("cuda")
    lm._device = torch.device("cuda")
    try:
        yield
    finally:
        lm.model.to(before)
        lm._device = before
