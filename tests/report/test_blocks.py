from __future__ import annotations

from accelsim.report.plots.blocks import Block, blocks_of, labels, plain

NAMES = [
    "model.embed_tokens.embedding",
    "model.layers.0.norm.rms_norm",
    "model.layers.0.mlp.up_proj.linear",
    "model.layers.1.mlp.up_proj.linear",
    "model.layers.1.mlp.act.absmax",
    "model.layers.1.attn.reshape.absmax",
    "lm_head.linear",
]


def test_blocks_are_numbers_in_the_same_list() -> None:
    assert blocks_of(NAMES) == [
        Block("0", "model.layers", 1, 2),
        Block("1", "model.layers", 3, 5),
    ]
    assert blocks_of(["add", "a.b"]) == []


def test_a_block_that_is_interrupted_counts_again() -> None:
    found = blocks_of(["l.0.a", "other", "l.0.b", "m.0.a", "m.0.b"])
    assert [(b.parent, b.first, b.last) for b in found] == [
        ("l", 0, 0), ("l", 2, 2), ("m", 3, 4),
    ]  # fmt: skip


def test_a_number_at_the_end_of_a_name_is_no_block() -> None:
    assert blocks_of(["classifier.1"]) == []


def test_layers_are_called_by_as_little_as_tells_them_apart() -> None:
    assert labels(NAMES) == [
        "embed_tokens", "norm", "up_proj", "up_proj", "act.absmax", "reshape.absmax", "lm_head",
    ]  # fmt: skip


def test_equal_names_and_bare_numbers_stay_what_they_are() -> None:
    assert labels(["l.0.a", "l.0.a"]) == ["a", "a"]
    assert labels(["head.0.linear", "x"]) == ["head.0", "x"]
    assert labels(["head.1"]) == ["head.1"]
    assert labels(["stem.conv.1", "stem.norm.1"]) == ["conv.1", "norm.1"]


def test_a_function_is_named_only_where_it_says_more_than_its_module() -> None:
    assert plain("a.q_proj.linear") == "a.q_proj"
    assert plain("a.attention") == "a.attention"
    assert plain("linear") == "linear"
