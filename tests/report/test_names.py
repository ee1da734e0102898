from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.report import names


@pytest.mark.parametrize(
    ("given_names", "expected"),
    [
        (["fc"], "fc"),
        (["model.layers.3.q_proj", "model.layers.3.q_proj"], "model.layers.3.q_proj"),
        (["model.layers.0.q_proj", "model.layers.1.q_proj"], "model.layers.*.q_proj"),
        (["l.0.a.q.linear", "l.0.a.o.linear", "l.1.a.q.linear"], "l.*.a.{q,o}.linear"),
        (["l.0.a", "l.0.b", "l.0.c", "l.0.d", "l.0.e"], "l.*.{a,b,c,+2}"),
        (["a", "b"], "{a,b}"),
        (["l.0.norm", "l.0.mlp.norm"], "l.*.{,mlp}.norm"),
    ],
)
def test_a_group_has_one_name(given_names: list[str], expected: str) -> None:
    assert names.group_name(given_names) == expected


def test_a_number_inside_a_word_is_no_index() -> None:
    assert names.pattern("model.layers.12.fc2.linear_1") == "model.layers.*.fc2.linear_1"


@pytest.mark.parametrize(
    ("given_names", "expected"),
    [
        (["model.layers.*.q", "model.layers.*.k"], ["q", "k"]),
        (["model.layers.*.q", "model.layers.*.k", "lm_head"], ["q", "k", "lm_head"]),
        (["enc.*.q", "dec.*.q"], ["enc.*.q", "dec.*.q"]),
        (["only.one"], ["only.one"]),
        ([], []),
    ],
)
def test_labels_leave_out_what_names_share(given_names: list[str], expected: list[str]) -> None:
    assert names.short_names(given_names, 40) == expected


@given(st.lists(st.text(max_size=80), max_size=6), st.integers(8, 60))
def test_labels_fit_on_one_line(given_names: list[str], width: int) -> None:
    for text in names.short_names(given_names, width):
        assert len(text) <= width
        assert text.isprintable()


def test_a_long_label_keeps_both_ends() -> None:
    text = names.ellipsis("model.layers.0.block_sparse_moe.gate_projection.linear", 24)
    assert text == "model.l…rojection.linear"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.5, "50 %"), (0.12345, "12.3 %"), (1.0, "100 %"), (0.00002, "<0.01 %")],
)
def test_percentages(share: float, text: str) -> None:
    assert names.percent(share) == text


def test_parts_and_formats_in_words() -> None:
    assert names.part_words("dram_phy") == "DRAM PHY"
    assert names.part_words("fill_drain") == "fill drain"
    row = {"activation": "int8", "weight": "int4", "output": "bf16"}
    assert names.formats_text(row) == "int8 × int4 → bf16"
    assert names.formats_text({**row, "weight": ""}) == "int8 → bf16"
