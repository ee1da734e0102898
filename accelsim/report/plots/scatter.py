"""Predictions over measurements, with a band that the eye can hold them to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from accelsim.errors import InputError
from accelsim.report.style import GRID, INK, MUTED, house_style, new_axes, prefixed

#: Half the width of the band, as part of the measurement.
BAND = 0.10
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b5ea7", "#8a8f98")
_MARKS = ("o", "^", "s", "D", "v", "P", "X", "<")
_HEIGHT_IN, _LINE_IN = 6.4, 0.19


def plot_scatter(title: str, sets: Mapping[str, Sequence[tuple[float, float]]]) -> Axes:
    """Draw predicted over measured values on two logarithmic axes.

    Args:
        title: of the picture.
        sets: pairs of predicted and measured value by name of the set; values at or below zero
            have no place on a logarithmic axis and are left out.

    Raises:
        InputError: no pair can be drawn.
    """
    shown = {name: [(p, m) for p, m in pairs if p > 0 and m > 0] for name, pairs in sets.items()}
    shown = {name: pairs for name, pairs in shown.items() if pairs}
    if not shown:
        raise InputError(f"{title}: there is no prediction with a measurement to draw")
    with house_style():
        axes = new_axes(_HEIGHT_IN + _LINE_IN * math.ceil(len(shown) / 2))
        _band(axes, [value for pairs in shown.values() for pair in pairs for value in pair])
        for place, (name, pairs) in enumerate(shown.items()):
            axes.plot(
                [m for _, m in pairs], [p for p, _ in pairs], linestyle="none", label=name,
                marker=_MARKS[place // len(_COLOURS) % len(_MARKS)], markersize=4.5,
                markerfacecolor=_COLOURS[place % len(_COLOURS)], markeredgewidth=0.4,
                markeredgecolor="white", alpha=0.85,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel("measured")
        axes.set_ylabel("predicted")
        axes.grid(visible=True, linewidth=0.5)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(prefixed(""))
            axis.set_minor_formatter(NullFormatter())
        axes.legend(
            handles=_legend(axes), loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=2,
            fontsize=8, columnspacing=3.0,
        )  # fmt: skip
    return axes


def _band(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values) / 1.5, max(values) * 1.5
    edges = (low, high)
    axes.fill_between(
        edges, [(1 - BAND) * e for e in edges], [(1 + BAND) * e for e in edges],
        color=GRID, alpha=0.6, linewidth=0, label="_band",
    )  # fmt: skip
    axes.plot(edges, edges, color=INK, linewidth=0.8, label="_equal")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)


def _legend(axes: Axes) -> list[Line2D]:
    """Return what the legend names: the sets, then the line and its band."""
    sets = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    band = Line2D([], [], color=GRID, linewidth=7, label=f"within {BAND:.0%}")
    equal = Line2D([], [], color=MUTED, linewidth=0.8, label="equal")
    return [*sets, equal, band]
