"""The subjects by name, where their data lies, and both steps of validating one."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import cast

from accelsim.errors import InputError, UnknownNameError
from accelsim.validate import kernels
from accelsim.validate.result import Result, Validation
from accelsim.validate.subject import Progress, Subject, by_key, to_csv

#: The environment variable that names a folder of measurements.
REFERENCE = "ACCELSIM_REFERENCE"

#: Subjects that predict rows of tables, by name; each is a module here with a ``SUBJECT``.
TABLES = ("array", "dram", "mapping")
#: Everything that can be validated.
SUBJECTS = ("kernels", *TABLES)


def subject(what: str) -> Subject:
    """Return a subject that predicts rows of tables.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if what not in TABLES:
        raise UnknownNameError("thing to validate", what, SUBJECTS)
    return cast(Subject, import_module(f"accelsim.validate.{what}").SUBJECT)


def folder_of(what: str, data: str | None) -> Path:
    """Return the folder to validate with: the named one, the reference's, or what ships.

    A folder that has the subject's part as a folder of its own stands for that part.

    Raises:
        InputError: no folder is named and nothing ships for the subject.
        UnknownNameError: there is no such subject.
    """
    part = kernels.PART if what == "kernels" else subject(what).folder
    named = data if data is not None else os.environ.get(REFERENCE)
    if named:
        inside = Path(named) / part
        return inside if inside.is_dir() or data is None else Path(named)
    if what == "kernels":
        return kernels.SHIPPED
    raise InputError(
        f"validate {what} compares with measurements: --data DIR names a folder of them, or "
        f"${REFERENCE} one with a folder {part!r}; docs/timing.md says which files are read"
    )


def predict(what: str, folder: Path, progress: Progress) -> str:
    """Return ``predictions.csv`` of a folder.

    Raises:
        InputError: nothing in the folder is known, or a file cannot be read.
    """
    if what == "kernels":
        return kernels.predictions(folder)
    found = list(subject(what).predict(_checked(folder), progress))
    if not found:
        raise InputError(f"{folder}: no file of it is one that validate {what} reads")
    return to_csv(found)


def compare(what: str, folder: Path, text: str, where: str) -> Validation[Result]:
    """Hold predictions to the measurements of a folder.

    Raises:
        InputError: a file cannot be read.
    """
    sets = subject(what).compare(_checked(folder), by_key(text, where))
    return Validation(what, folder, sets)


def _checked(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    return folder
