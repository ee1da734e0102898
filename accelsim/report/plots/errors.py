"""What each layer gets wrong over what it costs: which are cheap and wrong, or dear and right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from accelsim.errors import InputError
from accelsim.report.names import ellipsis, percent
from accelsim.report.numerics import error_rows, own_error
from accelsim.report.plots.blocks import Block, blocks_of, labels, plain
from accelsim.report.rows import Row, Run
from accelsim.report.style import COLOURS, GRID, INK, MUTED, WIDTH_IN, figure_of, house_style

#: Layers that get a name each; more are told by their block.
NAMED = 62
#: Ratios beyond these stand at the edge of the picture, as hollow marks: what is below an error
#: of one part in 30 000 changes nothing, and what is above a tenfold error changes everything.
HIGHEST_DB, LOWEST_DB = 90.0, -20.0
_STEP_DB = 10.0
_LEAST_SPAN_DB = 30.0
#: Letters of a layer's name: under its mark, and at most and at least in the title.
_NAME_WIDTH, _TITLE_WIDTH, _LEAST_NAME = 26, 52, 16
#: Part of the picture's width that the title may take: it begins where the axes do.
_TITLE_SHARE = 0.89
#: Width of a letter of a block's name, as part of the picture's.
_CHARACTER = 0.0085

_WORST, _LONGEST = "#cc79a7", "#009e73"


@dataclass(frozen=True, slots=True)
class _Look:
    """How a cause looks: colour, marker (none is a line), and what the legend says."""

    colour: str
    marker: str
    words: str


_LOOKS = {
    "sqnr_quantization_db": _Look("#d55e00", "o", "quantization"),
    "sqnr_arithmetic_db": _Look("#2a8fd1", "^", "arithmetic"),
    "sqnr_propagated_db": _Look(INK, "", "propagated from all layers so far"),
}


def plot_errors(run: Run, ax: Axes | None = None) -> Axes:
    """Draw each layer's signal-to-noise ratio by cause, over its shares of time and energy.

    Layers stand in order of execution. The least exact one and the one that takes most time are
    marked in all three parts.

    Args:
        run: a run with values.
        ax: axes to draw the ratios on; without them a figure with all three parts is made.

    Raises:
        InputError: the run computed no values.
    """
    rows = error_rows(run)
    if not rows:
        raise InputError(f"run {run['id']} computed no values, so it has no errors to draw")
    blocks = blocks_of([row["name"] for row in rows])
    marked = _marked(rows)
    with house_style():
        ratios, *shares = _parts(rows) if ax is None else (ax,)
        _ratios(ratios, rows)
        for axes, (column, words) in zip(shares, _SHARES, strict=False):
            _bars(axes, rows, column, marked)
            axes.set_ylabel(words)
        for axes in (ratios, *shares):
            axes.tick_params(axis="x", length=0)
            _stripes(axes, blocks, marked)
        _block_names(ratios, blocks)
        _layer_names((shares or [ratios])[-1], rows, blocks)
        _legend(ratios, rows)
        _title(ratios, rows, marked)
    return ratios


_SHARES = (("cycles_share", "time\n(% of run)"), ("energy_share", "energy\n(% of run)"))


def _parts(rows: Sequence[Row]) -> list[Axes]:
    names = max(map(len, _short(rows))) if len(rows) <= NAMED else 0
    figure = Figure(figsize=(WIDTH_IN, 5.9 + 0.07 * names), layout="constrained")
    return list(figure.subplots(3, 1, sharex=True, height_ratios=(3.0, 1.0, 1.0)))


def _marked(rows: Sequence[Row]) -> dict[int, str]:
    """Return the number of the least exact layer and of the longest, with their colours."""
    found = {max(range(len(rows)), key=lambda i: rows[i]["cycles"]): _LONGEST}
    errors = {i: own[0] for i, row in enumerate(rows) if (own := own_error(row))}
    if errors:
        found[min(errors, key=lambda i: errors[i])] = _WORST
    return found


def _title(axes: Axes, rows: Sequence[Row], marked: dict[int, str]) -> None:
    """State the finding, with names as long as there is room for."""
    room = _TITLE_SHARE * figure_of(axes).bbox.width
    for width in range(_TITLE_WIDTH, _LEAST_NAME - 1, -4):
        title = axes.set_title(_finding(rows, marked, width), pad=30)
        if title.get_window_extent().width <= room:
            return


def _finding(rows: Sequence[Row], marked: dict[int, str], width: int) -> str:
    texts = {}
    for index, colour in marked.items():
        row = rows[index]
        own, share = own_error(row), percent(row["cycles_share"])
        error = f"{own[0]:.1f} dB ({own[1]})" if own else "no own error measured"
        texts[colour] = f"{ellipsis(plain(row['name']), width)}, {error}, {share} of the time"
    if _WORST not in texts:
        return f"No layer has a measured error of its own\nMost time: {texts[_LONGEST]}"
    if _LONGEST not in texts:
        return f"Least exact and most time: {texts[_WORST]}"
    return f"Least exact: {texts[_WORST]}\nMost time: {texts[_LONGEST]}"


def _ratios(axes: Axes, rows: Sequence[Row]) -> None:
    low, high = _limits(rows)
    size = 5.0 if len(rows) <= NAMED else 3.4
    for cause, look in _LOOKS.items():
        known = [(i, row[cause]) for i, row in enumerate(rows) if row[cause] is not None]
        if not look.marker:
            x, y = [i for i, _ in known], [min(max(v, low), high) for _, v in known]
            axes.plot(x, y, lw=1.6, color=look.colour, zorder=2)
            continue
        for beyond, face in ((False, look.colour), (True, "none")):
            some = [(i, v) for i, v in known if (not low <= v <= high) == beyond]
            x, y = [i for i, _ in some], [min(max(v, low), high) for _, v in some]
            axes.plot(
                x, y, ls="", marker=look.marker, ms=size, color=look.colour, zorder=3,
                markerfacecolor=face, markeredgewidth=0.9,
            )  # fmt: skip
    axes.set_ylabel("signal to noise (dB)\nhigher is better")
    axes.set(xlim=(-0.7, len(rows) - 0.3), ylim=(low - 2.0, high + 2.0))
    _ticks(axes, rows, low, high)
    axes.grid(True, axis="y", lw=0.6)


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return round limits in dB that hold what can be told apart.

    Arithmetic alone, which is often far more exact than all else, does not stretch them upward.
    """
    quantization, arithmetic, propagated = (
        [min(max(row[cause], LOWEST_DB), HIGHEST_DB) for row in rows if row[cause] is not None]
        for cause in _LOOKS
    )
    told = [v for v in (*quantization, *propagated) if v < HIGHEST_DB]
    upper = told or [v for v in arithmetic if v < HIGHEST_DB] or [HIGHEST_DB]
    low = _STEP_DB * math.floor(min(*upper, *arithmetic, HIGHEST_DB) / _STEP_DB)
    high = _STEP_DB * math.ceil((max(upper) + 5.0) / _STEP_DB)
    high = min(max(high, low + _LEAST_SPAN_DB), HIGHEST_DB)
    return min(low, high - _LEAST_SPAN_DB), high


def _ticks(axes: Axes, rows: Sequence[Row], low: float, high: float) -> None:
    step = _STEP_DB * max(1, math.ceil((high - low) / _STEP_DB / 8))
    ticks = [low + step * i for i in range(int((high - low) / step))] + [high]
    values = [row[cause] for row in rows for cause in _LOOKS if row[cause] is not None]
    texts = [f"{tick:g}" for tick in ticks]
    if any(value > high for value in values):
        texts[-1] = f"> {high:g}"
    if any(value < low for value in values):
        texts[0] = f"< {low:g}"
    axes.set_yticks(ticks, texts)


def _bars(axes: Axes, rows: Sequence[Row], column: str, marked: dict[int, str]) -> None:
    colours = [marked.get(i, COLOURS["overhead"]) for i in range(len(rows))]
    axes.bar(range(len(rows)), [100 * row[column] for row in rows], 0.8, color=colours)
    axes.grid(True, axis="y", lw=0.6)
    axes.set_ylim(0, None)


def _stripes(axes: Axes, blocks: Sequence[Block], marked: dict[int, str]) -> None:
    """Shade every other block, and the marked layers from top to bottom."""
    for block in blocks[::2]:
        axes.axvspan(block.first - 0.5, block.last + 0.5, color=GRID, alpha=0.45, lw=0, zorder=0)
    for index, colour in marked.items():
        axes.axvspan(index - 0.5, index + 0.5, color=colour, alpha=0.16, lw=0, zorder=0.5)


def _block_names(axes: Axes, blocks: Sequence[Block]) -> None:
    """Name blocks under the ratios, as many of them as there is room for."""
    low, high = axes.get_xlim()
    free = low
    for block in blocks:
        middle = (block.first + block.last) / 2
        half = (high - low) * _CHARACTER * (len(block.name) + 1) / 2
        if middle - half >= free:
            free = middle + half
            _below(axes, block.name, middle, "center")
    if blocks:
        _below(axes, "block", low - 0.01 * (high - low), "right")


def _below(axes: Axes, text: str, x: float, side: Literal["center", "right"]) -> None:
    axes.annotate(
        text, (x, 0.0), (0, -4), xycoords=axes.get_xaxis_transform(), fontsize=8, color=MUTED,
        textcoords="offset points", ha=side, va="top",
    )  # fmt: skip


def _layer_names(axes: Axes, rows: Sequence[Row], blocks: Sequence[Block]) -> None:
    axes.set_xlabel("layers, in order of execution")
    step = 1 if len(rows) <= NAMED else -(-len(rows) // NAMED)
    if step > 1 and blocks:
        axes.set_xticks([])
        return
    shown = range(0, len(rows), step)
    names = _short(rows)
    axes.set_xticks(
        list(shown), [names[i] for i in shown], rotation=90, fontsize=7.5, parse_math=False
    )


def _short(rows: Sequence[Row]) -> list[str]:
    return [ellipsis(label, _NAME_WIDTH) for label in labels([row["name"] for row in rows])]


def _legend(axes: Axes, rows: Sequence[Row]) -> None:
    keys: list[Line2D | Patch] = [
        Line2D(
            [], [], ls="" if look.marker else "-", lw=1.6, marker=look.marker or None, ms=5.0,
            color=look.colour, label=look.words,
        )
        for cause, look in _LOOKS.items()
        if any(row[cause] is not None for row in rows)
    ]  # fmt: skip
    keys.append(Patch(color=_WORST, label="least exact"))
    keys.append(Patch(color=_LONGEST, label="most time"))
    axes.legend(
        handles=keys, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=5, fontsize=8.5,
        borderaxespad=0.2, columnspacing=1.4, handletextpad=0.5, handlelength=1.4,
    )  # fmt: skip
