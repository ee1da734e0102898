"""Structured pruning: what is zero goes without a trace, tensors shrink, and so does the cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import simulate
from accelsim.compress.structured.choose import choose
from accelsim.compress.structured.family import sizes_of
from accelsim.compress.structured.importance import Scores, by_magnitude
from accelsim.compress.structured.plan import PrunePlan, Sizes, plan_of
from accelsim.compress.structured.prune import RECORD, prune
from accelsim.errors import CheckpointError, InputError, OutputError
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.request import GraphRequest
from accelsim.graph.zoo import load
from tests.tiny import tokens_of, values

TINY = Sizes(layers=4, kv_heads=2, queries=2, head_dim=32, ffn=384, hidden=128)


def scores_of_tiny() -> Scores:
    return by_magnitude(values().read, TINY)


def test_sizes_of_the_shipped_model() -> None:
    config = json.loads((values().folder / "config.json").read_text())
    assert sizes_of(config, "tiny") == TINY


def macs(left: Sizes, tokens: int, vocabulary: int = 384) -> int:
    """Full multiply-accumulates of a prefill that asks for the last token's logits."""
    heads = left.kv_heads * left.queries
    wide, narrow = heads * left.head_dim, left.kv_heads * left.head_dim
    layer = 2 * left.hidden * wide + 2 * left.hidden * narrow + 3 * left.hidden * left.ffn
    scores = 2 * heads * left.head_dim * tokens * tokens
    return left.layers * (tokens * layer + scores) + left.hidden * vocabulary


@pytest.mark.parametrize(
    ("plan", "left"),
    [
        ({"heads": 0.5}, Sizes(4, 1, 2, 32, 384, 128)),
        ({"queries": 0.5}, Sizes(4, 2, 1, 32, 384, 128)),
        ({"ffn": 0.5}, Sizes(4, 2, 2, 32, 192, 128)),
        ({"hidden": 0.25}, Sizes(4, 2, 2, 32, 384, 96)),
        ({"layers": (1, 2)}, Sizes(2, 2, 2, 32, 384, 128)),
        ({"layers": 0.25, "heads": 0.5, "queries": 0.5, "ffn": 0.25, "hidden": 0.5},
         Sizes(3, 1, 1, 32, 288, 64)),
    ],
)  # fmt: skip
def test_graph_cycles_and_energy_shrink(plan: dict[str, Any], left: Sizes, tmp_path: Path) -> None:
    pytest.importorskip("transformers")  # a folder's graph is recorded
    folder = prune("tiny", plan, tmp_path / "smaller")
    config = json.loads((folder / "config.json").read_text())
    assert sizes_of(config, "smaller") == left
    whole = simulate("edge_npu", "tiny", "w8a8_int8", request=GraphRequest(seq_len=64))
    smaller = simulate("edge_npu", str(folder), "w8a8_int8", request=GraphRequest(seq_len=64))
    assert whole.totals["macs"] == macs(TINY, 64)
    assert smaller.totals["macs"] == macs(left, 64)
    assert smaller.totals["cycles"] < whole.totals["cycles"]
    assert smaller.totals["energy_pj"]["typical"] < whole.totals["energy_pj"]["typical"]


def test_what_stays_is_what_was_there(tmp_path: Path) -> None:
    folder = prune("tiny", {"heads": 0.5, "ffn": 0.5, "layers": [1]}, tmp_path / "smaller")
    kept = json.loads((folder / RECORD).read_text())["kept"]
    assert kept["layers"] == [0, 2, 3]
    found = load("tiny").values
    assert found is not None
    before, after = found.entries, read_checkpoint(folder)
    assert after is not None
    smaller = type(found)(after, {}, folder)
    for new, old in enumerate(kept["layers"]):
        name = "model.layers.{}.mlp.down_proj.weight"
        whole, cut = found.read(name.format(old)), smaller.read(name.format(new))
        assert np.array_equal(whole[:, kept["ffn"][new]], cut)
        name = "model.layers.{}.self_attn.o_proj.weight"
        rows = np.concatenate([np.arange(32) + 32 * head for head in kept["queries"][new]])
        assert np.array_equal(found.read(name.format(old))[:, rows], smaller.read(name.format(new)))
    assert {entry.dtype for entry in after.values()} == {entry.dtype for entry in before.values()}
    assert (folder / "tokenizer.json").read_bytes() == (
        values().folder / "tokenizer.json"
    ).read_bytes()


def test_heads_go_with_all_queries_that_read_them() -> None:
    scores = scores_of_tiny()
    scores.heads[:] = [[5.0, 0.0, 3.0, 3.0]] * 4
    kept = choose(PrunePlan(heads=0.5), TINY, scores)
    assert kept.kv_heads[0].tolist() == [1] and kept.queries[0].tolist() == [2, 3]
    kept = choose(PrunePlan(queries=0.5), TINY, scores)
    assert kept.kv_heads[0].tolist() == [0, 1] and kept.queries[0].tolist() == [0, 2]


def test_a_share_of_the_layers_takes_those_of_the_smallest_scores() -> None:
    scores = scores_of_tiny()
    scores.layers[:] = [3.0, 1.0, 2.0, 4.0]
    assert choose(PrunePlan(layers=0.5), TINY, scores).layers == (0, 3)


def test_activation_sees_what_magnitude_does_not(tmp_path: Path) -> None:
    tokens = tokens_of(2, 48)
    chosen = []
    for by in ("magnitude", "activation"):
        folder = prune("tiny", {"ffn": 0.5, "by": by}, tmp_path / by, tokens=tokens)
        chosen.append(json.loads((folder / RECORD).read_text())["kept"]["ffn"])
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({}, "nothing to take away"),
        ({"head": 0.5}, "unknown key 'head'.*did you mean 'heads'"),
        ({"ffn": 0.0}, "ffn is 0.0; a share above 0 and below 1"),
        ({"ffn": 1.0}, "ffn is 1.0"),
        ({"hidden": "half"}, "hidden is 'half'"),
        ({"heads": 0.3}, r"heads is 0.3 of 2 key and value heads.*shares that do: 0.5"),
        ({"heads": 0.01}, "leaves no whole number"),
        ({"queries": 0.25}, "of 2 query heads of a group"),
        ({"ffn": 0.001}, "none can go"),
        ({"layers": [4]}, "layers 0 to 3"),
        ({"layers": [1, 1]}, "each may stand there once"),
        ({"layers": [0, 1, 2, 3]}, "takes all 4 away"),
        ({"layers": 0.9}, "no whole number"),
        ({"ffn": 0.5, "by": "luck"}, "by is 'luck'"),
        ({"ffn": 0.5, "by": "activation"}, "needs calibration tokens"),
    ],
)
def test_bad_plans_are_refused(plan: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        prune("tiny", plan, tmp_path / "smaller")
    assert list(tmp_path.iterdir()) == []


def test_scores_of_another_model_are_refused(tmp_path: Path) -> None:
    scores = scores_of_tiny()
    with pytest.raises(InputError, match=r"scores: ffn is \[4, 383\], \[4, 384\] is needed"):
        prune("tiny", {"ffn": 0.5}, tmp_path / "x",
              Scores(scores.heads, scores.ffn[:, 1:], scores.hidden, scores.layers))  # fmt: skip
    scores.hidden[3] = np.nan
    with pytest.raises(InputError, match="hidden holds numbers that are NaN"):
        prune("tiny", {"hidden": 0.5}, tmp_path / "x", scores)


def copied(tmp_path: Path, **changes: Any) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    config = json.loads((values().folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").symlink_to(values().folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"model_type": "gpt2"}, InputError, "structured pruning knows llama.*this is 'gpt2'"),
        ({"quantization_config": {}}, InputError, "quantized: prune it before"),
        ({"num_hidden_layers": 5}, CheckpointError, "says 5 layers"),
        ({"intermediate_size": 380}, CheckpointError, "not of this config"),
        ({"num_key_value_heads": 3}, InputError, "do not fit together"),
        ({"hidden_size": None}, InputError, "lacks a size"),
    ],
)
def test_other_models_are_refused(
    changes: dict[str, Any], kind: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=says):
        prune(copied(tmp_path, **changes), {"ffn": 0.5}, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


def test_places_that_are_taken_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(OutputError, match="not empty"):
        prune("tiny", {"ffn": 0.5}, tmp_path / "there")
    with pytest.raises(InputError, match="no such folder"):
        prune(tmp_path / "nowhere", {"ffn": 0.5}, tmp_path / "smaller")
    with pytest.raises(InputError, match="ships without weights"):
        prune("llama-3-8b", {"ffn": 0.5}, tmp_path / "smaller")


def test_plans_of_either_spelling() -> None:
    assert plan_of({"ffn": 0.5}) == plan_of(PrunePlan(ffn=0.5))
