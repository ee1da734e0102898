"""``accelsim specs``: what is there to choose from, and whether a chip's file is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli import console
from accelsim.errors import FileError, InputError, Mistake, SpecError, UnknownNameError

if TYPE_CHECKING:
    from accelsim.spec.arch import ArchSpec

app = typer.Typer(
    help="Chips, recipes, models and formats by name; checks of a chip's file.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the chip, as in dma.engines=8."
    ),
]


@app.command()
def ls(
    kind: Annotated[
        str,
        typer.Argument(
            help="chips, recipes, models, formats or arithmetic; all of them if left out."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """List what can be named: chips, recipes, models, number formats and arithmetic."""
    if kind and kind not in _KINDS:
        raise UnknownNameError("kind", kind, _KINDS)
    kinds = [kind] if kind else list(_KINDS)
    listed = {kind: _KINDS[kind]() for kind in kinds}
    if as_json:
        console.print_text(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    rows = [(kind, name, about) for kind, names in listed.items() for name, about in names.items()]
    console.print_table(["kind", "name", "what it is"], rows)


@app.command()
def show(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help="A shipped name or a path.")],
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Print a chip with everything merged and filled in, and its peak per pair of formats."""
    from accelsim.spec.dump import arch_yaml
    from accelsim.spec.load import load_arch
    from accelsim.units import si

    chip = load_arch(arch, settings or ())
    peaks = _peaks(chip)
    if as_json:
        data = {"spec": chip.model_dump(mode="json"), "peaks": peaks}
        console.print_text(json.dumps(data, indent=2, ensure_ascii=False))
        return
    console.print_text(arch_yaml(chip))
    console.print_text("# Dense peak, activation x weight:")
    for peak in peaks:
        pair = f"{peak['activation']} x {peak['weight']}"
        console.print_text(f"#   {pair:<24}{si(float(peak['macs_per_s']), 'MAC/s')}")


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Chips: paths or names.")],
    settings: Settings = None,
) -> None:
    """Check chips' files, and list every mistake of all of them."""
    from accelsim.spec.load import load_arch

    mistakes: list[Mistake] = []
    for file in files:
        try:
            chip = load_arch(file, settings or ())
        except FileError as error:
            mistakes += error.mistakes
        except InputError as error:
            mistakes.append(Mistake(file, "", str(error)))
        else:
            console.print_text(f"{file}: good ({chip.name})")
    if mistakes:
        raise SpecError(mistakes)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a chip's file, for completion and checks in an editor."""
    from accelsim.spec.schema import schema_text

    console.print_text(schema_text())


@app.command()
def plugins(as_json: Json = False) -> None:
    """List what other packages add: their entry points in the groups ``accelsim.*``."""
    found = [
        {
            "group": point.group,
            "name": point.name,
            "object": point.value,
            "package": package.metadata["Name"],
        }
        for package in distributions()
        for point in package.entry_points
        if point.group.startswith("accelsim.")
    ]
    found.sort(key=lambda row: (row["group"], row["name"]))
    if as_json:
        console.print_text(json.dumps(found, indent=2))
    elif found:
        console.print_table(list(found[0]), [tuple(row.values()) for row in found])
    else:
        console.print_text("no plug-ins: no installed package has entry points in accelsim.*")


def _peaks(chip: ArchSpec) -> list[dict[str, str | float]]:
    return [
        {"activation": a, "weight": w, "macs_per_s": chip.peak_macs_per_s(a, w)}
        for a, w in chip.format_pairs()
    ]


def _chips() -> dict[str, str]:
    from accelsim.spec.load import load_arch, shipped

    return {name: load_arch(name).description for name in shipped()}


def _recipes() -> dict[str, str]:
    from accelsim.recipe.load import load_recipe, shipped

    return {name: load_recipe(name).description for name in shipped()}


def _models() -> dict[str, str]:
    from accelsim.graph import zoo

    return dict.fromkeys(zoo.names(), "")


def _formats() -> dict[str, str]:
    from accelsim_kernels.formats import FORMATS

    return {name: f"{row.bits} bits; {row.source}" for name, row in FORMATS.items()}


def _arithmetic() -> dict[str, str]:
    from accelsim_kernels.presets import PRESETS

    return {name: row.source for name, row in PRESETS.items()}


_KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "chips": _chips,
    "recipes": _recipes,
    "models": _models,
    "formats": _formats,
    "arithmetic": _arithmetic,
}
