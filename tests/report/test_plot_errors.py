"""The picture of errors: what it draws, and that it can be read with few and with many layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accelsim.report import plots, style
from accelsim.report.plots.errors import HIGHEST_DB, NAMED
from tests.report.valued import valued

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]


def language_model(make_run: Make, make_layer: Make, count: int) -> Run:
    """Blocks of seven layers."""
    layers = [
        make_layer(
            f"model.layers.{i // 7}.self_attention.{'abcdefg'[i % 7]}_projection.linear",
            cycles=2300 + 10 * (i % 50),
        )
        for i in range(count)
    ]
    run = valued(make_run(layers))
    for i, layer in enumerate(run["layers"]):
        layer["sqnr_quantization_db"] = None if i % 5 == 0 else 30.0 + (i * 7) % 23
        layer["sqnr_arithmetic_db"] = None if i % 3 else 45.0 + (i * 5) % 80
        layer["sqnr_propagated_db"] = max(25.0, 50.0 - i)
    return run


def texts_on(run: Run) -> list[tuple[str, Any]]:
    """Return every visible text of the whole picture with its place in pixels."""
    axes = plots.plot_errors(run)
    figure = style.figure_of(axes)
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    found = [*legend.get_texts(), axes._left_title]  # type: ignore[attr-defined]  # no public way
    for part in figure.axes:
        found += [*part.texts, *part.get_xticklabels(), part.xaxis.label, part.yaxis.label]
        low, high = sorted(part.get_ylim())
        found += [t for t in part.get_yticklabels() if low <= t.get_position()[1] <= high]
    return [
        (t.get_text(), t.get_window_extent()) for t in found if t.get_visible() and t.get_text()
    ]


@pytest.mark.parametrize("count", [1, 30, NAMED, NAMED + 1, 230])
def test_no_text_is_cut_or_covers_another(make_run: Make, make_layer: Make, count: int) -> None:
    boxes = texts_on(language_model(make_run, make_layer, count))
    width = 100 * style.WIDTH_IN
    for name, box in boxes:
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1, f"{name!r} is cut"
    for i, (name, box) in enumerate(boxes):
        for other, other_box in boxes[:i]:
            assert not box.overlaps(other_box), f"{name!r} covers {other!r}"


@pytest.mark.parametrize("count", [30, 230])
def test_three_parts_share_the_layers(make_run: Make, make_layer: Make, count: int) -> None:
    axes = plots.plot_errors(language_model(make_run, make_layer, count))
    ratios, time, energy = style.figure_of(axes).axes
    assert ratios is axes
    for part in (time, energy):
        bars: list[Any] = [bar for container in part.containers for bar in container]
        assert len(bars) == count
        assert sum(bar.get_height() for bar in bars) == pytest.approx(100.0)
        assert part.get_xlim() == axes.get_xlim()
    names = [text.get_text() for text in energy.get_xticklabels() if text.get_text()]
    assert names[:2] == (["a_projection", "b_projection"] if count == 30 else [])
    blocks = [text.get_text() for text in axes.texts]
    assert blocks[0] == "0" and blocks[-1] == "block"


def test_marks_are_the_table(valued_run: Run) -> None:
    axes = plots.plot_errors(valued_run)
    table = plots.PLOTS["errors"].rows(valued_run)
    low, high = axes.get_ylim()[0] + 2.0, axes.get_ylim()[1] - 2.0
    lines: list[Any] = list(axes.get_lines())
    drawn = [[(float(x), float(y)) for x, y in line.get_xydata()] for line in lines]
    for place, cause in enumerate(("sqnr_quantization_db", "sqnr_arithmetic_db")):
        inside, beyond = drawn[2 * place : 2 * place + 2]
        given = [(float(i), row[cause]) for i, row in enumerate(table) if row[cause] is not None]
        assert inside == [(i, value) for i, value in given if low <= value <= high]
        assert beyond == [
            (i, min(max(value, low), high)) for i, value in given if not low <= value <= high
        ]
    assert [y for _, y in drawn[4]] == [43.8, 34.94, 35.7, 40.1, -4.5]


def test_the_title_says_which_layer_is_wrong_and_which_is_dear(valued_run: Run) -> None:
    assert plots.plot_errors(valued_run).get_title(loc="left") == (
        "Least exact: model.layers.1.norm, -3.2 dB (quantization), 2.94 % of the time\n"
        "Most time: model.layers.0.mlp.up_proj, 31.1 dB (quantization), 29.4 % of the time"
    )


def test_one_layer_may_be_both_and_no_layer_may_be_wrong(make_run: Make, make_layer: Make) -> None:
    one = valued(make_run([make_layer("fc")]))
    assert plots.plot_errors(one).get_title(loc="left").startswith("Least exact and most time: fc,")
    for name in ("sqnr_quantization_db", "sqnr_arithmetic_db"):
        one["layers"][0][name] = None
    assert plots.plot_errors(one).get_title(loc="left") == (
        "No layer has a measured error of its own\n"
        "Most time: fc, no own error measured, 100 % of the time"
    )


@pytest.mark.parametrize(
    ("ratio", "ends"),
    [
        (31.0, ("30", "60")),
        (-3.0, ("-10", "20")),
        (-500.0, ("< -20", "10")),
        (88.0, ("60", "90")),
        (400.0, ("60", "> 90")),
        (None, ("60", "90")),
    ],
)
def test_the_axis_holds_what_can_be_told_apart(
    make_run: Make, make_layer: Make, ratio: float | None, ends: tuple[str, str]
) -> None:
    run = valued(make_run([make_layer("fc")]))
    run["layers"][0] |= {
        "sqnr_quantization_db": ratio, "sqnr_arithmetic_db": None, "sqnr_propagated_db": ratio,
    }  # fmt: skip
    texts = [text.get_text() for text in plots.plot_errors(run).get_yticklabels()]
    assert (texts[0], texts[-1]) == ends
    assert HIGHEST_DB == 90.0
