"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from accelsim.cli import console
from accelsim.errors import UnknownNameError

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
FidelityOption = Annotated[str, typer.Option("--fidelity", help="tile or analytical.")]
Numerics = Annotated[
    str | None,
    typer.Option("--numerics", help="Compute values too: exact, sampled or fast."),
]
Problems = Annotated[
    int, typer.Option("--problems", min=1, help="Problems that a model with a task is asked.")
]
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
    """Return how values are computed, or None.

    Raises:
        UnknownNameError: a way that there is not.
    """
    return None if value is None else choice("numerics", value, ("exact", "sampled", "fast"))


def json_text(value: Mapping[str, Any]) -> str:
    """Return a result as JSON text."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def announce(values: bool = False) -> None:
    """Say on stderr that kernels are compiled, when they are."""
    from accelsim.jit import cold

    if cold(values):
        console.note("compiling kernels, once; this takes about half a minute ...")
