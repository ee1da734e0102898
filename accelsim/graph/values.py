"""Values of a model: weights read from its checkpoint when they are asked for, and constants."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Checkpoint, Entry
from accelsim.graph.ir import Graph
from accelsim.graph.quantized.coded import CodedWeight
from accelsim.graph.quantized.view import CodedEntry

Float32 = npt.NDArray[np.float32]


def _from_bf16(raw: npt.NDArray[Any]) -> Float32:
    return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _cast(raw: npt.NDArray[Any]) -> Float32:
    return raw.astype(np.float32)


#: Types of a checkpoint whose values can be read: how they lie in the file, and how to widen them.
READABLE: Mapping[str, tuple[Any, Callable[[npt.NDArray[Any]], Float32]]] = {
    "BF16": (np.uint16, _from_bf16),
    "F16": (np.float16, _cast),
    "F32": (np.float32, _cast),
}
#: Numbers that are widened at once: no more than these lie in memory twice.
CHUNK = 1 << 20


@dataclass(frozen=True)
class ModelValues:
    """Where the values of a model's weights and constants come from.

    Attributes:
        entries: weights in their files, under the names of the graph.
        constants: values that no checkpoint holds, such as rotary frequencies.
        folder: the model's folder, for its tokenizer and for messages.
        tied: name of a weight that another one stands for, and that one's name.
    """

    entries: Checkpoint
    constants: Mapping[str, Float32]
    folder: Path
    tied: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """First digits of the SHA-256 of the files that hold the weights."""
        digest = hashlib.sha256()
        for path in sorted({file for entry in self.entries.values() for file in _files(entry)}):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def entry(self, name: str) -> Entry | None:
        """Return where a weight lies, or None."""
        return self.entries.get(name) or self.entries.get(self.tied.get(name, ""))

    def read(self, name: str) -> Float32:
        """Return the values of a weight or constant in FP32.

        Raises:
            CheckpointError: it is not there, of a type that is not read, or not finite.
        """
        if name in self.constants:
            return self.constants[name]
        entry = self.entry(name)
        if entry is None:
            raise CheckpointError(f"{self.folder}: no values for {name!r}")
        values = entry.read().numbers() if isinstance(entry, CodedEntry) else _read(name, entry)
        wrong = _not_finite(values)
        if wrong:
            raise CheckpointError(
                f"{entry.file}: {name!r} holds {wrong:,} values that are NaN or infinite "
                f"(of {values.size:,}); weights must be finite"
            )
        return values

    def coded(self, name: str) -> CodedWeight | None:
        """Return the codes and scales of a weight; None where it lies as plain numbers.

        Raises:
            CheckpointError: they cannot be read or do not belong together.
        """
        entry = self.entry(name)
        return entry.read() if isinstance(entry, CodedEntry) else None

    def check(self, graph: Graph) -> None:
        """Check that every weight and constant of a graph is there in its shape.

        Raises:
            CheckpointError: one that is missing or has another shape.
        """
        for tensor in graph.tensors.values():
            if tensor.role == "constant" and tensor.name not in self.constants:
                raise CheckpointError(f"{self.folder}: no values for constant {tensor.name!r}")
            if tensor.role != "weight":
                continue
            entry = self.entry(tensor.name)
            if entry is None:
                raise CheckpointError(f"{self.folder}: weight {tensor.name!r} is missing")
            if entry.shape != tensor.shape:
                raise CheckpointError(
                    f"{entry.file}: {tensor.name!r} is {list(entry.shape)}, the graph needs "
                    f"{list(tensor.shape)}"
                )


def _not_finite(values: Float32) -> int:
    """Count in pieces what is NaN or infinite: a table of tokens is large enough by itself."""
    flat = values.reshape(-1)
    parts = (flat[first : first + CHUNK] for first in range(0, flat.size, CHUNK))
    return sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in parts)


def _files(entry: Entry) -> frozenset[Path]:
    return entry.files if isinstance(entry, CodedEntry) else frozenset({entry.file})


def _read(name: str, entry: Entry) -> Float32:
    if entry.dtype not in READABLE:
        raise CheckpointError(
            f"{entry.file}: {name!r} is stored as {entry.dtype}; values are read from "
            f"{', '.join(READABLE)}"
        )
    dtype, widen = READABLE[entry.dtype]
    count = math.prod(entry.shape)
    values = np.empty(count, np.float32)
    try:
        with entry.file.open("rb") as file:
            file.seek(entry.offset)
            for first in range(0, count, CHUNK):
                part = values[first : first + CHUNK]
                raw = np.fromfile(file, dtype, part.size)
                if raw.size != part.size:
                    raise CheckpointError(f"{entry.file}: truncated while reading {name!r}")
                part[:] = widen(raw)
    except OSError as error:
        raise CheckpointError(f"{entry.file}: cannot be read: {error.strerror}") from None
    return values.reshape(entry.shape)
