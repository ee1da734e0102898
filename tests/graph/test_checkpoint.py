"""Safetensors headers: good ones, truncated ones at every byte, pickles, and wrong weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import compare, read_checkpoint, read_header, weights_of
from tests.graph.graph_builder import Builder

SHAPES: dict[str, tuple[int, ...]] = {"a.weight": (2, 3), "b.bias": (4,)}


def safetensors(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """A file of fp32 zeros, written by hand."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(at)


def test_names_shapes_and_types(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(SHAPES))
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert {name: entry.shape for name, entry in found.items()} == SHAPES
    assert {entry.dtype for entry in found.values()} == {"F32"}


def test_every_truncation_is_an_error_with_file_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    whole = safetensors(SHAPES)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"model\.safetensors: truncated: \d+ bytes"):
            read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "X9"}, "has the type 'X9'"),
        ({"shape": [2, 4]}, "needs 32 bytes, its offsets give 24"),
        ({"shape": [-2, -3]}, "offsets give|described"),
        ({"shape": None}, "described wrongly"),
        ({"data_offsets": [0]}, "described wrongly"),
        ({"data_offsets": [-24, 0]}, "needs 24 bytes"),
        ({"data_offsets": [4000, 4024]}, "truncated: 24 bytes of data found, 4024 needed"),
    ],
)
def test_a_wrong_entry_is_an_error(tmp_path: Path, change: dict[str, object], message: str) -> None:
    entry: dict[str, object] = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    text = json.dumps({"a": entry | change}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(24))
    with pytest.raises(CheckpointError, match=message):
        read_header(path)


def test_what_is_not_safetensors_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little"))
    with pytest.raises(CheckpointError, match="not a safetensors file: a header of"):
        read_header(path)
    for text in (b"[1]", b"{x"):
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            read_header(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "m.pt", "m.pth", "m.ckpt"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(CheckpointError, match=f"{name}: pickled weights.*convert"):
        read_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(safetensors(SHAPES))
    assert read_checkpoint(tmp_path) is not None


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert read_checkpoint(tmp_path) is None


def shards(folder: Path, places: dict[str, str]) -> None:
    (folder / "1.safetensors").write_bytes(safetensors({"a.weight": (2, 3)}))
    (folder / "2.safetensors").write_bytes(safetensors({"b.bias": (4,)}))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))


def test_an_index_joins_its_files(tmp_path: Path) -> None:
    shards(tmp_path, {"a.weight": "1.safetensors", "b.bias": "2.safetensors"})
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert {name: entry.shape for name, entry in found.items()} == SHAPES


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"a.weight": "3.safetensors"}, "the file 3.safetensors is missing"),
        ({"a.weight": "../1.safetensors"}, "not the name of a file beside it"),
        ({"c.weight": "1.safetensors"}, "'c.weight' is not in 1.safetensors"),
        ({"a.weight": 1}, "not the name of a file|not an index"),
    ],
)
def test_a_wrong_index_is_an_error(tmp_path: Path, places: dict[str, str], message: str) -> None:
    shards(tmp_path, places)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path)


def test_two_files_with_one_name(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / f"{name}.safetensors").write_bytes(safetensors({"a": (1,)}))
    with pytest.raises(CheckpointError, match=r"'a' stands in 1\.safetensors too"):
        read_checkpoint(tmp_path)


def checkpoint_of(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    (folder / "model.safetensors").write_bytes(safetensors(shapes))


def test_weights_are_compared_with_the_graph(tmp_path: Path) -> None:
    b = Builder()
    b.given("x", 2, 3)
    b.given("a.weight", 5, 3, role="weight")
    wanted = weights_of(b.graph(b.op("matmul", ("x", "a.weight"), (2, 5))))
    assert wanted == {"a.weight": (5, 3)}
    checkpoint_of(tmp_path, wanted)
    found = read_checkpoint(tmp_path)
    assert found is not None
    compare(found, wanted, "folder")


def test_missing_extra_and_misshapen_are_listed_with_counts(tmp_path: Path) -> None:
    checkpoint_of(tmp_path, {"w0": (2,), "odd": (1,)} | {f"x{i}": (1,) for i in range(5)})
    found = read_checkpoint(tmp_path)
    assert found is not None
    with pytest.raises(CheckpointError) as error:
        compare(found, {"w0": (3,), "w1": (1,)}, "folder")
    text = str(error.value)
    assert text.startswith("folder: the weights are not of this config: 1 missing: w1;")
    assert "6 not of the model: odd, x0, x1 and 3 more" in text
    assert "1 misshapen: w0 [2] instead of [3]" in text


def test_spellings_that_are_the_same_model(tmp_path: Path) -> None:
    checkpoint_of(
        tmp_path,
        {
            "bert.norm.gamma": (2,), "bert.norm.beta": (2,), "bert.rotary.inv_freq": (2,),
            "bert.layer.experts.0.w1": (4,), "bert.head.weight": (2,),
        },
    )  # fmt: skip
    found = read_checkpoint(tmp_path)
    assert found is not None
    wanted = {"norm.weight": (2,), "norm.bias": (2,), "layer.experts.gate_up": (8,)}
    compare(found, wanted, "folder", prefix="bert", allowed=("head.weight",))
    with pytest.raises(CheckpointError):
        compare(found, wanted, "folder", prefix="gpt", allowed=("head.weight",))
