"""The only place that prints. Results go to stdout; errors, notes and progress to stderr.

Lines with a file's position are never wrapped, so that terminals and editors can follow
``path:line:column``. Colours are left out where the output is no terminal or ``NO_COLOR`` is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from accelsim.cli import interrupts

#: Columns of a table that is piped somewhere: wide enough that nothing is cut off.
_PIPED_WIDTH = 320
#: Blanks around a column, and the least width of a name that was shortened.
_GAP, _LEAST_NAME = 2, 24


def _console(*, stderr: bool = False) -> Console:
    # Made per call: tests and notebooks exchange sys.stdout after this module was imported.
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return _Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_text(text: str) -> None:
    """Print a text to stdout, unwrapped and with one newline at its end."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def print_line(text: str, style: str = "") -> None:
    """Print a line of a result to stdout; ``style`` is rich's (``bold``, ``green``)."""
    _console().print(Text(text, style=style), soft_wrap=True)


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    numeric: Collection[str] = (),
    droppable: Sequence[str] = (),
) -> None:
    """Print a table to stdout.

    Where the terminal is too narrow, columns are left out and then the first one is shortened.

    Args:
        headers: one name per column.
        rows: the cells, as texts.
        title: a line above the table.
        numeric: names of the columns that are aligned to the right and never broken.
        droppable: names of the columns that may be left out, the first of them first.
    """
    console = _console()
    kept = _kept(headers, rows, console.width, droppable)
    headers, rows = [headers[i] for i in kept], [[row[i] for i in kept] for row in rows]
    widths = _widths(headers, rows)
    # What the others leave over: rich would take from all columns alike.
    room = max(_LEAST_NAME, console.width - _GAP * len(widths) - sum(widths[1:]))
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None)
    for header, width in zip(headers, widths, strict=True):
        side: Literal["left", "right"] = "right" if header in numeric else "left"
        shrinks = bool(droppable) and header == headers[0]
        table.add_column(
            Text(header),
            justify=side,
            overflow="ellipsis" if shrinks else "fold",
            no_wrap=header in numeric or shrinks,
            min_width=min(width, room) if shrinks else width if droppable else None,
            max_width=room if shrinks else None,
            header_style="bold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(headers, *rows, strict=True)]


def _kept(
    headers: Sequence[str], rows: Sequence[Sequence[str]], width: int, droppable: Sequence[str]
) -> list[int]:
    """Return the columns that are shown: the first may shrink to a third of the width."""
    widths = _widths(headers, rows)
    kept = list(range(len(headers)))
    for name in droppable:
        names = min(widths[0], max(width // 3, _LEAST_NAME))
        if names + sum(widths[i] for i in kept[1:]) + _GAP * len(kept) <= width:
            break
        kept.remove(headers.index(name))
    return kept


class _Console(Console):
    """A console that a reader may stop listening to, as in ``| head``."""

    def on_broken_pipe(self) -> None:
        """End quietly: what was read was read."""
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        raise SystemExit(0)


def print_error(text: str) -> None:
    """Print an error to stderr, every line whole; ``error:`` at its start is shown in red."""
    shown = Text(text)
    shown.highlight_regex("^error:", "bold red")
    _console(stderr=True).print(shown, soft_wrap=True)


def note(text: str) -> None:
    """Tell the user something on stderr that is not the result (what is being compiled, say)."""
    _console(stderr=True).print(Text(text, style="dim"), soft_wrap=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while the body runs, where stderr is a terminal.

    Yields:
        A function that is called with the number of steps done since the last call.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = _console(stderr=True)
    disable = not console.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=disable
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def stages(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show on stderr what is being done while the body runs, where stderr is a terminal.

    Args:
        quiet: show nothing.

    Yields:
        A function that is told what is being done, how much of it is done, and how much there is.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = _console(stderr=True)
    disable = quiet or not console.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=disable
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def tell(what: str, done: int, total: int) -> None:
            interrupts.check()
            if bar.tasks[0].description != what or bar.tasks[0].completed > done:
                bar.reset(task, description=what, total=total, visible=True)
            bar.update(task, completed=done, total=total)

        yield tell
