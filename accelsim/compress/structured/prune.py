"""Structured pruning of a Hugging Face folder: really smaller tensors and a config that says so.

Tensors are cut one at a time, so a model larger than memory will do, and nothing is rounded. Only
the weights of norms change when the residual stream gets narrower: the mean of squares is then
taken over fewer channels, and the norm is scaled back, so that channels that were zero leave the
function as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.export.contents import PlainTensor
from accelsim.compress.export.folder import check_new
from accelsim.compress.export.write import write_checkpoint
from accelsim.compress.structured.choose import Kept, choose
from accelsim.compress.structured.family import HIDDEN, NORMS, name_of, place_of, resized, sizes_of
from accelsim.compress.structured.importance import Scores, by_activation, by_magnitude
from accelsim.compress.structured.plan import PrunePlan, Sizes, plan_of
from accelsim.errors import CheckpointError, InputError
from accelsim.graph import zoo
from accelsim.graph.checkpoint import Checkpoint, read_checkpoint
from accelsim.graph.values import ModelValues
from accelsim_kernels.rounding import round_to

#: What was pruned, for whoever trains the model afterwards.
RECORD = "pruning.json"
#: Types of a checkpoint that are cut, and what tables of formats call them.
FORMATS: Mapping[str, str] = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}


def prune(
    model: str | Path,
    plan: PrunePlan | Mapping[str, Any],
    output: str | Path,
    scores: Scores | None = None,
    tokens: npt.NDArray[np.int64] | None = None,
) -> Path:
    """Write a smaller model.

    Args:
        model: a Hugging Face folder of a Llama-like model, or the name of one that ships.
        plan: what is taken away.
        output: the folder to write; whole or not at all.
        scores: how much each part matters; None: as the plan says.
        tokens: ``[batch, length]`` calibration tokens, for scores by activation.

    Returns:
        The folder that was written.

    Raises:
        InputError: a plan that does not fit, another kind of model, or no calibration tokens.
        CheckpointError: weights that cannot be read, or are not those of the config.
        OutputError: the folder exists or cannot be written.
    """
    check_new(output)
    checked, folder = plan_of(plan), folder_of(model)
    config = read_config(folder)
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        raise InputError(f"{folder}: no safetensors there, so nothing to prune")
    sizes = sizes_of(config, str(folder))
    sizes.after(checked)
    _complete(checkpoint, sizes, folder)
    values = ModelValues(checkpoint, {}, folder)
    if scores is None:
        scores = _scored(checked, model, values, sizes, tokens)
    kept = choose(checked, sizes, scores)
    left = sizes.after(checked)
    record = {"schema_version": 1, "plan": checked.model_dump(mode="json"), "kept": kept.to_dict()}
    return write_checkpoint(
        output,
        _tensors(values, kept, math.sqrt(sizes.hidden / left.hidden)),
        resized(config, sizes, left, kept.layers),
        source=folder,
        files={RECORD: f"{json.dumps(record)}\n".encode()},
    )


def folder_of(model: str | Path) -> Path:
    """Return the folder of a model.

    Raises:
        InputError: no such folder.
    """
    if str(model) in zoo.names():
        values = zoo.load(str(model)).values
        if values is None:
            raise InputError(f"{model}: ships without weights, so nothing to prune")
        return values.folder
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise InputError(f"{model}: no such folder")
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a folder.

    Raises:
        InputError: there is none that can be read.
    """
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'}: cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise InputError(f"{folder / 'config.json'}: not a mapping")
    return found


def _complete(checkpoint: Checkpoint, sizes: Sizes, folder: Path) -> None:
    """Check every tensor's shape against the sizes of the configuration."""
    heads = sizes.kv_heads * sizes.queries
    along = {
        "query": heads * sizes.head_dim, "key": sizes.kv_heads * sizes.head_dim,
        "ffn": sizes.ffn, HIDDEN: sizes.hidden,
    }  # fmt: skip
    layers = set()
    for name, entry in checkpoint.items():
        if entry.dtype not in FORMATS:
            raise CheckpointError(
                f"{entry.file}: {name!r} is {entry.dtype}; {', '.join(FORMATS)} can be cut"
            )
        place = place_of(name)
        layers |= set() if place.layer is None else {place.layer}
        wanted = [
            along.get(axis or "", size) for axis, size in zip(place.axes, entry.shape, strict=False)
        ]
        if len(place.axes) != len(entry.shape) or wanted != list(entry.shape):
            raise CheckpointError(
                f"{entry.file}: {name!r} is {list(entry.shape)}, which is not of this config"
            )
    if layers != set(range(sizes.layers)):
        raise CheckpointError(
            f"{folder}: the config says {sizes.layers} layers, the weights hold "
            f"{sorted(layers) or 'none'}"
        )


def _scored(
    plan: PrunePlan, model: str | Path, values: ModelValues, sizes: Sizes,
    tokens: npt.NDArray[np.int64] | None,
) -> Scores:  # fmt: skip
    if plan.by == "magnitude":
        return by_magnitude(values.read, sizes)
    if tokens is None or tokens.ndim != 2 or not tokens.size:
        raise InputError("plan: by activation needs calibration tokens [batch, length]")
    from accelsim.evaluate.model import RunningModel, values_of
    from accelsim.graph.source import open_model
    from accelsim.sim.interpret import StoredModel

    source = open_model(str(model))
    running = RunningModel.reference(source, StoredModel(values_of(source)))
    return by_activation(running, tokens, sizes)


def _tensors(values: ModelValues, kept: Kept, factor: float) -> Iterator[tuple[str, PlainTensor]]:
    """Yield what stays of each tensor under its new name, one at a time."""
    for name, entry in values.entries.items():
        place = place_of(name)
        if place.layer is not None and place.layer not in kept.layers:
            continue
        numbers = values.read(name)
        for axis, what in enumerate(place.axes):
            indices = kept.along(what, place.layer)
            if indices is not None:
                numbers = np.take(numbers, indices, axis=axis)
        if factor != 1.0 and place.role in NORMS:
            scaled = (numbers * np.float64(factor)).astype(np.float32)
            numbers = round_to(scaled, FORMATS[entry.dtype])
        new = name if place.layer is None else name_of(kept.layers.index(place.layer), place.role)
        yield new, PlainTensor(np.ascontiguousarray(numbers), FORMATS[entry.dtype])
