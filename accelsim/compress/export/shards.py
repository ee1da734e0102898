"""Safetensors files written one after the other, no more than one of them in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import DTYPE_BITS, Entry
from accelsim.graph.quantized.raw import Raw

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: Bytes of a file, unless one tensor alone is larger.
SHARD_BYTES = 1 << 29
#: Bytes that are copied at once from another file.
_CHUNK = 1 << 24
#: Headers end at a multiple of it (safetensors: "the header is padded with spaces").
_ALIGN = 8

Stored = Raw | Entry


class Shards:
    """Writes tensors into a folder as they come.

    Args:
        folder: an empty folder.
        shard_bytes: at which a file is closed.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self._held: dict[str, Stored] = {}
        self._size = 0
        self._files: list[list[str]] = []
        self._names: set[str] = set()
        self._total = 0

    def add(self, name: str, tensor: Stored) -> None:
        """Take a tensor.

        Raises:
            CheckpointError: its name was taken before.
            OSError: the file cannot be written.
        """
        if name in self._names:
            raise CheckpointError(f"{name!r} is written twice")
        size = _bytes(tensor)
        if self._held and self._size + size > self.shard_bytes:
            self._flush()
        self._names.add(name)
        self._held[name] = tensor
        self._size += size

    def close(self) -> None:
        """Write what is left, and the index where there are several files.

        Raises:
            CheckpointError: there is nothing to write.
            OSError: a file cannot be written.
        """
        if self._held:
            self._flush()
        if not self._files:
            raise CheckpointError("a checkpoint without a tensor is not written")
        count = len(self._files)
        if count == 1:
            self._path(0).rename(self.folder / SINGLE)
            return
        places: dict[str, str] = {}
        for number, names in enumerate(self._files):
            final = f"model-{number + 1:05}-of-{count:05}.safetensors"
            self._path(number).rename(self.folder / final)
            places |= dict.fromkeys(names, final)
        index = {
            "metadata": {"total_size": self._total}, "weight_map": dict(sorted(places.items()))
        }  # fmt: skip
        (self.folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    def _path(self, number: int) -> Path:
        return self.folder / f"shard-{number}.part"

    def _flush(self) -> None:
        with self._path(len(self._files)).open("wb") as file:
            header = _header(self._held)
            file.write(len(header).to_bytes(8, "little") + header)
            for name, tensor in self._held.items():
                for chunk in _chunks(name, tensor):
                    file.write(chunk)
        self._files.append(list(self._held))
        self._total += self._size
        self._held, self._size = {}, 0


def _bytes(tensor: Stored) -> int:
    if isinstance(tensor, Raw):
        return tensor.values.nbytes
    return -(-math.prod(tensor.shape) * DTYPE_BITS[tensor.dtype] // 8)


def _header(held: Mapping[str, Stored]) -> bytes:
    rows: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, tensor in held.items():
        size = _bytes(tensor)
        if isinstance(tensor, Raw):
            kind, shape = tensor.kind, tensor.values.shape
        else:
            kind, shape = tensor.dtype, tensor.shape
        rows[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(rows, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % _ALIGN)


def _chunks(name: str, tensor: Stored) -> Iterator[bytes | memoryview]:
    if isinstance(tensor, Raw):
        values = np.ascontiguousarray(tensor.values)
        yield (
            values.astype(values.dtype.newbyteorder("<"), copy=False)
            .reshape(-1)
            .view(np.uint8)
            .data
        )
        return
    with tensor.file.open("rb") as source:
        source.seek(tensor.offset)
        yield from _copied(name, source, _bytes(tensor))


def _copied(name: str, source: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        chunk = source.read(min(left, _CHUNK))
        if not chunk:
            raise CheckpointError(f"{source.name}: truncated while copying {name!r}")
        left -= len(chunk)
        yield chunk
