"""The command line: one verb per file, and the one place where errors become exit codes.

A verb is a function in a file of its own. It imports what is heavy inside the function, prints
through ``accelsim.cli.console``, raises the errors of ``accelsim.errors``, and is registered by one
line at the end of this file.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from accelsim.cli import (
    compare,
    compress,
    console,
    evaluate,
    interrupts,
    predict,
    replay,
    report,
    scalesim,
    simulate,
    specs,
    validate,
    vectors,
)
from accelsim.errors import AccelsimError, FileError
from accelsim.version import __version__

_INTERRUPTED = 130


class _Verbs(TyperGroup):
    """The group of verbs: whatever a verb raises ends here."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; an error becomes a message and an exit code."""
        debug = ctx.params.get("debug") or os.environ.get("ACCELSIM_DEBUG", "") not in ("", "0")
        return _guarded(lambda: super(_Verbs, self).invoke(ctx), debug=bool(debug))


app = typer.Typer(
    name="accelsim",
    cls=_Verbs,
    help="What would this model, compressed this way, cost on this chip, and what would it get "
    "wrong?",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ``--debug`` may stand anywhere in it."""
    interrupts.listen()
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbs = [argument for argument in given if argument != "--debug"]
    debug = ["--debug"] if len(verbs) < len(given) else []
    app(args=[*debug, *verbs], prog_name="accelsim")


def _version(wanted: bool) -> None:
    if wanted:
        console.print_text(f"accelsim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (or ACCELSIM_DEBUG=1).")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options before the verb; they are read by the group and by their callbacks."""


def _guarded(run: Callable[[], Any], *, debug: bool) -> Any:
    try:
        result = run()
        sys.stdout.flush()
        return result
    except KeyboardInterrupt as interrupt:
        _stop(str(interrupt) or "interrupted", _INTERRUPTED)
    except AccelsimError as error:
        if debug:
            raise
        _stop(_message(error), error.exit_code)
    except Exception as error:
        if _interrupted(error):
            _stop("interrupted", _INTERRUPTED)
        if debug or isinstance(error, BrokenPipeError) or _is_typers(error):
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG):
            _stop(f"error: standard output cannot be written: {error.strerror}", 1)
        _stop(_defect(error), AccelsimError.exit_code)


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C lies at the root: inside a kernel Numba turns it into an error of its own."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_typers(error: Exception) -> bool:
    """Whether typer raised it: wrong usage, or an exit that was asked for."""
    return type(error).__module__.partition(".")[0] in ("typer", "click")


def _message(error: AccelsimError) -> str:
    # Lines that start with a position stay bare, so that editors can jump to them.
    placed = isinstance(error, FileError) and all(mistake.where for mistake in error.mistakes)
    return str(error) if placed else f"error: {error}"


def _defect(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = "".join(traceback.format_exception_only(error)).strip()
    return (
        f"error: a defect of accelsim, not of your input: {what}\n"
        f"  at {frame.filename}:{frame.lineno}; run it again with --debug to see the traceback"
    )


def _stop(message: str, exit_code: int) -> NoReturn:
    console.print_error(message)
    raise typer.Exit(exit_code)


# One line per verb: app.command()(simulate.simulate), or app.add_typer for a group of verbs.
app.command()(simulate.simulate)
app.command()(predict.predict)
app.command()(compare.compare)
app.command()(report.report)
app.command()(validate.validate)
app.command()(vectors.vectors)
app.command()(evaluate.evaluate)
app.command()(compress.compress)
app.command()(scalesim.scalesim)
app.add_typer(specs.app, name="specs")
app.add_typer(replay.app, name="replay")
