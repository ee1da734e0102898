"""Stacked bars: where the cycles and the energy went, and what the area is spent on."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from accelsim.errors import InputError
from accelsim.report.names import joules, part_words, percent, short_names
from accelsim.report.rows import STALL_WORDS, Row, Run, summary
from accelsim.report.style import (
    COLOURS,
    INK,
    PAPER,
    house_style,
    legend_below,
    new_axes,
    part_style,
    prefixed,
)
from accelsim.report.tables import CYCLE_PARTS, area_rows, cycles_rows, energy_parts, energy_rows
from accelsim.units import si

#: Names on the axis are cut to this many characters; the table beside the picture has them whole.
NAME_WIDTH = 38

_PART_WORDS = {
    "compute": "computing",
    **STALL_WORDS,
}


def plot_cycles(run: Run, ax: Axes | None = None) -> Axes:
    """Draw how each group of equal layers spent its cycles: computing, or waiting for what.

    Args:
        run: the run.
        ax: axes to draw on; without them a figure is made.
    """
    rows = cycles_rows(run)
    with house_style():
        axes = new_axes(_height(rows)) if ax is None else ax
        left = [0.0] * len(rows)
        for column in CYCLE_PARTS:
            cause = column.removesuffix("_cycles").removeprefix("stall_")
            values = [row[column] for row in rows]
            if any(values):
                _segment(axes, values, left, (COLOURS[cause], ""), _PART_WORDS[cause])
        _end_texts(axes, left, [percent(row["share"]) for row in rows])
        _names(axes, rows)
        clock = si(run["chip"]["clock_hz"], "Hz")
        axes.set_xlabel(f"cycles of the {clock} clock, all layers of the group")
        axes.xaxis.set_major_formatter(prefixed(""))
        axes.set_title(_cycles_title(run, rows))
        legend_below(axes)
    return axes


def plot_energy(run: Run, ax: Axes | None = None) -> Axes:
    """Draw typical energy by part of the chip, per group of equal layers and for the run.

    The line at the end of the total reaches from its low to its high corner.

    Args:
        run: the run.
        ax: axes to draw on; without them a figure is made.
    """
    rows, parts = energy_rows(run), energy_parts(run)
    looks = part_style(parts)
    with house_style():
        axes = new_axes(_height(rows)) if ax is None else ax
        left = [0.0] * len(rows)
        for part in parts:
            values = [row[f"{part}_pj"] * 1e-12 for row in rows]
            if any(values):
                _segment(axes, values, left, looks[part], part_words(part))
        corners = [rows[-1][f"energy_{c}_pj"] * 1e-12 for c in ("low", "typical", "high")]
        _corners(axes, len(rows) - 1, corners)
        ends = [*left[:-1], max(left[-1], corners[2])]
        texts = [percent(row["share"]) for row in rows[:-1]]
        _end_texts(axes, ends, [*texts, joules(rows[-1]["energy_typical_pj"])])
        _names(axes, rows)
        axes.set_xlabel("energy (J), typical; the line spans the low and high corner of the total")
        axes.xaxis.set_major_formatter(prefixed("J"))
        share = rows[-1][f"{parts[0]}_pj"] / (rows[-1]["energy_typical_pj"] or 1.0)
        axes.set_title(f"Largest part of the energy: {part_words(parts[0])}, {percent(share)}")
        legend_below(axes)
    return axes


def plot_area(run: Run, ax: Axes | None = None) -> Axes:
    """Draw the chip's area by part, each with its low and high corner.

    Args:
        run: a run whose totals have ``area_by_part``.
        ax: axes to draw on; without them a figure is made.

    Raises:
        InputError: they have not.
    """
    rows = area_rows(run)
    if not rows:
        raise InputError(f"run {run['id']} does not say what its area is spent on")
    with house_style():
        axes = new_axes(_height(rows)) if ax is None else ax
        looks = part_style([row["part"] for row in rows[:-1]])
        for index, row in enumerate(rows):
            colour, hatch = looks.get(row["part"], ("#8a8f98", ""))
            typical = row["area_typical_mm2"]
            axes.barh(index, typical, 0.66, color=colour, hatch=hatch, edgecolor=PAPER)
            _corners(axes, index, [row[f"area_{c}_mm2"] for c in ("low", "typical", "high")])
        texts = [f"{row['area_typical_mm2']:.3g} mm², {percent(row['share'])}" for row in rows]
        _end_texts(axes, [row["area_high_mm2"] for row in rows], texts)
        _names(axes, [{"name": part_words(row["part"]), "count": 1} for row in rows])
        axes.set_xlabel("area (mm²), typical; lines span the low and high corner")
        first, share = part_words(rows[0]["part"]), percent(rows[0]["share"])
        axes.set_title(f"Largest part of the area: {first}, {share}")
    return axes


def _height(rows: Sequence[Row]) -> float:
    """Return the height in inches of a bar chart with this many bars."""
    return 1.7 + 0.31 * len(rows)


def _segment(
    axes: Axes, values: Sequence[float], left: list[float], look: tuple[str, str], label: str
) -> None:
    """Add one colour to all bars and move ``left`` to its end."""
    colour, hatch = look
    axes.barh(
        range(len(values)), values, 0.66, left=list(left), color=colour, hatch=hatch,
        edgecolor=PAPER, linewidth=0.5, label=label,
    )  # fmt: skip
    left[:] = [start + value for start, value in zip(left, values, strict=True)]


def _corners(axes: Axes, index: int, corners: Sequence[float]) -> None:
    """Draw a line from the low to the high corner across the bar."""
    low, typical, high = corners
    axes.errorbar(
        typical, index, xerr=[[max(typical - low, 0.0)], [max(high - typical, 0.0)]], fmt="none",
        ecolor=INK, elinewidth=1.1, capsize=3.5,
    )  # fmt: skip


def _end_texts(axes: Axes, ends: Sequence[float], texts: Sequence[str]) -> None:
    """Write a text behind each bar and leave room for it."""
    axes.set_xlim(0, (max(ends, default=0.0) or 1.0) * 1.14)
    for index, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(
            text, (end, index), (4, 0), textcoords="offset points", va="center", fontsize=8.5
        )


def _names(axes: Axes, rows: Sequence[Row]) -> None:
    """Write the layers' names down the axis, the first at the top."""
    layers = [row["name"] for row in rows if not _is_sum(row)]
    short = dict(zip(layers, short_names(layers, NAME_WIDTH), strict=True))
    texts = [
        short[row["name"]] + (f" ×{row['count']}" if row["count"] > 1 else "")
        if row["name"] in short
        else row["name"]
        for row in rows
    ]
    axes.set_yticks(range(len(rows)), texts, parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x", lw=0.6)


def _is_sum(row: Row) -> bool:
    name: str = row["name"]
    return name == "total" or name.startswith("rest (")


def _cycles_title(run: Run, rows: Sequence[Row]) -> str:
    facts = summary(run)
    stall, share = facts.top_stall, facts.top_stall_share
    computing = sum(row["compute_cycles"] for row in rows) / (facts.cycles or 1)
    if share < computing:
        text = f"{percent(computing)} of the time is spent computing"
        return f"{text}, {percent(share)} {STALL_WORDS[stall]}" if stall else text
    return f"{percent(share)} of the time is spent {STALL_WORDS[stall]}"
