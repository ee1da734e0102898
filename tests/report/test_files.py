from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest

from accelsim.errors import OutputError
from accelsim.report import files, html, plots, timeline
from accelsim.report.numerics import PICTURE_COLUMNS
from accelsim.report.rows import layers_csv
from accelsim.sim.result import Span

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]

SPANS = [Span("dram", "q", 0, 1000, 1), Span("array", "q", 1000, 5000, 1)]
WRITTEN = {
    "run.json", "layers.csv", "report.html", "timeline.perfetto-trace", "provenance.json",
    *(f"plots/{name}.{ending}" for name in plots.PLOTS for ending in ("svg", "csv")),
}  # fmt: skip
#: Only a run with values leaves these.
OF_VALUES = {"plots/errors.svg", "plots/errors.csv"}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def fails(error: BaseException) -> Callable[..., Never]:
    def raising(*arguments: Any, **named: Any) -> Never:
        raise error

    return raising


@pytest.fixture(scope="module")
def written(
    small_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    """A written run; treat as read-only."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    files.write_run(small_run, SPANS, folder, {"command": "accelsim simulate"})
    return folder, contents(folder)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out the pictures, which take a second and change nothing here."""
    monkeypatch.setattr(plots, "write_plots", lambda run, folder: None)
    monkeypatch.setattr(html, "html_report", lambda run: "page\n")
    yield


def test_a_run_leaves_these_files(small_run: Run, written: tuple[Path, dict[str, bytes]]) -> None:
    folder, held = written
    assert set(held) == WRITTEN - OF_VALUES
    assert json.loads(held["run.json"]) == small_run
    assert files.read_run(folder) == files.read_run(folder / "run.json") == small_run
    assert held["run.json"] == files.run_json(small_run).encode()
    assert held["layers.csv"].decode() == layers_csv(small_run)
    assert json.loads(held["provenance.json"]) == {"command": "accelsim simulate"}
    assert held["timeline.perfetto-trace"] == timeline.trace_bytes(small_run, SPANS)
    assert [entry.name for entry in folder.parent.iterdir()] == ["first"]


def test_a_run_with_values_leaves_its_errors_too(valued_run: Run, tmp_path: Path) -> None:
    folder = files.write_run(valued_run, SPANS, tmp_path / "out", {"command": "accelsim"})
    held = contents(folder)
    assert set(held) == WRITTEN
    assert files.read_run(folder) == valued_run
    lines = held["plots/errors.csv"].decode().splitlines()
    assert lines[0].split(",") == list(PICTURE_COLUMNS)
    assert len(lines) == 1 + len(valued_run["layers"])


def test_bytes_are_the_same_every_time(
    small_run: Run, written: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    again = files.write_run(small_run, iter(SPANS), tmp_path / "again", {"command": "other"})
    held = contents(again)
    assert held.pop("provenance.json") != written[1]["provenance.json"]
    assert held == {k: v for k, v in written[1].items() if k != "provenance.json"}


@pytest.mark.usefixtures("quick")
def test_permissions_are_the_users(small_run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    folder = files.write_run(small_run, SPANS, tmp_path / "out")
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert not (folder / "provenance.json").exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("where", ["new", "empty", "earlier", "link"])
def test_where_a_run_may_go(small_run: Run, make_run: Make, tmp_path: Path, where: str) -> None:
    target = tmp_path / "out"
    real = target
    if where == "empty":
        target.mkdir()
    elif where == "earlier":
        files.write_run(make_run(model="earlier"), SPANS, target, {"old": True})
    elif where == "link":
        real = tmp_path / "real"
        real.mkdir()
        target.symlink_to(real)
    files.check_folder(target)
    assert files.write_run(small_run, SPANS, target) == real
    assert files.read_run(target)["model"] == "small-lm"
    assert not (real / "provenance.json").exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {target.name, real.name}


def nothing(target: Path, run: Run) -> None:
    """No preparation."""


def a_file(target: Path, run: Run) -> None:
    target.write_text("mine")


def a_foreign_folder(target: Path, run: Run) -> None:
    target.mkdir()
    (target / "thesis.tex").write_text("mine")


def another_tools_run(target: Path, run: Run) -> None:
    target.mkdir()
    (target / "run.json").write_text("{}")


def a_run_with_notes(target: Path, run: Run) -> None:
    files.write_run(run, SPANS, target)
    (target / "notes.md").write_text("mine")


def a_run_with_pictures(target: Path, run: Run) -> None:
    files.write_run(run, SPANS, target)
    (target / "plots" / "mine.png").write_text("mine")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("prepare", "name", "reason"),
    [
        (nothing, "missing/out", "the folder .*missing does not exist"),
        (a_file, "out", "is a file, a folder is needed"),
        (a_file, "out/in", "the folder .*out does not exist"),
        (a_foreign_folder, "out", "is not empty and holds no run.json"),
        (another_tools_run, "out", "run.json of something else .*no schema_version"),
        (a_run_with_notes, "out", "holds notes.md, which no run writes"),
        (a_run_with_pictures, "out", "holds plots/mine.png, which no run writes"),
    ],
)
def test_what_is_in_the_way_stays(
    small_run: Run, tmp_path: Path, prepare: Callable[[Path, Run], None], name: str, reason: str
) -> None:
    prepare(tmp_path / "out", small_run)
    before = contents(tmp_path)
    for attempt in (lambda t: files.write_run(small_run, SPANS, t), files.check_folder):
        with pytest.raises(OutputError, match=reason) as caught:
            attempt(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_the_current_folder_is_not_pulled_away(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is the current folder"):
        files.write_run(small_run, SPANS, ".")


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
FAILURES = [
    (tempfile, "mkdtemp", DENIED),
    (files, "layers_csv", FULL),
    (plots, "write_plots", FULL),
    (timeline, "write_trace", FULL),
    (os, "rename", DENIED),
    (timeline, "write_trace", KeyboardInterrupt()),
    (os, "rename", KeyboardInterrupt()),
    (html, "html_report", ValueError("a defect")),
]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("earlier", [False, True], ids=["new", "over an earlier run"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_what_was_there(
    small_run: Run,
    make_run: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: tuple[Any, str, BaseException],
    earlier: bool,
) -> None:
    module, name, error = failure
    target = tmp_path / "out"
    if earlier:
        files.write_run(make_run(model="earlier"), SPANS, target)
    before = contents(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, fails(error))
        expected = OutputError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected) as caught:
            files.write_run(small_run, SPANS, target)
    if isinstance(error, OSError):
        assert str(caught.value) == f"{target}: cannot be written: {error.strerror}"
    assert contents(tmp_path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == (["out"] if earlier else [])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [DENIED, KeyboardInterrupt()], ids=["denied", "interrupted"])
def test_an_interrupted_swap_puts_the_old_run_back(
    small_run: Run,
    make_run: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    target = tmp_path / "out"
    files.write_run(make_run(model="earlier"), SPANS, target)
    before, rename, calls = contents(tmp_path), os.rename, []

    def second_fails(source: Path, place: Path) -> None:
        calls.append(place)
        if len(calls) == 2:
            raise error
        rename(source, place)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", second_fails)
        with pytest.raises((OutputError, KeyboardInterrupt)):
            files.write_run(small_run, SPANS, target)
    assert len(calls) == 3
    assert contents(tmp_path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        (folder / "probe").touch()
    except PermissionError:
        yield folder
        folder.chmod(0o755)
    else:
        pytest.skip("this user may write everywhere")


@pytest.mark.usefixtures("quick")
def test_a_read_only_parent(small_run: Run, read_only: Path) -> None:
    with pytest.raises(OutputError, match="Permission denied"):
        files.write_run(small_run, SPANS, read_only / "out")
    with pytest.raises(OutputError, match="Permission denied"):
        files.check_folder(read_only / "out")
    with pytest.raises(OutputError, match="Permission denied"):
        files.write_file(read_only / "out.csv", "a\n")
    assert list(read_only.iterdir()) == []


def test_one_file_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.csv"
    files.check_file(target)
    assert list(tmp_path.iterdir()) == []
    files.write_file(target, "a,b\n1,µ\n")
    files.write_file(target, "a,b\n2,µ\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails(FULL))
        with pytest.raises(OutputError, match=r"out\.csv: cannot be written: No space left"):
            files.write_file(target, "a\n")
    assert contents(tmp_path) == {"out.csv": "a,b\n2,µ\n".encode()}
    with pytest.raises(OutputError, match="is a folder, a file is needed"):
        files.write_file(tmp_path, "a\n")
    with pytest.raises(OutputError, match="does not exist"):
        files.check_file(tmp_path / "missing" / "out.csv")


def test_json_holds_no_infinity(make_run: Make) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.run_json(make_run(totals={"power_w": float("inf")}))
