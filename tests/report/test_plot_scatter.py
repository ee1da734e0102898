"""Predicted over measured: every set in the legend, ticks a reader can read, the same bytes."""

from __future__ import annotations

import pytest

from accelsim.errors import InputError
from accelsim.report.plots.scatter import plot_scatter
from accelsim.report.style import figure_of, svg_text

SETS = {f"tool/{i}/energy": [(10.0**i, 1.1 * 10.0**i), (2.0, 2.0)] for i in range(1, 12)}


def test_every_set_has_a_name_and_no_tick_is_markup() -> None:
    axes = plot_scatter("two tools", SETS)
    figure_of(axes).canvas.draw()
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [*SETS, "equal", "within 10%"]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert "10 M" in ticks and not any("$" in text for text in ticks)
    edge = figure_of(axes).bbox
    box = legend.get_window_extent()
    assert edge.x0 <= box.x0 and box.x1 <= edge.x1


def test_the_same_pairs_give_the_same_bytes() -> None:
    assert svg_text(plot_scatter("x", SETS)) == svg_text(plot_scatter("x", SETS))


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="dram: there is no prediction with a measurement"):
        plot_scatter("dram", {"empty": [], "zero": [(0.0, 1.0)]})
