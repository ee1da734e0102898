"""The roofline: how close each layer comes to what memory and MAC units allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from accelsim.errors import InputError
from accelsim.report.names import percent, short_names
from accelsim.report.plots.labels import Dot, place
from accelsim.report.rows import BOUND_WORDS, Row, Run, bound_words, summary
from accelsim.report.style import (
    COLOURS,
    INK,
    MUTED,
    PAPER,
    figure_of,
    house_style,
    legend_below,
    new_axes,
    prefixed,
)
from accelsim.report.tables import roofline_rows
from accelsim.units import si

#: Layers with a smaller share of the time get no label.
LABEL_SHARE = 0.05

_FEW_DECADES = 2.7
_STEP_PIXELS = 5


def plot_roofline(run: Run, ax: Axes | None = None) -> Axes:
    """Draw ops per second over ops per DRAM byte, one dot per group of equal layers.

    A dot's area is its share of the time and its colour what limits it. There is one roof per
    peak that the run's formats have, and one slope each for peak and sustained DRAM bandwidth.

    Args:
        run: a run with at least one layer that multiplies.
        ax: axes to draw on; without them a figure is made.

    Raises:
        InputError: no layer multiplies.
    """
    rows = roofline_rows(run)
    if not rows:
        raise InputError(f"run {run['id']} has no layer with MACs, so it has no roofline")
    with house_style():
        axes = new_axes(5.4) if ax is None else ax
        low, high = _limits(rows)
        axes.set(xscale="log", yscale="log", xlim=(low, high))
        tallest = max(max(row["peak_ops_per_s"], row["ops_per_s"]) for row in rows)
        _slopes(axes, rows[0], low, tallest)
        roofs = _roofs(axes, rows, low, high)
        dots = _dots(axes, rows, high)
        axes.set_ylim(*_heights(rows, low))
        _words(axes, run, rows)
        if ax is None:
            figure_of(axes).draw_without_rendering()
        place(axes, dots, [*_label_roofs(axes, roofs, high), *_line_boxes(axes)])
    return axes


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return limits in ops per byte that hold all dots and ridges, with room beside them."""
    xs = [row["ops_per_byte"] for row in rows if row["ops_per_byte"]]
    for row in rows:
        bandwidth = row["dram_bytes_per_s"]
        if bandwidth and row["peak_ops_per_s"]:
            xs.append(row["peak_ops_per_s"] / bandwidth)
    return (min(xs) / 5, max(xs) * 10) if xs else (0.1, 1000.0)


def _heights(rows: Sequence[Row], low: float) -> tuple[float, float]:
    """Return limits in ops per second: the dots, the foot of the slope, and room above the roof."""
    ys = [row["ops_per_s"] for row in rows]
    feet = [low * row["dram_bytes_per_s"] for row in rows if row["dram_bytes_per_s"]]
    top = max([*ys, *(row["peak_ops_per_s"] for row in rows)])
    return min([min(ys) / 4, *feet]), top * 3


def _slopes(axes: Axes, row: Row, low: float, peak: float) -> None:
    lines = (("dram_bytes_per_s", "peak", "-"), ("dram_sustained_bytes_per_s", "sustained", "--"))
    for key, word, dash in lines:
        rate = row[key]
        if not rate:
            continue
        label = f"DRAM {word}, {si(rate, 'B/s')}"
        ridge = max(peak / rate, low)
        axes.plot([low, ridge], [low * rate, ridge * rate], dash, color=MUTED, lw=1.3, label=label)


def _roofs(axes: Axes, rows: Sequence[Row], low: float, high: float) -> dict[float, str]:
    """Draw one line per peak and return peaks with the format pairs that have them."""
    roofs: dict[float, dict[str, None]] = {}
    for row in rows:
        if row["peak_ops_per_s"]:
            pair = " × ".join(f for f in (row["activation"], row["weight"]) if f)
            roofs.setdefault(row["peak_ops_per_s"], {})[pair] = None
    bandwidth = rows[0]["dram_bytes_per_s"]
    for peak in roofs:
        ridge = peak / bandwidth if bandwidth else low
        axes.plot([max(low, ridge), high], [peak, peak], "-", color=INK, lw=1.3)
    return {peak: ", ".join(pairs) for peak, pairs in sorted(roofs.items(), reverse=True)}


def _label_roofs(axes: Axes, roofs: Mapping[float, str], high: float) -> list[Bbox]:
    """Write each roof's formats above its right end, or below where the next roof is too close."""
    boxes: list[Bbox] = []
    for peak, pairs in roofs.items():
        text = f"{pairs}: {si(peak, 'op/s')}"
        for shift, align in ((3, "bottom"), (-3, "top")):
            label = axes.annotate(
                text, (high, peak), (-4, shift), textcoords="offset points", ha="right", va=align,
                fontsize=8.5, zorder=5,
            )  # fmt: skip
            label.set_in_layout(False)
            box = label.get_window_extent()
            if not any(box.overlaps(other) for other in boxes):
                boxes.append(box)
                break
            label.remove()
    return boxes


def _line_boxes(axes: Axes) -> list[Bbox]:
    """Return small boxes along every line drawn so far, in pixels, so that none strikes a label."""
    boxes = []
    for line in axes.get_lines():
        (x0, y0), *_, (x1, y1) = axes.transData.transform(line.get_xydata())
        steps = max(1, int(math.hypot(x1 - x0, y1 - y0) / _STEP_PIXELS))
        for x, y in zip(np.linspace(x0, x1, steps), np.linspace(y0, y1, steps), strict=True):
            boxes.append(Bbox([[x - 1, y - 1], [x + 1, y + 1]]))
    return boxes


def _dots(axes: Axes, rows: Sequence[Row], high: float) -> list[Dot]:
    """Draw the dots, those without DRAM traffic at the right edge, and return them."""
    dots = []
    texts = short_names([row["name"] for row in rows], 34)
    for row, text in zip(rows, texts, strict=True):
        area = 24 + 1100 * row["share"]
        inside = row["ops_per_byte"] is not None
        x, y = (row["ops_per_byte"] if inside else high / 1.25), row["ops_per_s"]
        colour = COLOURS.get(row["bound_by"], MUTED)
        axes.scatter(
            [x], [y], s=area, color=colour, alpha=0.85, edgecolor=PAPER, linewidth=0.8, zorder=3,
            marker="o" if inside else ">",
        )  # fmt: skip
        count = f" ×{row['count']}" if row["count"] > 1 else ""
        words = f"{text}{count}, {percent(row['share'])}" if row["share"] > LABEL_SHARE else ""
        dots.append(Dot(x, y, math.sqrt(area), words))
    return dots


def _words(axes: Axes, run: Run, rows: Sequence[Row]) -> None:
    facts = summary(run)
    title = (
        f"Limited by {bound_words(facts.bound_by)}: {percent(facts.compute_share)} of peak compute"
    )
    if facts.dram_share is not None:
        title += f", {percent(facts.dram_share)} of peak DRAM bandwidth"
    axes.set_title(title)
    axes.set_xlabel("arithmetic intensity (op per byte of DRAM traffic; 1 MAC = 2 op)")
    axes.set_ylabel("arithmetic rate (op/s)")
    _ticks(axes)
    _legend(axes, rows)


def _ticks(axes: Axes) -> None:
    """Label 1, 2 and 5 of each decade where the axis holds few decades, else the decades."""
    for axis, unit in ((axes.xaxis, ""), (axes.yaxis, "op/s")):
        low, high = axis.get_view_interval()
        steps = (1.0, 2.0, 5.0) if high / low < 10**_FEW_DECADES else (1.0,)
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter(prefixed(unit))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", lw=0.6)


def _legend(axes: Axes, rows: Sequence[Row]) -> None:
    bounds = [b for b in BOUND_WORDS if any(row["bound_by"] == b for row in rows)]
    keys = [
        Line2D([], [], ls="", marker="o", color=COLOURS[b], label=f"bound by {BOUND_WORDS[b]}")
        for b in bounds
    ]
    if any(row["ops_per_byte"] is None for row in rows):
        keys.append(Line2D([], [], ls="", marker=">", color=MUTED, label="no DRAM traffic"))
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    legend_below(axes, [*lines, *keys])
