"""``accelsim vectors``: test vectors of a matrix unit for those who build one."""

from __future__ import annotations

from typing import Annotated

import typer

from accelsim.cli import console

#: As ``validate.rtl_operands.CATEGORIES``, which the help does not import.
_CATEGORIES = "random, mixed, cancellation, subnormal, saturation, special, sparse, bits"


def vectors(  # one argument per option
    preset: Annotated[
        str, typer.Argument(metavar="PRESET", help="An arithmetic: accelsim specs ls arithmetic.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="Folder that is written.")
    ],
    m: Annotated[int, typer.Option("--m", min=1, help="Rows of the result.")] = 4,
    n: Annotated[int, typer.Option("--n", min=1, help="Columns of the result.")] = 4,
    k: Annotated[
        int, typer.Option("--k", min=0, help="Length of the sums; 0: several steps of the unit.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")] = 0,
    categories: Annotated[
        str | None, typer.Option("--categories", help=f"With commas: {_CATEGORIES}; default all.")
    ] = None,
    a_format: Annotated[
        str | None, typer.Option("--a-format", help="Of the left operand, where several fit.")
    ] = None,
    b_format: Annotated[
        str | None, typer.Option("--b-format", help="Of the right operand, where several fit.")
    ] = None,
) -> None:
    """Write operands, the accumulators after each step of K, and results: $readmemh and npz."""
    from accelsim import api

    chosen = tuple(name.strip() for name in (categories or "").split(",") if name.strip())
    folder = api.vectors(
        preset, output, m=m, n=n, k=k, seed=seed, categories=chosen, a_format=a_format or "",
        b_format=b_format or "",
    )  # fmt: skip
    console.note(f"vectors of {preset} in {folder}")
    console.note("they check themselves: accelsim validate kernels --data " + str(folder))
