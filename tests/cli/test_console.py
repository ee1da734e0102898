"""What is printed where, and what stays whole."""

from __future__ import annotations

import io
import sys

import pytest

from accelsim.cli import console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_piped_table_is_not_cut_and_keeps_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(["name", "cycles"], [("[red]a[/red]" * 10, "12"), ("b", "3")], title="Top")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].strip() == "Top"
    assert shown[2].split() == ["[red]a[/red]" * 10, "12"]


def test_numeric_columns_end_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(["op", "n"], [("a", "1"), ("b", "1000")], numeric=["n"])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert len({len(line) for line in lines}) == 1


def test_texts_end_in_one_newline(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_text("a")
    console.print_text("b\n")
    assert capsys.readouterr().out == "a\nb\n"


def test_notes_and_errors_go_to_stderr_unwrapped(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("n" * 500)
    console.print_error("error: " + "e" * 500)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "n" * 500 + "\nerror: " + "e" * 500 + "\n"


@pytest.mark.parametrize(("stream", "shows"), [(io.StringIO, False), (Terminal, True)])
def test_progress_is_for_terminals_only(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], shows: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    with console.progress("searching", total=2) as step:
        step(1)
        step(1)
    assert ("searching" in stderr.getvalue()) == shows
