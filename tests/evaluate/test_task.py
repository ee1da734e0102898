"""Problems, their split, and the score of models that answer well, badly and not at all."""

from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest

from accelsim.evaluate import task
from accelsim.evaluate.truth import Truth
from accelsim.graph.zoo import load
from accelsim.graph.zoo.tiny.problems import LEVELS, SHARES, Problem, problems, stream
from tests.tiny import encoder, running


def quiet(done: int, total: int) -> None:
    """Say nothing."""


def numbers(problem: Problem) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in problem.prompt)
    return tuple(sorted(int(part) for part in digits.split()))


def test_no_test_problem_has_numbers_of_a_training_problem() -> None:
    seen = {(p.level, numbers(p), p.prompt.split()[2]) for p in islice(stream(0, "train"), 20_000)}
    wanted = {(p.level, numbers(p), p.prompt.split()[2]) for p in problems(5_000)}
    both = {key[:2] for key in seen} & {key[:2] for key in wanted}
    # Sums and differences of one pair are different problems; nothing else may coincide.
    assert {level for level, _ in both} <= {1, 2, 4}
    kinds = [{(level, n): kind for level, n, kind in part} for part in (seen, wanted)]
    assert all(kinds[0][key] != "" for key in both)


def test_answers_are_right_and_every_level_is_asked() -> None:
    asked = problems(2_000)
    assert {problem.level for problem in asked} == set(LEVELS) == set(SHARES)
    for problem in asked:
        a, b, *rest = (int(w) for w in "".join(
            c if c.isdigit() else " " for c in problem.prompt
        ).split())  # fmt: skip
        possible = {a + b, a - b, a * b}
        for c in rest:
            possible |= {a + b - c, a * b + c}
        assert int(problem.answer) in possible


def test_the_same_seed_gives_the_same_problems_and_a_longer_list_begins_alike() -> None:
    assert problems(50, 3) == problems(50, 3) == problems(80, 3)[:50]
    assert problems(50, 3) != problems(50, 4)


def test_any_text_can_be_encoded() -> None:
    text = "Größe 😀 \x00 1234 Ana"
    ids = encoder().encode(text)
    assert ids
    assert max(ids) < 384
    assert encoder()._tokenizer.decode(ids) == text


def test_a_model_that_always_says_the_same_scores_nothing() -> None:
    encoded = task.encode(encoder(), task.asked(100))

    def constant(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        logits = np.zeros((*tokens.shape, 384), np.float32)
        logits[..., 17] = 1.0
        return logits

    assert not any(task.solved(constant, encoded, quiet))


def test_a_model_that_knows_the_answers_scores_everything() -> None:
    given = task.asked(100)
    encoded = task.encode(encoder(), given)
    after = {e.tokens: (*e.tokens[1:], e.answer[-1]) for e in encoded}

    def knowing(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        logits = np.zeros((*tokens.shape, 384), np.float32)
        for row, line in enumerate(tokens):
            logits[row, np.arange(len(line)), after[tuple(line.tolist())]] = 1.0
        return logits

    assert all(task.solved(knowing, encoded, quiet))
    summary = task.summary(given, [True] * 100, [True] * 99 + [False])
    assert summary["difference"] == pytest.approx(0.01)
    assert sum(level["n"] for level in summary["levels"]) == 100


def test_one_pass_scores_as_a_greedy_decoder_does() -> None:
    model, given = running("w4a4_int4_g32"), task.asked(12)
    encoded = task.encode(encoder(), given)
    found = task.solved(model.logits, encoded, quiet)
    for problem, right in zip(encoded, found, strict=True):
        tokens = list(problem.prompt)
        for _ in problem.answer:
            tokens.append(int(model.logits(np.array([tokens]))[0, -1].argmax()))
        assert (tuple(tokens[len(problem.prompt) :]) == problem.answer) == right


def test_the_shipped_model_answers_as_trained() -> None:
    """A model that knows nothing, or always says the same, turns this red."""
    given = task.asked(400)
    right = Truth(load("tiny")).solved(400, quiet)
    assert 0.85 <= sum(right) / 400 <= 0.97
    by_level = {
        level: [ok for ok, problem in zip(right, given, strict=True) if problem.level == level]
        for level in LEVELS
    }
    shares = {level: sum(found) / len(found) for level, found in by_level.items()}
    assert shares[1] > 0.98
    assert shares[2] > 0.95
    assert shares[2] > shares[3] > shares[4] > 0.5
