"""Writes a compressed checkpoint as compressed-tensors, and transformers with it, reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.compress.export.config import quantization_config
from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor, scheme_of
from accelsim.compress.export.folder import whole_folder
from accelsim.compress.export.shards import SHARD_BYTES, Shards, Stored
from accelsim.errors import CheckpointError
from accelsim.graph.checkpoint import Entry
from accelsim.graph.quantized.layouts import LAYOUTS
from accelsim.graph.quantized.raw import Raw, stored
from accelsim.graph.quantized.scheme import Scheme

#: What a tokenizer and generation leave in a model's folder.
COPIED = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model",
    "chat_template.jinja", "chat_template.json", "generation_config.json",
)  # fmt: skip
_WEIGHT = ".weight"


def write_checkpoint(
    folder: str | Path,
    tensors: Iterable[tuple[str, Content]],
    config: Mapping[str, Any],
    *,
    source: str | Path | None = None,
    files: Mapping[str, bytes] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write a checkpoint; the folder is there whole or not at all.

    Args:
        folder: must not exist, or be empty.
        tensors: names as the model's class has them and what they hold, read once and in order;
            no more of it is kept in memory than one file takes.
        config: ``config.json`` of the model; a ``quantization_config`` in it is replaced.
        source: the folder of the model, whose tokenizer files are copied.
        files: further files by name.
        shard_bytes: of a safetensors file.

    Returns:
        The folder.

    Raises:
        OutputError: the folder is not empty or cannot be written.
        CheckpointError: a tensor that is not finite or has no layout, or a name that comes twice.
    """
    with whole_folder(folder) as fresh:
        shards, made = Shards(fresh, shard_bytes), _Made()
        for name, content in tensors:
            for full, tensor in made.parts(name, content):
                shards.add(full, tensor)
        shards.close()
        (fresh / "config.json").write_text(_config(config, made), encoding="utf-8")
        _copy(source, fresh)
        for name, text in (files or {}).items():
            if Path(name).name != name or (fresh / name).exists():
                raise CheckpointError(f"{name!r} is not the name of a further file")
            (fresh / name).write_bytes(text)
    return Path(folder)


class _Made:
    """What was written so far, as far as the configuration speaks of it."""

    def __init__(self) -> None:
        self.schemes: dict[str, Scheme] = {}
        self.scales: dict[str, str] = {}
        self.plain: list[str] = []

    def parts(self, name: str, content: Content) -> Iterable[tuple[str, Stored]]:
        if isinstance(content, CodedTensor):
            return self._coded(name, content)
        shape = content.shape if isinstance(content, Entry) else content.values.shape
        if len(shape) == 2 and name.endswith(_WEIGHT):
            self.plain.append(name.removesuffix(_WEIGHT))
        return [(name, content if isinstance(content, Entry) else _plain(name, content))]

    def _coded(self, name: str, content: CodedTensor) -> Iterable[tuple[str, Stored]]:
        if not name.endswith(_WEIGHT):
            raise CheckpointError(f"{name!r}: codes are kept of a module's weight alone")
        module = name.removesuffix(_WEIGHT)
        scheme = scheme_of(name, content)
        write = LAYOUTS[scheme.layout].write
        if write is None:
            raise CheckpointError(f"{name}: {scheme.layout} is read, not written")
        self.schemes[module], self.scales[module] = scheme, content.weight.scale_format
        found: dict[str, Raw] = write(module, content.weight)
        found |= _inputs(module, content)
        return [(f"{module}.{local}", raw) for local, raw in found.items()]


def _inputs(module: str, content: CodedTensor) -> dict[str, Raw]:
    """Scales of activations that are known beforehand."""
    wanted = content.activation
    needs = {
        "input_scale": wanted is not None and wanted.granularity == "tensor",
        "input_global_scale": wanted is not None and wanted.scale_format == "ue4m3",
    }
    found: dict[str, Raw] = {}
    for local, needed in needs.items():
        value = getattr(content, local)
        if needed != (value is not None):
            raise CheckpointError(
                f"{module}.{local}: {'is missing' if needed else 'belongs to no activations'}"
            )
        if value is not None:
            if not (np.isfinite(value) and value > 0):
                raise CheckpointError(f"{module}.{local}: is {value}; a positive number is needed")
            found[local] = Raw("F32", np.array([value], np.float32))
    return found


def _plain(name: str, content: PlainTensor) -> Raw:
    if not np.isfinite(content.values).all():
        wrong = int((~np.isfinite(content.values)).sum())
        raise CheckpointError(
            f"{name!r} holds {wrong:,} values that are NaN or infinite (of "
            f"{content.values.size:,}); weights must be finite"
        )
    return stored(name, content.values, content.format)


def _config(config: Mapping[str, Any], made: _Made) -> str:
    whole = {key: value for key, value in config.items() if key != "quantization_config"}
    if made.schemes:
        whole["quantization_config"] = quantization_config(made.schemes, made.plain, made.scales)
    return json.dumps(whole, indent=2) + "\n"


def _copy(source: str | Path | None, fresh: Path) -> None:
    if source is None:
        return
    for name in COPIED:
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, fresh / name)
