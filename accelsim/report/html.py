"""One page that says what a run costs and why: a single file that opens without a network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from accelsim.report import cells
from accelsim.report.names import formats_text, percent
from accelsim.report.numerics import details_of
from accelsim.report.plots import Plot, drawn
from accelsim.report.rows import Row, Run, bound_words, fold_layers, grouped_rows, summary
from accelsim.report.style import inline_svg, svg_text
from accelsim.units import si


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn picture with the table of its numbers."""

    name: str
    heading: str
    caption: str
    svg: Markup
    table: cells.Table


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """A row of the table of layers, and what is behind it."""

    cells: Sequence[str]
    members: Sequence[str]
    nest: str
    traffic: Sequence[tuple[str, str]]
    fused: Sequence[str]


def html_report(run: Run) -> str:
    """Return the run's report as one HTML page, the same bytes for the same run.

    Everything that the run says is escaped; the page loads nothing and runs no script.
    """
    facts = summary(run)
    pictures = {name: _picture(run, name, plot) for name, plot in drawn(run).items()}
    return _template().render(
        run=run,
        facts=facts,
        headline=facts.headline.replace(" %", "\N{NO-BREAK SPACE}%"),
        bounds=[(bound_words(b), percent(share)) for b, share in facts.bound_shares.items()],
        totals=cells.totals(run),
        numerics=cells.numerics(run),
        task_levels=cells.task_levels(run),
        error_picture=pictures.pop("errors", None),
        pictures=list(pictures.values()),
        group_columns=cells.group_headings(grouped_rows(run)),
        groups=_groups(run),
        chip=cells.chip(run),
        peaks=cells.peaks(run),
        levels=cells.levels(run),
        formats=cells.formats_in_use(run),
        validation=cells.validation(run),
        command=reproduction_command(run),
    )


def reproduction_command(run: Run) -> str:
    """Return the command line that makes this run again."""
    words = ["accelsim", "simulate", run["arch"], run["model"], "--recipe", run["recipe"]]
    words += ["--phase", run["phase"]]
    for name, size in run.get("sizes", {}).items():
        if size:
            words += [f"--{name.replace('_', '-')}", str(size)]
    words += ["--fidelity", run["fidelity"]]
    if "numerics_mode" in run["totals"]:
        words += ["--numerics", run["totals"]["numerics_mode"]]
    if task := details_of(run).get("task"):
        asked = details_of(run).get("problems", task.get("n"))
        words += ["--problems", str(asked)] if asked else []
    return shlex.join(words)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("accelsim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("report.html.j2")


def _breakable(text: str) -> Markup:
    """Return a name that may be broken after its dots and plus signs."""
    dotted = Markup(".<wbr>").join(text.split("."))
    return dotted.replace("+", Markup("+<wbr>"))


def _picture(run: Run, name: str, plot: Plot) -> Picture:
    svg = inline_svg(svg_text(plot.draw(run)), name, str(escape(plot.heading)))
    table = cells.PICTURE_TABLES[name](plot.rows(run))
    # The SVG is made of numbers, paths and our own words; names in it are outlines of letters.
    return Picture(name, plot.heading, plot.caption, Markup(svg), table)


def _nest(layer: Row) -> str:
    """Return the plan as a loop nest, and how good it is known to be."""
    nest, known = layer.get("nest", ""), layer.get("mapping")
    if not nest or not known:
        return str(nest)
    return f"{nest}\n\n{known['evaluated']:,} plans costed, gap {100 * known['gap']:.2g} %"


def _groups(run: Run) -> list[LayerGroup]:
    found = []
    for row, indices in zip(grouped_rows(run), fold_layers(run), strict=True):
        layers = [run["layers"][i] for i in indices]
        found.append(
            LayerGroup(
                cells=cells.group_cells(row, formats_text(row)),
                members=[layer["name"] for layer in layers],
                nest=_nest(layers[0]),
                traffic=_traffic(layers),
                fused=layers[0].get("fused", ()),
            )
        )
    return found


def _traffic(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return bytes per memory level, all layers of the group together."""
    levels: dict[str, int] = {}
    for layer in layers:
        for level, count in layer.get("bytes_by_level", {}).items():
            levels[level] = levels.get(level, 0) + count
    return [(level, si(count, "B")) for level, count in levels.items()]
