"""What a user sees when something goes wrong: one message, the right exit code, no traceback."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from accelsim.cli import app as command_line
from accelsim.cli import specs
from accelsim.errors import RunError
from tests.support import ROOT, Cli

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}


def raising(error: BaseException) -> object:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


def break_ls(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setitem(specs._KINDS, "chips", raising(error))


def test_input_errors_exit_with_2_and_run_errors_with_1(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("specs", "show", "nothing").code == 2
    break_ls(monkeypatch, RunError("the buffer of [0] ran dry"))
    outcome = cli("specs", "ls")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: the buffer of [0] ran dry\n"


def test_a_position_is_never_wrapped_and_stands_first(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    file = tmp_path / ("a-long-name-" * 8 + ".yaml")
    file.write_text("extends: edge_npu\nclock_hz: as fast as it can possibly be made to go\n")
    outcome = cli("specs", "show", str(file))
    assert outcome.code == 2
    assert outcome.err.startswith(f"{file}:2:11: clock_hz: found 'as fast as it can possibly")
    assert len(outcome.err.splitlines()) == 1


def test_wrong_usage_exits_with_2_and_guesses(cli: Cli) -> None:
    outcome = cli("spces")
    assert (outcome.code, outcome.out) == (2, "")
    assert "Did you mean" in outcome.err and "'specs'" in outcome.err
    assert cli("specs", "show").code == 2
    assert cli("specs", "ls", "--nothing").code == 2


def test_an_interrupt_is_one_line_and_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    break_ls(monkeypatch, KeyboardInterrupt())
    outcome = cli("specs", "ls")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")
    break_ls(monkeypatch, KeyboardInterrupt("go on with: accelsim explore --resume"))
    assert cli("specs", "ls").err == "go on with: accelsim explore --resume\n"


def test_a_defect_says_so_and_where(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    break_ls(monkeypatch, ZeroDivisionError("division by zero"))
    outcome = cli("specs", "ls")
    assert outcome.code == 1
    assert "a defect of accelsim, not of your input: ZeroDivisionError" in outcome.err
    assert f"at {__file__}:" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("error", [RunError("dry"), ZeroDivisionError("zero")])
def test_debug_lets_the_error_through_wherever_the_flag_stands(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    break_ls(monkeypatch, error)
    for arguments in (["--debug", "specs", "ls"], ["specs", "ls", "--debug"]):
        with pytest.raises(type(error)):
            command_line.main(arguments)
    monkeypatch.setenv("ACCELSIM_DEBUG", "1")
    with pytest.raises(type(error)):
        command_line.main(["specs", "ls"])


def test_debug_prints_a_traceback_without_local_variables() -> None:
    command = [sys.executable, "-m", "accelsim", "specs", "show", "nothing", "--debug"]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "UnknownNameError" in run.stderr
    assert "load.py" in run.stderr
    assert "locals" not in run.stderr


def test_a_closed_pipe_is_no_error_to_talk_about() -> None:
    command = f"'{sys.executable}' -m accelsim specs show edge_npu | head -n 1"
    run = subprocess.run(
        command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert len(run.stdout.splitlines()) == 1
    assert run.stderr == ""


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_no_color(no_color: str, colored: bool) -> None:
    main_end, terminal = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm-256color"} | (
        {"NO_COLOR": no_color} if no_color else {}
    )
    command = [sys.executable, "-m", "accelsim", "specs", "show", "nothing"]
    run = subprocess.run(command, env=environment, stderr=terminal, check=False)
    os.close(terminal)
    shown = os.read(main_end, 4096).decode()
    os.close(main_end)
    assert run.returncode == 2
    assert ("31m" in shown) == colored
    assert "unknown chip 'nothing'" in shown


def test_version_and_bare_call(cli: Cli) -> None:
    from accelsim import __version__

    assert cli("--version").out == f"accelsim {__version__}\n"
    bare = cli()
    assert "specs" in bare.out + bare.err
