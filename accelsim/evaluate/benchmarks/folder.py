"""Where data is looked for, and where a run keeps its answers until it is finished."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from accelsim.errors import InputError, OutputError
from accelsim.evaluate.benchmarks.result import ITEMS, RUN, Evaluation, read

#: The environment variable that names a folder of reference material, its data in a part of it.
REFERENCE, PART = "ACCELSIM_REFERENCE", "data"
AGAINST, PROVENANCE = "against.json", "provenance.json"
#: Files of a finished run.
FILES = (RUN, ITEMS, AGAINST, PROVENANCE)


def data_folder(named: str | None) -> Path:
    """Return the folder of the benchmarks' rows.

    Raises:
        InputError: none is named.
    """
    if named is not None:
        return Path(named).expanduser()
    reference = os.environ.get(REFERENCE)
    if not reference:
        raise InputError(
            f"no data: --data DIR names a folder of the benchmarks' rows, or ${REFERENCE} one "
            f"that holds it as {PART!r}; docs/evaluate.md lists the files"
        )
    return Path(reference) / PART


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        path: of the folder, which exists once the run is finished.
    """

    path: Path

    @property
    def journal(self) -> Path:
        """The file of answers beside the folder, while the run goes on."""
        target = self.path.expanduser().resolve()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{target}: cannot be made: {error.strerror}") from error
        return target.with_name(f"{target.name}.partial.jsonl")

    def finished(self, run: str) -> Evaluation | None:
        """Return the run of this id that the folder holds already; None when it does not."""
        if not (self.path / RUN).is_file():
            return None
        try:
            found = read(self.path)
        except InputError:
            return None
        return found if found.id == run else None

    def settle(self) -> None:
        """Remove the answers of a run that was written."""
        self.journal.unlink(missing_ok=True)
