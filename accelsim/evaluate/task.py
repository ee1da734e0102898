"""The score of a model on the problems that ship: exact match under greedy decoding.

A greedy decoder gives the right answer exactly when, after every right beginning of it, the most
probable token is the right one. So one pass over problems with their answers scores as a decoder
would, token by token, since the bits of a token depend on what stands before it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.evaluate.sample import Encoder
from accelsim.evaluate.statistics import paired_difference, wilson
from accelsim.graph.zoo.tiny.problems import LEVELS, Problem, problems

#: Seed of the problems that are scored; no text of a sample is among them by construction.
SEED = 1
NAME = "arithmetic word problems"
#: Problems that run at once.
BATCH = 128

#: From tokens ``[batch, length]`` to logits ``[batch, length, vocabulary]``.
Logits = Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Encoded:
    """One problem in tokens."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """All but the last token, which nothing follows."""
        return (*self.prompt, *self.answer[:-1])


def encode(encoder: Encoder, asked: Sequence[Problem]) -> list[Encoded]:
    """Return problems in tokens; the line's end belongs to the answer."""
    return [
        Encoded(
            (*encoder.start, *encoder.encode(problem.prompt)),
            tuple(encoder.encode(f"{problem.answer}\n")),
        )
        for problem in asked
    ]


def batches(encoded: Sequence[Encoded]) -> Iterator[list[int]]:
    """Yield the numbers of problems of equal length, so that nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for number, problem in enumerate(encoded):
        by_length.setdefault(len(problem.tokens), []).append(number)
    for _, numbers in sorted(by_length.items()):
        for first in range(0, len(numbers), BATCH):
            yield numbers[first : first + BATCH]


def solved(logits: Logits, encoded: Sequence[Encoded], progress: Progress) -> list[bool]:
    """Return for each problem whether the model answers it."""
    found = [False] * len(encoded)
    done = 0
    for numbers in batches(encoded):
        tokens = np.array([encoded[number].tokens for number in numbers], np.int64)
        best = logits(tokens).argmax(-1)
        for row, number in enumerate(numbers):
            answer = encoded[number].answer
            found[number] = tuple(best[row, -len(answer) :]) == answer
        done += len(numbers)
        progress(done, len(encoded))
    return found


def asked(count: int) -> list[Problem]:
    """Return the problems that are scored."""
    return problems(count, SEED)


def score(found: Sequence[bool]) -> tuple[float, tuple[float, float]]:
    """Return the share of problems that were answered, with its 95 % interval."""
    return sum(found) / len(found), wilson(sum(found), len(found))


def summary(
    given: Sequence[Problem], chip: Sequence[bool], truth: Sequence[bool]
) -> Mapping[str, Any]:
    """Return the task's part of a result: scores against FP32, paired, and by level."""
    share, interval = score(truth)
    difference, spread = paired_difference(chip, truth)
    return {
        "name": NAME,
        "n": len(given),
        "seed": SEED,
        "fp32_exact_match": share,
        "fp32_interval": list(interval),
        "difference": difference,
        "difference_interval": list(spread),
        "levels": [
            _level(level, what, given, chip, truth)
            for level, what in LEVELS.items()
            if any(problem.level == level for problem in given)
        ],
    }


def _level(
    level: int, what: str, given: Sequence[Problem], chip: Sequence[bool], truth: Sequence[bool]
) -> Mapping[str, Any]:
    mine = [i for i, problem in enumerate(given) if problem.level == level]
    return {
        "level": level,
        "what": what,
        "n": len(mine),
        "exact_match": sum(chip[i] for i in mine) / len(mine),
        "fp32_exact_match": sum(truth[i] for i in mine) / len(mine),
    }
