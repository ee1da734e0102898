"""Error per layer, beside what the layer costs: which layers are cheap and wrong."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accelsim.errors import InputError
from accelsim.report.names import ellipsis, percent
from accelsim.report.numerics import CAUSES, error_rows
from accelsim.report.rows import Row, Run
from accelsim.report.style import COLOURS, INK, MUTED, WIDTH_IN, house_style

#: How the dots of each cause look: colour, marker, and what the legend says.
_LOOKS = {
    "sqnr_quantization_db": ("#d55e00", "o", "number formats, this layer alone"),
    "sqnr_arithmetic_db": ("#56b4e9", "^", "arithmetic, this layer alone"),
    "sqnr_propagated_db": (INK, "", "all that happened so far, against FP32"),
}
#: Layers that get a name each; more are named by where their block begins.
_NAMED = 48
#: Ratios above this are drawn at the edge: nothing can be told from them.
_TOP_DB = 100.0
_NAME_WIDTH = 26


def plot_errors(run: Run, ax: Axes | None = None) -> Axes:
    """Draw the signal-to-noise ratio of each layer by cause, over its share of time and energy.

    Args:
        run: a run with values.
        ax: axes to draw the ratios on; without them a figure with all three parts is made.

    Raises:
        InputError: the run computed no values.
    """
    rows = error_rows(run)
    if not rows:
        raise InputError("the run computed no values: there are no errors to draw")
    with house_style():
        axes, *shares = _parts(len(rows)) if ax is None else (ax,)
        _ratios(axes, rows)
        axes.set_title(_title(rows))
        for part, (column, colour, words) in zip(
            shares,
            (("cycles_share", COLOURS["compute"], "time"),
             ("energy_share", COLOURS["dram"], "energy")),
            strict=False,
        ):  # fmt: skip
            part.bar(range(len(rows)), [100 * row[column] for row in rows], 0.8, color=colour)
            part.set_ylabel(f"{words} (%)")
            part.grid(True, axis="y", lw=0.6)
        _names((shares or [axes])[-1], [row["name"] for row in rows])
    return axes


def _parts(count: int) -> list[Axes]:
    height = 6.6 if count <= _NAMED else 5.4
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    grid = figure.subplots(3, 1, sharex=True, height_ratios=(3.2, 1, 1))
    return list(grid)


def _ratios(axes: Axes, rows: Sequence[Row]) -> None:
    for cause in CAUSES:
        colour, marker, words = _LOOKS[cause]
        found = [(i, row[cause]) for i, row in enumerate(rows) if row[cause] is not None]
        if not found:
            continue
        x, y = [i for i, _ in found], [min(ratio, _TOP_DB) for _, ratio in found]
        line = "None" if marker else "-"
        axes.plot(x, y, ls=line, marker=marker, ms=5, lw=1.6, color=colour, label=words)
    axes.set_ylabel("signal to noise (dB), higher is better")
    axes.set_xlim(-0.7, len(rows) - 0.3)
    top = _TOP_DB + 4 if any(_beyond(row) for row in rows) else None
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), top)
    if top is not None:
        ticks = [tick for tick in axes.get_yticks() if tick < _TOP_DB]
        axes.set_yticks([*ticks, _TOP_DB], [*(f"{tick:g}" for tick in ticks), f"≥{_TOP_DB:g}"])
    axes.grid(True, axis="y", lw=0.6)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=3, fontsize=8.5)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.14 * (high - low))  # room for the legend


def _beyond(row: Row) -> bool:
    return any(row[cause] is not None and row[cause] > _TOP_DB for cause in CAUSES)


def _names(axes: Axes, names: Sequence[str]) -> None:
    """Write layers' names under the axis, or only where a block begins."""
    if len(names) <= _NAMED:
        texts = [_label(name) for name in names]
        axes.set_xticks(range(len(names)), texts, rotation=90, fontsize=8, parse_math=False)
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel("block and layer, in order of execution", color=MUTED)
        return
    blocks: dict[str, int] = {}
    for index, name in enumerate(names):
        number = next((part for part in name.split(".") if part.isdecimal()), "")
        if number:
            blocks.setdefault(number, index)
    step = max(1, len(blocks) // 16)
    shown = list(blocks.items())[::step]
    axes.set_xticks([at for _, at in shown], [number for number, _ in shown])
    axes.set_xlabel("number of the block in which the layer is", color=MUTED)


def _label(name: str) -> str:
    """Return the block and the layer in it: ``layers.3.mlp.up_proj.linear`` is ``3 up_proj``."""
    parts = name.removesuffix(".linear").split(".")
    number = next((part for part in parts if part.isdecimal()), "")
    return ellipsis(f"{number} {parts[-1]}".strip(), _NAME_WIDTH)


def _title(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row["sqnr_quantization_db"] is not None]
    if not known:
        return "No layer that multiplies has an error"
    worst = min(known, key=lambda row: float(row["sqnr_quantization_db"]))
    ratio, share = worst["sqnr_quantization_db"], percent(worst["cycles_share"])
    where = _label(worst["name"])
    return f"Number formats cost most in {where}: {ratio:.1f} dB, with {share} of the time"
