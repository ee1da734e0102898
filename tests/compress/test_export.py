"""The writer: files, configuration, what it refuses, and that nothing is left half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor
from accelsim.compress.export.shards import INDEX, SINGLE
from accelsim.compress.export.write import write_checkpoint
from accelsim.errors import AccelsimError, CheckpointError, OutputError
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.scheme import ActivationCodes
from accelsim.graph.quantized.view import CodedEntry, coded_view
from tests.compress.export_support import CASES, LLAMA, config_of, model

Q = "model.layers.0.self_attn.q_proj.weight"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_again(case: str, tmp_path: Path) -> None:
    points = case.startswith("int")
    tensors = model(case, zero_points=points)
    folder = write_checkpoint(tmp_path / "m", tensors.items(), LLAMA)
    found = read_checkpoint(folder)
    assert found is not None
    seen = coded_view(found, config_of(folder)["quantization_config"], "config.json")
    assert set(seen) == set(tensors)
    for name, content in tensors.items():
        entry = seen[name]
        assert isinstance(entry, CodedEntry) == isinstance(content, CodedTensor)
        if isinstance(entry, CodedEntry) and isinstance(content, CodedTensor):
            again = entry.read()
            assert np.array_equal(again.codes, content.weight.codes)
            assert np.array_equal(again.scales, content.weight.scales)
            assert (again.scale_format, again.group) == (
                content.weight.scale_format, content.weight.group
            )  # fmt: skip
            assert np.array_equal(again.numbers(), content.weight.numbers())
            assert entry.scheme.activation == content.activation


def test_files_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    tensors = model("int4_group")
    for name in ("a", "b"):
        write_checkpoint(tmp_path / name, tensors.items(), LLAMA, shard_bytes=20_000)
    files = bytes_of(tmp_path / "a")
    assert files == bytes_of(tmp_path / "b")
    index = json.loads(files[INDEX])
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) > 3 and shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    alone = [s for s in shards if list(index["weight_map"].values()).count(s) == 1]
    for shard in set(shards) - set(alone):
        assert len(files[shard]) < 20_000 + 4_000
    assert read_checkpoint(tmp_path / "a") is not None
    write_checkpoint(tmp_path / "one", tensors.items(), LLAMA)
    assert SINGLE in bytes_of(tmp_path / "one")


def test_a_stream_is_read_once_and_no_further_than_a_file(tmp_path: Path) -> None:
    """No more than one file's tensors are alive at a time."""
    alive: list[int] = []
    peak = 0

    class Watched(np.ndarray[Any, Any]):
        def __del__(self) -> None:
            alive.append(-1)

    def stream() -> Iterator[tuple[str, Content]]:
        nonlocal peak
        for i in range(64):
            values = np.zeros(1000, np.float32).view(Watched)
            alive.append(1)
            peak = max(peak, sum(alive))
            yield f"t{i}", PlainTensor(values)
            del values

    write_checkpoint(tmp_path / "m", stream(), LLAMA, shard_bytes=16_000)
    assert peak <= 8


def test_a_checkpoint_is_copied_without_being_decoded(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", model("int4_group").items(), LLAMA)
    found = read_checkpoint(tmp_path / "a")
    assert found is not None
    plain = {name: entry for name, entry in found.items() if name.endswith("norm.weight")}
    write_checkpoint(tmp_path / "b", plain.items(), LLAMA)
    copied = read_checkpoint(tmp_path / "b")
    assert copied is not None and set(copied) == set(plain)
    assert "quantization_config" not in config_of(tmp_path / "b")


def test_tokenizers_come_along(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "notes.txt", "model.safetensors"):
        (source / name).write_text(name)
    folder = write_checkpoint(
        tmp_path / "m", model("int8_channel").items(), LLAMA, source=source,
        files={"recipe.yaml": b"x"},
    )  # fmt: skip
    assert set(bytes_of(folder)) == {
        "config.json", SINGLE, "tokenizer.json", "tokenizer_config.json", "recipe.yaml"
    }  # fmt: skip


def test_the_configuration_says_what_stays_plain(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m", model("int4_group_int8").items(), LLAMA)
    found = config_of(folder)["quantization_config"]
    assert found["ignore"] == ["lm_head", "model.embed_tokens"]
    assert found["config_groups"]["group_0"]["targets"] == ["Linear"]
    assert found["config_groups"]["group_0"]["input_activations"]["dynamic"] is True
    assert found["format"] == "pack-quantized" and found["quantization_status"] == "compressed"


def spoiled(**changes: Any) -> CodedTensor:
    content = model("int8_channel")[Q]
    assert isinstance(content, CodedTensor)
    return replace(content, weight=replace(content.weight, **changes))


def weight() -> CodedWeight:
    return spoiled().weight


BAD: dict[str, tuple[Content, str]] = {
    "nan scale": (
        spoiled(scales=np.full((64, 1), np.nan, np.float32)), "64 scales of 64 are NaN or infinite"
    ),
    "shape": (spoiled(scales=np.ones((63, 1), np.float32)), r"scales are float32 \[63, 1\]"),
    "type": (spoiled(codes=np.zeros((64, 64), np.int32)), "codes of int8 are int32"),
    "range": (spoiled(format="int4"), "int4 allows -8 to 7"),
    "rank": (spoiled(codes=np.zeros(64, np.int8)), r"codes are \[64\]"),
    "scale format": (spoiled(scale_format="fp8"), "scales are 'fp8'"),
    "not of the format": (spoiled(scale_format="bf16"), "are no numbers of bf16"),
    "no layout": (spoiled(scale_format="e8m0"), "keeps no scales of e8m0"),
    "order": (spoiled(group_of=np.zeros(64, np.int32)), "keeps groups of k in order"),
    "zero point": (
        spoiled(zero_points=np.full((64, 1), 128, np.int16)), "zero points from 128 to 128"
    ),
    "ragged": (
        spoiled(group=48, scales=np.ones((64, 2), np.float32)), "no multiple of its group of 48"
    ),
    "static": (CodedTensor(weight(), ActivationCodes("int8", "tensor")), "input_scale: is missing"),
    "no activation": (CodedTensor(weight(), None, np.float32(1)), "belongs to no activations"),
    "negative": (
        CodedTensor(weight(), ActivationCodes("int8", "tensor"), np.float32(-1)), "is -1.0"
    ),
    "plain nan": (PlainTensor(np.full((2, 2), np.inf, np.float32)), "4 values that are NaN"),
    "plain wide": (PlainTensor(np.full((2, 2), 1.001, np.float32), "bf16"), "no numbers of bf16"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_written_leaves_nothing(case: str, tmp_path: Path) -> None:
    content, said = BAD[case]
    tensors = {**model("int8_channel"), Q: content}
    with pytest.raises(CheckpointError, match=said):
        write_checkpoint(tmp_path / "m", tensors.items(), LLAMA, shard_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_names_come_once_and_codes_are_of_weights(tmp_path: Path) -> None:
    twice = [("a.weight", PlainTensor(np.zeros(2, np.float32)))] * 2
    with pytest.raises(CheckpointError, match=r"'a.weight' is written twice"):
        write_checkpoint(tmp_path / "m", twice, LLAMA)
    with pytest.raises(CheckpointError, match="codes are kept of a module's weight alone"):
        write_checkpoint(tmp_path / "m", [("a.bias", CodedTensor(weight()))], LLAMA)
    with pytest.raises(CheckpointError, match="without a tensor"):
        write_checkpoint(tmp_path / "m", [], LLAMA)
    assert not list(tmp_path.iterdir())


def test_folders_with_something_in_them_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, said in (("full", "is not empty"), ("file", "is a file"), ("file/m", "is a file")):
        with pytest.raises(OutputError, match=said):
            write_checkpoint(tmp_path / name, model("int8_channel").items(), LLAMA)
    assert bytes_of(tmp_path / "full") == {"x": b"mine"}
    (tmp_path / "empty").mkdir()
    write_checkpoint(tmp_path / "empty", model("int8_channel").items(), LLAMA)
    assert (tmp_path / "empty" / SINGLE).is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no permission"):
            write_checkpoint(tmp_path / "m", model("int8_channel").items(), LLAMA)
    finally:
        tmp_path.chmod(0o700)


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def stream() -> Iterator[tuple[str, Content]]:
        yield from list(model("int8_channel").items())[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "m", stream(), LLAMA, shard_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_its_errors_are_the_users(tmp_path: Path) -> None:
    assert issubclass(CheckpointError, AccelsimError) and CheckpointError.exit_code == 2
