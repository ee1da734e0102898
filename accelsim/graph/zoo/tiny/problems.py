"""Arithmetic word problems of graded difficulty: what ``tiny`` was trained on and is judged by.

Operands are split by a hash, so that no test problem's numbers were seen in training.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

Split = Literal["train", "test"]

#: One in this many sets of operands is held out.
HELD_OUT = 8
NAMES = ("Ana", "Ben", "Eva", "Ida", "Leo", "Max", "Mia", "Tom")
THINGS = ("apples", "books", "cards", "coins", "eggs", "nuts", "pens", "stamps")

#: What each level asks.
LEVELS: Mapping[int, str] = {
    1: "sum or difference of numbers below 100",
    2: "sum or difference of numbers below 1000",
    3: "product of numbers below 200 and 10",
    4: "two steps: a sum less a number, or a product and a number",
}

_ADD = (
    "{name} has {a} {thing} and gets {b} more. How many {thing} now?",
    "{name} sold {a} {thing}, then {b}. How many {thing} in all?",
)
_SUBTRACT = (
    "{name} has {a} {thing} and gives away {b}. How many {thing} now?",
    "{name} had {a} {thing}, then lost {b}. How many {thing} now?",
)
_MULTIPLY = (
    "{name} has {b} boxes of {a} {thing}. How many {thing} in all?",
    "{name} buys {a} {thing} a day for {b} days. How many {thing} in all?",
)
_ADD_SUBTRACT = ("{name} has {a} {thing}, gets {b} more and gives away {c}. How many {thing} now?",)
_MULTIPLY_ADD = ("{name} has {b} boxes of {a} {thing} and {c} more. How many {thing} in all?",)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        level: a key of ``LEVELS``.
        prompt: the question, up to where the answer begins.
        answer: the digits of the answer.
    """

    level: int
    prompt: str
    answer: str

    @property
    def text(self) -> str:
        """The problem with its answer, as in training."""
        return f"{self.prompt}{self.answer}\n"


@dataclass(frozen=True, slots=True)
class _Sum:
    kind: str
    operands: tuple[int, ...]
    result: int
    templates: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether the numbers are kept for tests; their order does not matter."""
        key = f"{self.kind}:{sorted(self.operands)}".encode()
        return hashlib.sha256(key).digest()[0] % HELD_OUT == 0


def _one_step(rng: random.Random, limit: int) -> _Sum:
    a, b = rng.randrange(1, limit), rng.randrange(1, limit)
    if rng.randrange(2):
        return _Sum("add", (a, b), a + b, _ADD)
    a, b = max(a, b), min(a, b)
    return _Sum("subtract", (a, b), a - b, _SUBTRACT)


def _product(rng: random.Random) -> _Sum:
    a, b = rng.randrange(2, 200), rng.randrange(2, 10)
    return _Sum("multiply", (a, b), a * b, _MULTIPLY)


def _two_steps(rng: random.Random) -> _Sum:
    if rng.randrange(2):
        a, b = rng.randrange(1, 100), rng.randrange(1, 100)
        c = rng.randrange(1, a + b + 1)
        return _Sum("add_subtract", (a, b, c), a + b - c, _ADD_SUBTRACT)
    a, b, c = rng.randrange(2, 30), rng.randrange(2, 10), rng.randrange(1, 100)
    return _Sum("multiply_add", (a, b, c), a * b + c, _MULTIPLY_ADD)


#: How often each level is asked, in parts of the whole.
SHARES: Mapping[int, int] = {1: 4, 2: 7, 3: 4, 4: 5}
_MAKERS: Mapping[int, Callable[[random.Random], _Sum]] = {
    1: lambda rng: _one_step(rng, 100),
    2: lambda rng: _one_step(rng, 1000),
    3: _product,
    4: _two_steps,
}


def stream(seed: int, split: Split) -> Iterator[Problem]:
    """Yield problems without end; the same seed and split give the same ones."""
    rng = random.Random(f"{split}:{seed}")
    while True:
        (level,) = rng.choices(list(SHARES), list(SHARES.values()))
        task = _MAKERS[level](rng)
        if task.held_out == (split == "test"):
            yield _worded(rng, level, task)


def problems(count: int, seed: int = 0, split: Split = "test") -> list[Problem]:
    """Return the first problems of a stream."""
    return list(islice(stream(seed, split), count))


def _worded(rng: random.Random, level: int, task: _Sum) -> Problem:
    values = dict(zip("abc", task.operands, strict=False))
    question = rng.choice(task.templates).format(
        name=rng.choice(NAMES), thing=rng.choice(THINGS), **values
    )
    return Problem(level, f"Q: {question} A: ", str(task.result))
