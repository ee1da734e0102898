"""Text that values are computed on: problems that ship, in the tokens of the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from accelsim.errors import InputError
from accelsim.graph.zoo.tiny.problems import stream

Tokens = npt.NDArray[np.int64]

#: Seed of the problems that a sample of text is made of.
SEED = 0
#: What a sample of text is, for the report.
TEXT = f"arithmetic word problems of the test split, seed {SEED}"


class Encoder:
    """A model's tokenizer, and the token that begins a text.

    Args:
        folder: the model's Hugging Face folder.
        vocabulary: rows of the model's table of tokens.

    Raises:
        InputError: no tokenizer there, or one that cannot be read.
    """

    def __init__(self, folder: Path, vocabulary: int) -> None:
        self.folder, self.vocabulary = folder, vocabulary
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise InputError(f"{folder}: no tokenizer.json: no text can be given to the model")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception for a file it cannot read
            raise InputError(f"{path}: not a tokenizer ({error})") from None
        self.start = _start(folder)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without special ones.

        Raises:
            InputError: a token that the model's table does not hold.
        """
        found = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if found and max(found) >= self.vocabulary:
            raise InputError(
                f"{self.folder}: the tokenizer gives token {max(found)}, the model has "
                f"{self.vocabulary}"
            )
        return found


def _start(folder: Path) -> list[int]:
    path = folder / "config.json"
    token = json.loads(path.read_text(encoding="utf-8")).get("bos_token_id")
    return [token] if isinstance(token, int) else []


def sample(encoder: Encoder, batch: int, length: int) -> Tokens:
    """Return ``[batch, length]`` tokens: every row begins a text of problems and answers."""
    rows: list[list[int]] = []
    texts = (problem.text for problem in stream(SEED, "test"))
    for _ in range(batch):
        row = list(encoder.start)
        while len(row) < length:
            row += encoder.encode(next(texts))
        rows.append(row[:length])
    return np.array(rows, np.int64)
