from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from accelsim.report.html import html_report, reproduction_command
from tests.report.valued import COLUMNS, valued

Run = dict[str, Any]
Make = Callable[..., dict[str, Any]]
EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "link", "wbr", "br", "img", "input"}


class Reader(HTMLParser):
    """What a page is made of: balanced elements, their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " if tag in {"td", "th"} else ""

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(small_run: Run) -> str:
    return html_report(small_run)


def test_the_page_is_well_formed(page: str) -> None:
    assert page.startswith("<!doctype html>\n")
    reader = Reader(page)
    assert reader.open == []
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_it_opens_with_what_limits_the_run(page: str) -> None:
    text = " ".join(Reader(page).text.replace("\N{NO-BREAK SPACE}", " ").split())
    limit = text.index("Limited by compute: 68.9 % of peak compute")
    assert (
        limit
        < text.index("Totals")
        < text.index("Where the time goes")
        < text.index("Equal layers")
    )
    for part in ("8.5 µJ 5.1 µJ 14.4 µJ", "12 mm² 7.2 mm² 20.4 mm²", "Unvalidated", "w8a8_int8",
                 "Energy of the vector unit is estimated.", "0123456789abcdef", "1 MiB",
                 "for n in 2: for k in 4: array 16x16", "corners of the sources"):  # fmt: skip
        assert part in text


def test_it_loads_nothing_and_runs_nothing(page: str) -> None:
    for tag, attributes in Reader(page).elements:
        assert tag not in {"script", "iframe", "img", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href"}:
                assert value is not None and value.startswith(("#", "data:,"))
    assert "@import" not in page and "javascript:" not in page


def test_bytes_are_the_same_every_time(small_run: Run, page: str) -> None:
    assert html_report(small_run) == page


def test_every_picture_stands_with_its_numbers(page: str) -> None:
    reader = Reader(page)
    assert [tag for tag, _ in reader.elements].count("svg") == 4
    labels = [attributes["aria-label"] for tag, attributes in reader.elements if tag == "svg"]
    assert all(labels)
    assert "1.07 k" in reader.text and "6.4 Top/s" in reader.text


@pytest.mark.parametrize("place", ["model", "arch", "recipe", "phase", "fidelity", "id"])
def test_whatever_the_run_says_is_escaped(make_run: Make, place: str) -> None:
    page = html_report(make_run(**{place: EVIL}))
    assert "<script" not in page
    assert EVIL in Reader(page).text


def test_whatever_a_layer_or_a_note_says_is_escaped(make_run: Make, make_layer: Make) -> None:
    formats = {"activation": EVIL, "weight": EVIL, "output": EVIL}
    evil = make_layer(
        f"model.{EVIL}", op=EVIL, nest=EVIL, fused=[EVIL], formats=formats, shape={EVIL: 1},
        bytes_by_level={EVIL: 4}, energy_by_part={EVIL: {"low": 1, "typical": 2, "high": 3}},
    )  # fmt: skip
    run = make_run([evil], notes=[EVIL], validation=[{"op": EVIL, EVIL: EVIL}], sizes={EVIL: 1})
    run["chip"] |= {"description": EVIL, EVIL: EVIL}
    run["totals"] |= {"bound_by": EVIL, "numerics_mode": EVIL}
    run["totals"]["area_by_part"] = {EVIL: {"low": 1, "typical": 2, "high": 3}}
    del run["totals"]["energy_by_part"]
    page = html_report(run)
    assert "<script" not in page
    reader = Reader(page)
    assert reader.open == []
    assert reader.text.count(EVIL) > 12
    run["validation"] = EVIL
    assert EVIL in Reader(html_report(run)).text
    run["validation"] = {"op": EVIL}
    assert "<script" not in html_report(run)


def test_a_run_without_what_is_optional(make_run: Make, make_layer: Make) -> None:
    run = make_run([make_layer("norm", 0, nest="", bytes_by_level={})], chip={"clock_hz": 1e9})
    for name in ("tokens_per_second", "energy_per_token_j", "area_by_part", "energy_by_part"):
        del run["totals"][name]
    for name in ("sizes", "notes"):
        del run[name]
    text = Reader(html_report(run)).text
    assert "tokens per second" not in text
    assert "The run lists no assumptions." in text


def test_measured_errors_of_the_chips_model_are_shown(make_run: Make) -> None:
    checked = [{"op": "gemm", "dataset": "board", "rows": 9, "mean_abs_pct_error": 4.25}]
    text = " ".join(Reader(html_report(make_run(validation=checked))).text.split())
    assert "gemm board 9 4.25" in text


def test_what_a_run_gets_wrong_is_a_section_of_its_own(valued_run: Run, page: str) -> None:
    wrong = html_report(valued_run)
    text = " ".join(Reader(wrong).text.split())
    start, end = text.index("What it gets wrong"), text.index("Distance from the roofs")
    assert text.index("Totals") < start
    section = text[start:end]
    for part in (
        "SQNR 31.2 dB (final logits against FP32)",
        "exact match 91.5 % (95 % interval 86.8 to 94.6 %, 200 problems) measured",
        "difference -1.5 points (95 % interval -3.9 to +0.9, paired)",
        "what decides bits int8xint8:int32_exact; rows:64",
        "level problems exact match in FP32 1: sums below 100 80 98.8 % 100.0 %",
        "What each layer gets wrong, and what it costs",
        "all 6 layers in numbers",
        "model.layers.0.mlp.up_proj.linear matmul 31.1 99.0 34.9 3.2 29.4 % 29.4 %",
        "model.layers.1.self_attn.q_proj.linear matmul – – – 0 17.6 % 17.6 %",
    ):
        assert part in section
    assert [tag for tag, _ in Reader(wrong).elements].count("svg") == 5
    assert "gets wrong" not in page and "SQNR" not in page


def test_layers_have_their_errors_beside_their_cost(valued_run: Run) -> None:
    text = " ".join(Reader(html_report(valued_run)).text.split())
    layers = text[text.index("Equal layers stand in one row") :]
    assert "but errors are those of the worst of them" in layers
    assert "SQNR, quantization (dB) SQNR, arithmetic (dB) SQNR, propagated (dB)" in layers
    assert "500 nJ -3.2 61.6 -4.5 plan and traffic" in layers


@pytest.mark.parametrize("mode", ["sampled", "fast"])
def test_the_gap_to_exact_values_stands_beside_the_score(small_run: Run, mode: str) -> None:
    text = " ".join(Reader(html_report(valued(small_run, mode))).text.split())
    assert f"exact match, {mode} 91.5 %" in text
    assert "measured gap to exact +3.1 points: 93.8 % fast, 90.6 % exact" in text


def test_a_model_without_a_task_and_layers_without_errors(make_run: Make) -> None:
    run = valued(make_run(), task=False)
    for layer in run["layers"]:
        layer.update(dict.fromkeys(COLUMNS))
    text = Reader(html_report(run)).text
    assert "What it gets wrong" in text
    assert "level of difficulty" not in text and "What each layer gets wrong" not in text


def test_whatever_values_say_is_escaped(make_run: Make) -> None:
    run = valued(make_run())
    run["totals"]["numerics_mode"] = EVIL
    run["numerics"] |= {
        "text": EVIL, "signature": EVIL, "weights": EVIL, "native_ops": [EVIL], "mode": EVIL,
    }  # fmt: skip
    run["numerics"]["task"]["levels"][0]["what"] = EVIL
    page = html_report(run)
    assert "<script" not in page
    reader = Reader(page)
    assert reader.open == []
    assert reader.text.count(EVIL.replace(";", "; ")) >= 6


def test_the_command_makes_the_run_again(make_run: Make) -> None:
    run = make_run(arch="my chips/a.yaml", sizes={"batch": 4, "seq_len": 128, "context_len": 0})
    run["totals"]["numerics_mode"] = "exact"
    assert reproduction_command(run) == (
        "accelsim simulate 'my chips/a.yaml' small-lm --recipe w8a8_int8 --phase prefill "
        "--batch 4 --seq-len 128 --fidelity tile --numerics exact"
    )


def test_the_command_asks_as_many_problems(small_run: Run) -> None:
    run = valued(small_run)
    assert reproduction_command(run).endswith("--numerics exact --problems 200")
    run["numerics"]["problems"] = 800
    assert reproduction_command(run).endswith("--problems 800")
    assert "--problems" not in reproduction_command(valued(small_run, task=False))
