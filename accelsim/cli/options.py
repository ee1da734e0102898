"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from accelsim.cli import console
from accelsim.errors import InputError, UnknownNameError

Arch = Annotated[str, typer.Argument(metavar="ARCH", help="A shipped chip or a path to its YAML.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the chip: dma.engines=8."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]
PhaseOption = Annotated[str, typer.Option("--phase", help="prefill or decode.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Sequences or images.")]
SeqLen = Annotated[int, typer.Option("--seq-len", min=1, help="Tokens per sequence of a prefill.")]
ContextLen = Annotated[
    int | None,
    typer.Option("--context-len", min=1, help="Tokens in the cache of a decode; as --seq-len."),
]
Logits = Annotated[str, typer.Option("--logits", help="Positions with logits: last or all.")]
#: As ``sim.outcome.FIDELITIES``, which the help does not import.
FIDELITIES = ("analytical", "tile", "cycle")
FidelityOption = Annotated[
    str, typer.Option("--fidelity", help="tile, analytical, or cycle: clock by clock, small ops.")
]
#: As ``api.OBJECTIVES``, which the help does not import.
OBJECTIVES = ("latency", "energy", "edp")
ObjectiveOption = Annotated[
    str,
    typer.Option("--objective", help="What plans are chosen by: latency, energy (moves) or edp."),
]
Numerics = Annotated[
    str | None,
    typer.Option(
        "--numerics", metavar="MODE",
        help="Also compute what the chip gets wrong: exact (every value in its arithmetic), "
        "sampled (chosen rows of it) or fast (its number formats only). Left out: time and energy "
        "alone.",
    ),
]  # fmt: skip
Problems = Annotated[
    int | None,
    typer.Option(
        "--problems", min=1, metavar="N",
        help="Problems to ask a model that has a task, with --numerics; default 200.",
    ),
]  # fmt: skip
Output = Annotated[
    str | None,
    typer.Option("-o", "--output-dir", help="Folder for run.json, layers.csv, report and trace."),
]


def choice(kind: str, value: str, allowed: tuple[str, ...]) -> Any:
    """Return a value that is one of the allowed ones.

    Raises:
        UnknownNameError: it is not.
    """
    if value not in allowed:
        raise UnknownNameError(kind, value, allowed)
    return value


def numerics_mode(value: str | None) -> Any:
    """Return how values are computed; None when they are not.

    Raises:
        UnknownNameError: a way that there is not.
    """
    if value is None:
        return None
    from accelsim.sim.numerics import MODES

    return choice("numerics", value, MODES)


def problem_count(value: int | None, asked: bool) -> int:
    """Return how many problems a model with a task is asked.

    Args:
        value: of ``--problems``; None when it was not given.
        asked: whether values are computed.

    Raises:
        InputError: a number of problems that nobody is asked.
    """
    from accelsim.api import PROBLEMS

    if value is not None and not asked:
        raise InputError("--problems goes with --numerics: without values no problem is answered")
    return PROBLEMS if value is None else value


def json_text(value: Mapping[str, Any]) -> str:
    """Return a result as JSON text."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def announce(values: bool = False) -> None:
    """Say on stderr that kernels are compiled, when they are."""
    from accelsim.jit import cold

    if cold(values):
        console.note("compiling kernels, once; this takes a few minutes ...")
