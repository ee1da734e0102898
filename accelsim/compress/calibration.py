"""Windows of tokens that methods look at: the problems that ship, or a text file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError
from accelsim.evaluate.sample import Encoder
from accelsim.graph.zoo.tiny.problems import stream
from accelsim.recipe.methods import Calibration

Tokens = npt.NDArray[np.int64]

#: The text that ships.
PROBLEMS = "problems"


def windows(encoder: Encoder, wanted: Calibration) -> Tokens:
    """Return ``[samples, seq_len]`` tokens; the same settings give the same ones.

    Problems fill windows one after the other; of a file, windows begin at places drawn by the seed.

    Raises:
        InputError: a file that cannot be read, or a text that is shorter than a window.
    """
    if wanted.text == PROBLEMS:
        return _problems(encoder, wanted)
    tokens = np.array(encoder.encode(_read(Path(wanted.text).expanduser())), np.int64)
    body = wanted.seq_len - len(encoder.start)
    if body < 1 or len(tokens) < body:
        raise InputError(
            f"{wanted.text}: calibration text of {len(tokens):,} tokens is shorter than a window "
            f"of {wanted.seq_len:,} (calibration.seq_len)"
        )
    places = np.random.default_rng(wanted.seed).integers(
        0, len(tokens) - body + 1, size=wanted.samples
    )
    return np.stack([
        np.concatenate([np.array(encoder.start, np.int64), tokens[place : place + body]])
        for place in places
    ])  # fmt: skip


def _problems(encoder: Encoder, wanted: Calibration) -> Tokens:
    texts = (problem.text for problem in stream(wanted.seed, "train"))
    rows = []
    for _ in range(wanted.samples):
        row = list(encoder.start)
        while len(row) < wanted.seq_len:
            row += encoder.encode(next(texts))
        rows.append(row[: wanted.seq_len])
    return np.array(rows, np.int64)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: calibration text cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: calibration text is not UTF-8") from None
