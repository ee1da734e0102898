"""The folder that a run leaves behind, written whole or not at all, and read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Never

from accelsim.errors import InputError, OutputError
from accelsim.report.folder import beside, swap
from accelsim.report.rows import Run, layers_csv
from accelsim.report.shape import problem
from accelsim.sim.result import Span

RUN, LAYERS, REPORT = "run.json", "layers.csv", "report.html"
TRACE, PROVENANCE, PLOTS = "timeline.perfetto-trace", "provenance.json", "plots"

_OURS = {RUN, LAYERS, REPORT, TRACE, PROVENANCE, PLOTS}


def run_json(run: Run) -> str:
    """Return the text of ``run.json``."""
    return json.dumps(run, indent=1, allow_nan=False) + "\n"


def write_run(
    run: Run,
    spans: Iterable[Span],
    folder: str | Path,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write everything about a run into ``folder``, which then holds all of it or what it held.

    Args:
        run: the JSON form of the run.
        spans: its timeline.
        folder: made when it does not exist; an earlier run in it is replaced.
        provenance: what may differ between equal runs: time, host, command.

    Returns:
        The folder, as an absolute path.

    Raises:
        OutputError: the folder holds something else or cannot be written.
    """
    target = Path(folder).resolve()
    check_folder(target)
    with _errors_of(target), beside(target) as aside:
        fresh = aside / "new"
        fresh.mkdir()
        _write_files(run, spans, fresh, provenance)
        swap(fresh, target, aside / "old")
    return target


def check_folder(folder: str | Path) -> None:
    """Say before a long run that its folder could not be written.

    Raises:
        OutputError: ``write_run`` would refuse the folder.
    """
    target = Path(folder).resolve()
    with _errors_of(target):
        _refuse_foreign(target)
        with beside(target):
            pass


def write_file(path: str | Path, text: str) -> None:
    """Write one file whole or not at all; an earlier one is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    target = Path(path).resolve()
    check_file(target)
    with _errors_of(target), beside(target) as aside:
        _write_text(aside / "new", text)
        os.replace(aside / "new", target)


def check_file(path: str | Path) -> None:
    """Say before a long run that its file could not be written.

    Raises:
        OutputError: ``write_file`` would refuse the file.
    """
    target = Path(path).resolve()
    with _errors_of(target):
        _refuse_orphan(target)
        if target.is_dir():
            raise OutputError(f"{target}: is a folder, a file is needed")
        with beside(target):
            pass


@contextmanager
def _errors_of(target: Path) -> Iterator[None]:
    """Say in one line which place could not be written and why."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


def _write_files(
    run: Run, spans: Iterable[Span], folder: Path, provenance: Mapping[str, Any] | None
) -> None:
    # Imported here: they load matplotlib, jinja2 and perfetto.
    from accelsim.report.html import html_report
    from accelsim.report.plots import write_plots
    from accelsim.report.timeline import write_trace

    _write_text(folder / RUN, run_json(run))
    _write_text(folder / LAYERS, layers_csv(run))
    (folder / PLOTS).mkdir()
    write_plots(run, folder / PLOTS)
    _write_text(folder / REPORT, html_report(run))
    with (folder / TRACE).open("wb") as file:
        write_trace(run, spans, file)
    if provenance is not None:
        _write_text(folder / PROVENANCE, run_json(provenance))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _refuse_orphan(target: Path) -> None:
    if not target.parent.is_dir():
        raise OutputError(f"{target}: the folder {target.parent} does not exist")


def _refuse_foreign(target: Path) -> None:
    """Refuse a target whose replacement would lose something that is not ours."""
    _refuse_orphan(target)
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target}: is a file, a folder is needed")
    if Path.cwd().is_relative_to(target):
        raise OutputError(f"{target}: is the current folder; name a new one in it")
    names = sorted(entry.name for entry in target.iterdir())
    if not names:
        return
    if RUN not in names:
        raise OutputError(f"{target}: is not empty and holds no {RUN}; choose another folder")
    foreign = [name for name in names if name not in _OURS] + _foreign_plots(target / PLOTS)
    if foreign:
        raise OutputError(f"{target}: holds {foreign[0]}, which no run writes; move it away first")
    try:
        read_run(target)
    except InputError as error:
        raise OutputError(f"{target}: holds a {RUN} of something else ({error})") from error


def _foreign_plots(folder: Path) -> list[str]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [f"{PLOTS}/{entry.name}" for entry in entries if entry.suffix not in (".svg", ".csv")]


def read_run(path: str | Path) -> dict[str, Any]:
    """Read a saved run.

    Args:
        path: a ``run.json``, or the folder that holds it.

    Raises:
        InputError: it cannot be read, is not a run, or has a schema version that is not known.
    """
    file = Path(path)
    if file.is_dir():
        file = file / RUN
    try:
        value = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}:{error.colno}"
        raise InputError(f"{where}: is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not JSON: {error}") from error
    found = problem(value)
    if found:
        raise InputError(f"{file}: {found}")
    run: dict[str, Any] = value
    return run


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON number")
