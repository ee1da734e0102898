"""``accelsim compress``: a model in the codes of a recipe, as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from accelsim.cli import console, options

Output = Annotated[
    str,
    typer.Option("-o", "--output-dir", help="A new folder for the checkpoint; a stop resumes."),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", min=1, metavar="N", help="Windows of calibration text."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="N", help="Which windows of the text.")
]


def compress(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="tiny, or a Hugging Face folder (safetensors).")
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", help="A shipped recipe or a path: formats and methods.")
    ],
    output_dir: Output,
    arch: Annotated[
        str | None, typer.Option("--arch", help="A chip that must multiply the recipe's formats.")
    ] = None,
    samples: Samples = None,
    seed: Seed = None,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Compress a model and write it as a checkpoint that simulate and evaluate take."""
    from accelsim import api

    options.announce(values=True)
    try:
        with console.stages(quiet=as_json) as told:
            found = api.compress(
                model, recipe, output_dir, arch=arch, overrides=settings or (), samples=samples,
                seed=seed, progress=told,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; what is finished is in {output_dir}.partial: the same command goes on "
            "from there"
        ) from None
    if as_json:
        console.print_text(options.json_text(found))
        return
    _show(found)
    console.note(f"wrote {output_dir}")


def _show(found: Mapping[str, Any]) -> None:
    rows = [
        [
            row["op"], row["format"], str(row["group"] or "row"), row["sparsity"],
            " + ".join(row["method"]), _share(row["output_error"]),
        ]
        for row in found["products"]
    ]  # fmt: skip
    console.print_table(
        ["product", "format", "group", "sparsity", "method", "output error"],
        rows,
        title=f"{found['model']} in {found['recipe']}",
        numeric=["output error"],
        droppable=["sparsity", "group"],
    )


def _share(error: float | None) -> str:
    return "" if error is None else f"{100.0 * error:.3g} %"
