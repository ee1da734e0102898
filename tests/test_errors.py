"""The tree of errors: exit codes, messages, and the drawing in its docstring."""

from __future__ import annotations

import re

import pytest

from accelsim import errors
from accelsim.errors import AccelsimError, FileError, InputError, Mistake, nearest

TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AccelsimError)
]


def test_the_drawing_shows_every_error_under_its_parent() -> None:
    drawing = errors.__doc__ or ""
    for kind in TREE:
        if kind is FileError:
            # A mould for the file errors, which are drawn as its children's own.
            continue
        assert re.search(rf"\b{kind.__name__}\b", drawing), kind.__name__
    drawn = set(re.findall(r"[├└]── (\w+)", drawing))
    assert drawn <= {kind.__name__ for kind in TREE}


def test_exit_codes_tell_wrong_input_from_a_failed_run() -> None:
    assert {kind.exit_code for kind in TREE if issubclass(kind, InputError)} == {2}
    assert {kind.exit_code for kind in TREE if not issubclass(kind, InputError)} == {1}


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (Mistake("a.yaml:1:2", "dram.x", "unknown key"), "a.yaml:1:2: dram.x: unknown key"),
        (Mistake("a.yaml", "", "is empty"), "a.yaml: is empty"),
        (Mistake("", "dram", "is missing"), "dram: is missing"),
        (Mistake("", "", "no"), "no"),
    ],
)
def test_a_mistake_as_a_line(mistake: Mistake, text: str) -> None:
    assert str(mistake) == text


def test_a_file_error_is_its_mistakes_one_per_line() -> None:
    mistakes = [Mistake("a", "k", "x"), Mistake("b", "", "y")]
    error = errors.SpecError(mistakes)
    assert str(error) == "a: k: x\nb: y"
    assert error.mistakes == tuple(mistakes)
    assert errors.RecipeError("just this").mistakes == (Mistake("", "", "just this"),)


def test_nearest_guesses_or_lists() -> None:
    assert nearest("int9", ["int8", "bf16"]) == " (did you mean 'int8'? known: bf16, int8)"
    assert nearest("zzz", ["int8", "bf16"]) == " (known: bf16, int8)"
    assert nearest("zzz", []) == ""


def test_a_missing_extra_says_what_to_type() -> None:
    error = errors.MissingExtraError("recording a torch model", "torch")
    assert str(error) == "recording a torch model needs an extra: pip install 'accelsim[torch]'"
