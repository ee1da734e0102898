"""What models are trained on: rows of tokens of a step, each with its weight in the loss."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch

from accelsim.errors import InputError
from accelsim.graph.zoo.tiny.problems import Problem, stream

#: Weight of a question's tokens in the loss; an answer's have 1.
QUESTION = 0.1


class Batches(Protocol):
    """Something that gives the rows of a step."""

    def at(self, step: int, rows: int, length: int) -> tuple[Any, Any]:
        """Return tokens and weights ``[rows, length + 1]``; the same step gives the same rows."""


class ProblemBatches:
    """Rows of whole problems.

    Args:
        tokenizer: of the model.
        offset: added to the number of a step, so that another training draws other problems.
    """

    def __init__(self, tokenizer: Any, offset: int = 0) -> None:
        self._tokenizer, self._offset = tokenizer, offset
        self.start, self.filler = tokenizer.bos_token_id, tokenizer.pad_token_id

    def at(self, step: int, rows: int, length: int) -> tuple[Any, Any]:
        """Return tokens and weights ``[rows, length + 1]``."""
        source = stream(self._offset + step, "train")
        made = [self._row(source, length + 1) for _ in range(rows)]
        return torch.tensor([ids for ids, _ in made]), torch.tensor([w for _, w in made])

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _row(self, source: Iterator[Problem], length: int) -> tuple[list[int], list[float]]:
        ids, weights = [self.start], [0.0]
        while True:
            problem = next(source)
            asked, answer = self._ids(problem.prompt), self._ids(f"{problem.answer}\n")
            if len(ids) + len(asked) + len(answer) > length:
                break
            ids += asked + answer
            weights += [QUESTION] * len(asked) + [1.0] * len(answer)
        missing = length - len(ids)
        return ids + [self.filler] * missing, weights + [0.0] * missing


class TextBatches:
    """Windows of a text, drawn at random; every other row begins as a text does.

    Args:
        tokens: of the text.
        start: the token that begins a text; None: there is none.
        seed: of the windows.
    """

    def __init__(self, tokens: Sequence[int], start: int | None = None, seed: int = 0) -> None:
        self._tokens, self._start, self._seed = list(tokens), start, seed

    def at(self, step: int, rows: int, length: int) -> tuple[Any, Any]:
        """Return tokens and weights ``[rows, length + 1]``.

        Raises:
            InputError: a text shorter than a window.
        """
        last = len(self._tokens) - length - 1
        if last < 0:
            raise InputError(
                f"the text has {len(self._tokens)} tokens, a window of training needs {length + 1}"
            )
        draw = random.Random(f"{self._seed}:{step}")
        windows = [self._tokens[at : at + length + 1] for at in self._places(draw, rows, last)]
        if self._start is not None:
            for window in windows[::2]:
                window[0] = self._start
        return torch.tensor(windows), torch.ones(rows, length + 1)

    @staticmethod
    def _places(draw: random.Random, rows: int, last: int) -> Iterator[int]:
        return (draw.randrange(last + 1) for _ in range(rows))
