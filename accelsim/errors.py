"""The one tree of errors that accelsim raises on purpose.

::

    AccelsimError                 exit code 1: the run failed
    ├── RunError                  the simulation itself could not go on
    ├── ValidationFailed          a comparison was made and did not pass
    └── InputError                exit code 2: what the user gave cannot be used
        ├── SpecError             a chip's file
        ├── RecipeError           a recipe's file, or a format that the chip does not build
        ├── GraphError            a graph that does not verify, or names an op without a model
        ├── CaptureError          a model that could not be recorded
        ├── CheckpointError       weights that cannot be read safely
        ├── MappingError          an op that does not fit the chip
        ├── UnknownNameError      a name that is not in the list it should be in
        ├── MissingExtraError     an optional dependency that is not installed
        └── OutputError           a place that cannot be written

Anything else that escapes is a defect of accelsim.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class AccelsimError(Exception):
    """Root of the tree; ``exit_code`` is what the command line returns."""

    exit_code = 1


class RunError(AccelsimError):
    """The input was good and the run still could not finish."""


class ValidationFailed(AccelsimError):
    """A prediction was compared with a measurement and missed its goal."""


class InputError(AccelsimError):
    """Wrong usage or input: the message says where, what, and what is allowed."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file: ``path:line:column`` (or just the path), the key, and the sentence."""

    where: str
    key: str
    what: str

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where else ""
        return f"{head}{self.key}: {self.what}" if self.key else f"{head}{self.what}"


class FileError(InputError):
    """An input file with mistakes, all of them at once, one per line."""

    def __init__(self, mistakes: Sequence[Mistake] | str) -> None:
        self.mistakes = (
            (Mistake("", "", mistakes),) if isinstance(mistakes, str) else tuple(mistakes)
        )
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class SpecError(FileError):
    """A chip's file holds mistakes."""


class RecipeError(FileError):
    """A recipe holds mistakes, or asks for formats that the chip does not build."""


class GraphError(InputError):
    """A graph does not verify."""


class CaptureError(InputError):
    """A model could not be recorded."""


class CheckpointError(InputError):
    """A checkpoint is truncated, pickled, or does not belong to its configuration."""


class MappingError(InputError):
    """An op does not fit the chip: the message names the level, the tensor and the bytes over."""


class UnknownNameError(InputError):
    """A name that is not among the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}{nearest(name, known)}")


class MissingExtraError(InputError):
    """An optional dependency is needed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'accelsim[{extra}]'")


class OutputError(InputError):
    """A file or folder cannot be written."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the tail of a message: the closest known name, or all of them when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    # A name may be the misspelt beginning of a longer one: bandwith, bandwidth_bytes_per_s.
    close = close or [n for n in names if len(name) > 3 and _starts_alike(name, n)][:1]
    if close:
        return f" (did you mean {close[0]!r}? known: {', '.join(names)})"
    return f" (known: {', '.join(names)})" if names else ""


def _starts_alike(name: str, known: str) -> bool:
    start = known[: len(name) + 1]
    return difflib.SequenceMatcher(None, name, start).ratio() > 0.85
