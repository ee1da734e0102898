"""A checkpoint larger than memory is read header first and one weight at a time."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np

from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.quantized.view import CodedEntry, coded_view

#: Sizes of a weight and how many there are: 64 MB of codes, of which a disk keeps the headers.
N, K, GROUP, COUNT = 2048, 4096, 128, 16
CONFIG = {
    "quant_method": "compressed-tensors", "format": "pack-quantized",
    "config_groups": {"group_0": {
        "targets": ["Linear"],
        "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP},
    }},
}  # fmt: skip


def sparse(path: Path, count: int) -> None:
    """Write a header and the shapes of its weights; all else is a hole in the file."""
    header, place, shapes = {}, 0, []
    for i in range(count):
        for local, kind, shape, size in (
            ("weight_packed", "I32", [N, K // 8], N * K // 2),
            ("weight_scale", "F16", [N, K // GROUP], N * K // GROUP * 2),
            ("weight_shape", "I64", [2], 16),
        ):
            offsets = [place, place + size]
            header[f"m.{i}.{local}"] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
            if local == "weight_shape":
                shapes.append(place)
            place += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for at in shapes:
            file.seek(8 + len(text) + at)
            file.write(np.array([N, K], np.int64).tobytes())
        file.truncate(8 + len(text) + place)


def test_one_weight_at_a_time(tmp_path: Path) -> None:
    sparse(tmp_path / "model.safetensors", COUNT)
    tracemalloc.start()
    found = read_checkpoint(tmp_path)
    assert found is not None
    seen = coded_view(found, CONFIG, "config.json")
    opened = tracemalloc.get_traced_memory()[1]
    for entry in seen.values():
        assert isinstance(entry, CodedEntry)
        assert entry.shape == (N, K)
        assert entry.read().numbers()[0, 0] == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(seen) == COUNT
    assert opened < 2e6
    # The numbers in FP32, and their codes three times on the way.
    assert peak < 4 * N * K + 5 * N * K
