"""Pictures of a run. Each draws one table of ``accelsim.report.tables`` and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from accelsim.report.numerics import error_rows
from accelsim.report.plots.bars import plot_area, plot_cycles, plot_energy
from accelsim.report.plots.errors import plot_errors
from accelsim.report.plots.roofline import plot_roofline
from accelsim.report.rows import Row, Run, csv_text
from accelsim.report.style import save, svg_text
from accelsim.report.tables import area_rows, cycles_rows, energy_rows, roofline_rows

__all__ = [
    "PLOTS", "Plot", "drawn", "plot_area", "plot_cycles", "plot_energy", "plot_errors",
    "plot_roofline", "save", "write_plots",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, the table that it draws, and what its heading and caption say."""

    draw: Callable[[Run], Axes]
    rows: Callable[[Run], list[Row]]
    heading: str
    caption: str


PLOTS: Mapping[str, Plot] = {
    "roofline": Plot(
        plot_roofline,
        roofline_rows,
        "Distance from the roofs",
        "A dot is a group of equal layers, its area their share of the time. On the slope, DRAM "
        "bandwidth limits; on the flat, MAC units. The distance below is what the plan loses. "
        "Layers without MACs are not drawn.",
    ),
    "cycles": Plot(
        plot_cycles,
        cycles_rows,
        "Where the time goes",
        "Cycles that each group of equal layers adds to the run, split into computing and the "
        "causes of waiting.",
    ),
    "energy": Plot(
        plot_energy,
        energy_rows,
        "Where the energy goes",
        "Typical energy by part of the chip. Low and high are corners of the sources, not "
        "confidence limits.",
    ),
    "errors": Plot(
        plot_errors,
        error_rows,
        "What each layer gets wrong, and what it costs",
        "Signal-to-noise ratio (SQNR) of every executed op, in order, over its share of the run's "
        "time and energy. Dots and triangles are what the op itself adds, by number formats and by "
        "the order and width of the chip's sums; the line is what has added up until there, "
        "against the checkpoint in FP32. Hollow marks lie beyond the edge; no mark means no error, "
        "or none measured.",
    ),
    "area": Plot(
        plot_area,
        area_rows,
        "What the area is spent on",
        "Area by part of the chip, with the low and high corner of each.",
    ),
}


def drawn(run: Run) -> dict[str, Plot]:
    """Return the pictures for which the run has rows."""
    return {name: plot for name, plot in PLOTS.items() if plot.rows(run)}


def write_plots(run: Run, folder: Path) -> None:
    """Write every picture of the run as SVG with its table as CSV beside it."""
    for name, plot in drawn(run).items():
        (folder / f"{name}.svg").write_text(svg_text(plot.draw(run)), encoding="utf-8")
        (folder / f"{name}.csv").write_text(csv_text(plot.rows(run)), encoding="utf-8")
