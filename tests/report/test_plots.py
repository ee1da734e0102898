from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from accelsim.errors import InputError
from accelsim.report import plots, style
from accelsim.report.plots import PLOTS
from accelsim.report.plots.labels import Dot, place
from accelsim.report.tables import CYCLE_PARTS
from accelsim.sim.result import BOUNDS
from tests.report.valued import valued

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]
RUNS = ["small_run", "crowded_run", "tiny_run"]


def draw(plot: str, run: Run) -> Any:
    return PLOTS[plot].draw(valued(run) if plot == "errors" else run)


@pytest.fixture(scope="session")
def tiny_run(make_run: Make, make_layer: Make) -> Run:
    """Two layers, one of which stays on the chip."""
    return make_run([make_layer("fc1", 100_000, 400, dram_bytes=0), make_layer("x", 50_000, 1900)])


@pytest.mark.parametrize("run_name", RUNS)
@pytest.mark.parametrize("plot", PLOTS)
def test_axes_say_quantity_and_unit(
    request: pytest.FixtureRequest, plot: str, run_name: str
) -> None:
    axes = draw(plot, request.getfixturevalue(run_name))
    units = {
        "roofline": ("op per byte", "op/s"), "cycles": ("cycles", ""), "energy": ("(J)", ""),
        "area": ("(mm²)", ""), "errors": ("layers", "(dB)"),
    }  # fmt: skip
    x_unit, y_unit = units[plot]
    # The picture of errors has three parts over one axis of layers.
    assert x_unit in style.figure_of(axes).axes[-1].get_xlabel()
    assert y_unit in axes.get_ylabel()
    assert axes.get_title(loc="left")


@pytest.mark.parametrize("plot", [name for name in PLOTS if name != "errors"])
def test_ticks_have_prefixes(crowded_run: Run, plot: str) -> None:
    axes = draw(plot, crowded_run)
    axes.figure.draw_without_rendering()
    axis = axes.yaxis if plot == "roofline" else axes.xaxis
    texts = [label.get_text() for label in axis.get_majorticklabels()]
    unit = {"roofline": r" [MGTP]op/s", "cycles": "( k)?", "energy": " (µ?)J", "area": ""}[plot]
    assert [t for t in texts if t and not re.fullmatch(rf"[\d.]+{unit}", t)] == []


@pytest.mark.parametrize("run_name", RUNS)
@pytest.mark.parametrize("plot", PLOTS)
def test_no_text_is_cut_or_covers_another(
    request: pytest.FixtureRequest, plot: str, run_name: str
) -> None:
    axes = draw(plot, request.getfixturevalue(run_name))
    figure = style.figure_of(axes)
    figure.draw_without_rendering()
    legend = axes.get_legend()
    texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label]
    texts += [axes.yaxis.label, axes.title, axes._left_title]
    texts += legend.get_texts() if legend else []
    low, high = sorted(axes.get_ylim())
    left, right = sorted(axes.get_xlim())
    outside = {
        id(label)
        for axis, ends in ((axes.xaxis, (left, right)), (axes.yaxis, (low, high)))
        for tick in axis.get_major_ticks()
        if not ends[0] <= tick.get_loc() <= ends[1]
        for label in (tick.label1, tick.label2)
    }
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in texts
        if text.get_visible() and text.get_text() and id(text) not in outside
    ]
    page = figure.bbox
    for name, box in boxes:
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, f"{name!r} leaves the picture"
        assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, f"{name!r} leaves the picture"
    for i, (name, box) in enumerate(boxes):
        for other, other_box in boxes[:i]:
            assert not box.overlaps(other_box), f"{name!r} covers {other!r}"


@pytest.mark.parametrize("bound", BOUNDS)
def test_every_title_fits(make_run: Make, bound: str) -> None:
    run = make_run(totals={"bound_by": bound, "utilization": 0.01234, "dram_bytes": 107})
    axes = draw("roofline", run)
    axes.figure.draw_without_rendering()
    assert axes._left_title.get_window_extent().x1 < axes.figure.bbox.x1


@pytest.mark.parametrize("plot", PLOTS)
def test_bytes_are_the_same_every_time(small_run: Run, plot: str) -> None:
    first = style.svg_text(draw(plot, small_run))
    assert style.svg_text(draw(plot, small_run)) == first
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "none", "axes.facecolor": "red"}):
        assert style.svg_text(draw(plot, small_run)) == first


@pytest.mark.parametrize("plot", PLOTS)
def test_no_setting_is_left_behind(small_run: Run, plot: str) -> None:
    before = dict(mpl.rcParams)
    style.svg_text(draw(plot, small_run))
    assert dict(mpl.rcParams) == before


def test_pyplot_is_not_needed() -> None:
    code = (
        "import sys, accelsim.report.plots; "
        "sys.exit('matplotlib.pyplot' in sys.modules or 'tkinter' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("plot", PLOTS)
def test_a_caller_may_bring_axes(small_run: Run, plot: str) -> None:
    axes = Figure(figsize=(4, 3)).add_subplot()
    drawn = {
        "roofline": plots.plot_roofline, "cycles": plots.plot_cycles,
        "energy": plots.plot_energy, "area": plots.plot_area, "errors": plots.plot_errors,
    }[plot](valued(small_run), ax=axes)  # fmt: skip
    assert drawn is axes
    assert axes.get_xlabel()


@pytest.mark.parametrize("ending", ["svg", "png", "pdf", "PNG"])
def test_a_picture_is_saved_by_its_ending(small_run: Run, tmp_path: Path, ending: str) -> None:
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    axes = plots.plot_cycles(small_run)
    contents = []
    for number in range(2):
        file = tmp_path / f"{number}.{ending}"
        plots.save(axes, file)
        contents.append(file.read_bytes())
    assert contents[0].startswith(starts[ending.lower()])
    assert contents[0] == contents[1]


def test_bars_draw_the_table(small_run: Run) -> None:
    axes = draw("cycles", small_run)
    table = PLOTS["cycles"].rows(small_run)
    widths: dict[float, float] = {}
    for bar in axes.patches:
        widths[round(bar.get_y(), 2)] = widths.get(round(bar.get_y(), 2), 0) + bar.get_width()
    assert list(widths.values()) == [row["cycles"] for row in table]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["computing", "waiting for DRAM"]
    drawn = [part for part in CYCLE_PARTS if any(row[part] for row in table)]
    assert len(legend) == len(drawn)


def test_dots_draw_the_table(small_run: Run) -> None:
    axes = draw("roofline", small_run)
    offsets = [tuple(c.get_offsets()[0]) for c in axes.collections]
    table = PLOTS["roofline"].rows(small_run)
    assert offsets == [(row["ops_per_byte"], row["ops_per_s"]) for row in table]
    texts = [text.get_text() for text in axes.texts if text.get_text()]
    assert "mlp.up_proj.linear ×2, 58.8 %" in texts
    assert "int8 × int8: 8.19 Top/s" in texts


def test_only_what_has_rows_is_drawn(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("norm", 0)])
    del run["totals"]["area_by_part"]
    assert list(plots.drawn(run)) == ["cycles", "energy"]
    with pytest.raises(InputError, match="no layer with MACs"):
        plots.plot_roofline(run)
    with pytest.raises(InputError, match="area"):
        plots.plot_area(run)
    with pytest.raises(InputError, match="computed no values"):
        plots.plot_errors(run)
    assert list(plots.drawn(valued(run))) == ["cycles", "energy", "errors"]


def test_a_chip_without_bandwidth_has_roofs_only(make_run: Make) -> None:
    run = make_run(chip={"clock_hz": 1e9})
    axes = plots.plot_roofline(run)
    assert len(axes.get_lines()) == 1


@pytest.mark.parametrize("name", ["$\\frac{", "模型", "a\x00b\nc", "<script>&", "x" * 300])
def test_any_name_can_be_drawn(make_run: Make, make_layer: Make, name: str) -> None:
    run = make_run([make_layer(name), make_layer(f"{name}.{name}", 16_000_000, 9000)])
    for plot in plots.drawn(valued(run)).values():
        ElementTree.fromstring(style.svg_text(plot.draw(valued(run))))


def test_no_two_parts_look_the_same() -> None:
    parts = ["array", "dram", *(f"level{i}" for i in range(18)), "compute", "vector"]
    looks = style.part_style(parts)
    assert list(sorted(looks)) == sorted(parts)
    assert len(set(looks.values())) == len(parts)


def test_labels_give_way() -> None:
    axes = Figure(figsize=(9, 5)).add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    dots = [Dot(0.5, 0.5, 10.0, f"a rather long label {i}") for i in range(4)]
    assert place(axes, dots) == []
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_labels_without_a_place_are_left_out() -> None:
    axes = Figure(figsize=(9, 5)).add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    assert place(axes, [Dot(0.5, 0.5, 10.0, "x" * 500), Dot(0.2, 0.2, 5.0)]) == ["x" * 500]
    assert list(axes.texts) == []


def test_inline_svg_takes_the_pages_colours(small_run: Run) -> None:
    svg = style.svg_text(plots.plot_cycles(small_run))
    body = style.inline_svg(svg, "cycles", "Where the time goes")
    assert body.startswith('<svg role="img" aria-label="Where the time goes"')
    assert "<metadata" not in body and "<!--" not in body
    assert style.INK not in body and "var(--ink)" in body
    ids = set(re.findall(r'\bid="([^"]+)"', body))
    assert ids and all(name.startswith("cycles-") for name in ids)
    used = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', body))
    assert used and used <= ids
