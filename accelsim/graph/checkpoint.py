"""Safetensors headers: names, shapes and types of a checkpoint's weights, and where they lie.

Only the header of each file is read; ``values`` reads what lies there. Pickles are refused, since
reading one runs its code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import CheckpointError
from accelsim.graph.ir import Graph

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
#: Pickles that a trainer leaves beside the weights and that nobody needs to read.
NOT_WEIGHTS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"})
#: Largest header that the format allows.
LONGEST_HEADER = 100_000_000
#: Bits of the types that safetensors knows.
DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
#: Entries that hold no parameter of the model, and old spellings of names.
BUFFERS = (".inv_freq", ".position_ids", ".num_batches_tracked", ".masked_bias", ".attn.bias")
OLD_NAMES: Mapping[str, str] = {".gamma": ".weight", ".beta": ".bias"}
#: transformers stores the experts of a layer in one tensor, checkpoints one by one.
EXPERTS = ".experts."
SHOWN = 3
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a checkpoint: its type as the file spells it, its shape, file and place there.

    ``offset`` counts bytes from the beginning of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int = 0


Checkpoint = Mapping[str, Entry]


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the tensors of a folder's checkpoint; None when it holds no weights.

    Raises:
        CheckpointError: pickled or truncated weights, or an index that does not fit its files.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return _read_indexed(index)
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return _joined(read_header(path) for path in files)
    for path in sorted(folder.iterdir()):
        if path.suffix in PICKLES and path.name not in NOT_WEIGHTS:
            raise CheckpointError(
                f"{path}: pickled weights are not read, since reading them runs their code; "
                "convert them to safetensors (save_pretrained of transformers does) and try again"
            )
    return None


def _joined(parts: Iterable[Checkpoint]) -> Checkpoint:
    whole: dict[str, Entry] = {}
    for part in parts:
        for name, entry in part.items():
            if name in whole:
                raise CheckpointError(
                    f"{entry.file}: {name!r} stands in {whole[name].file.name} too"
                )
            whole[name] = entry
    return whole


def _read_indexed(index: Path) -> Checkpoint:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(places.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: not an index of safetensors files ({error})") from None
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{index}: {shard!r} is not the name of a file beside it")
        if not (index.parent / shard).is_file():
            raise CheckpointError(f"{index}: the file {shard} is missing from {index.parent}")
    whole = _joined(read_header(index.parent / shard) for shard in shards)
    for name, shard in places.items():
        if name not in whole or whole[name].file.name != shard:
            raise CheckpointError(f"{index}: {name!r} is not in {shard}")
    return whole


def read_header(path: Path) -> Checkpoint:
    """Return the tensors of one safetensors file.

    Raises:
        CheckpointError: the file is truncated or not a safetensors file.
    """
    header, begin = _header(path)
    data = (begin, path.stat().st_size)
    return {
        name: _entry(path, name, row, data) for name, row in header.items() if name != _METADATA
    }


def read_metadata(path: Path) -> Mapping[str, str]:
    """Return what a safetensors file says about itself.

    Raises:
        CheckpointError: as ``read_header``.
    """
    found = _header(path)[0].get(_METADATA, {})
    return {str(key): str(value) for key, value in found.items()}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header and where the data begins."""
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise CheckpointError(f"{path}: truncated: {size} bytes found, 8 needed for its length")
        length = int.from_bytes(prefix, "little")
        if length > LONGEST_HEADER:
            raise CheckpointError(
                f"{path}: not a safetensors file: a header of {length} bytes is announced, "
                f"{LONGEST_HEADER} are allowed"
            )
        if 8 + length > size:
            raise CheckpointError(
                f"{path}: truncated: {size} bytes found, {8 + length} needed for its header"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
        if not all(isinstance(row, dict) for row in header.values()):
            raise ValueError("its entries are no mappings")
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from None
    return header, 8 + length


def _entry(path: Path, name: str, row: Any, data: tuple[int, int]) -> Entry:
    available = data[1] - data[0]
    try:
        dtype, shape = str(row["dtype"]), tuple(int(size) for size in row["shape"])
        begin, end = (int(offset) for offset in row["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {name!r} is described wrongly ({error})") from None
    if dtype not in DTYPE_BITS:
        raise CheckpointError(
            f"{path}: {name!r} has the type {dtype!r} (known: {', '.join(DTYPE_BITS)})"
        )
    needed = -(-math.prod(shape) * DTYPE_BITS[dtype] // 8)
    if begin < 0 or end - begin != needed or min(shape, default=0) < 0:
        raise CheckpointError(
            f"{path}: {name!r} of {dtype}{list(shape)} needs {needed} bytes, its offsets give "
            f"{end - begin}"
        )
    if end > available:
        raise CheckpointError(
            f"{path}: truncated: {available} bytes of data found, {end} needed for {name!r}"
        )
    return Entry(dtype, shape, path, data[0] + begin)


def weights_of(graph: Graph) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a graph's weights by name."""
    return {name: t.shape for name, t in graph.tensors.items() if t.role == "weight"}


def compare(
    checkpoint: Checkpoint,
    expected: Mapping[str, tuple[int, ...]],
    where: str,
    prefix: str = "",
    allowed: Iterable[str] = (),
) -> None:
    """Check that a checkpoint holds the weights of a model.

    Args:
        checkpoint: what the files hold.
        expected: what the model needs; a tied weight stands there once.
        where: the folder, for the message.
        prefix: name of the inner model, which some checkpoints carry and others do not.
        allowed: names that may be there too: buffers, and second names of tied weights.

    Raises:
        CheckpointError: missing, extra or misshapen weights, the first few by name.
    """
    wanted = {name: shape for name, shape in expected.items() if EXPERTS not in name}
    found = {name: entry.shape for name, entry in aligned(checkpoint, wanted, prefix).items()}
    missing = [name for name in wanted if name not in found]
    optional = set(allowed)
    extra = [
        name
        for name in found
        if name not in wanted
        and name not in optional
        and EXPERTS not in name
        and not name.endswith(BUFFERS)
    ]
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    parts = [
        _listed(title, names)
        for title, names in (
            ("missing", missing), ("not of the model", extra), ("misshapen", wrong),
        )
        if names
    ]  # fmt: skip
    if parts:
        raise CheckpointError(f"{where}: the weights are not of this config: {'; '.join(parts)}")


def _modern(name: str) -> str:
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def aligned(checkpoint: Checkpoint, wanted: Container[str], prefix: str) -> Checkpoint:
    """Return the entries under the names that a model uses.

    Old spellings are replaced, and the prefix of the inner model is added or dropped when that
    makes more names fit.
    """
    found = {_modern(name): entry for name, entry in checkpoint.items()}
    head = f"{prefix}."
    spellings = [found]
    if prefix:
        spellings.append({name.removeprefix(head): entry for name, entry in found.items()})
        spellings.append({head + name: entry for name, entry in found.items()})
    return max(spellings, key=lambda names: sum(name in wanted for name in names))


def _listed(title: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {title}: {', '.join(names[:SHOWN])}{more}"
