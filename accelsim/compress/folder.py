"""``accelsim compress``: a model compressed into a folder, which a stopped run goes on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from accelsim.compress.calibration import PROBLEMS
from accelsim.compress.export.contents import CodedTensor, Content, PlainTensor
from accelsim.compress.export.folder import check_new
from accelsim.compress.export.write import write_checkpoint
from accelsim.compress.grid import Coded
from accelsim.compress.methods.choose import calibrated
from accelsim.compress.pipeline import Compressed, Progress, compress_model
from accelsim.compress.shelf import FolderShelf
from accelsim.compress.targets import Target
from accelsim.errors import CheckpointError, InputError, RecipeError
from accelsim.evaluate.model import values_of
from accelsim.graph.model import ModelSource
from accelsim.graph.quantized.scheme import ActivationCodes
from accelsim.ids import content_id
from accelsim.recipe.schema import FLOATS, Recipe
from accelsim.sim.numerics import numerics_of
from accelsim.spec.arch import ArchSpec
from accelsim.version import __version__
from accelsim_kernels.rounding import round_to

RECIPE, SUMMARY = "recipe.yaml", "compress.json"


def compress_into(
    folder: Path, source: ModelSource, recipe: Recipe, arch: ArchSpec | None, progress: Progress
) -> Mapping[str, Any]:
    """Compress a model and write it as a checkpoint.

    What is finished lies beside the folder until all is: the same call after a stop goes on there
    and ends with the same bytes.

    Args:
        folder: must not exist, or be empty.
        source: a language model with weights.
        recipe: formats, methods and calibration text.
        arch: a chip that must multiply the recipe's formats; None: none is asked.
        progress: told how far the work is.

    Returns:
        What ``compress.json`` holds.

    Raises:
        InputError: anything that was given and cannot be used.
        OutputError: the folder is not empty or cannot be written.
    """
    check_new(folder)
    if not recipe.rules and recipe.rotation is None:
        raise RecipeError(f"recipe {recipe.name}: it has no rules: nothing would be compressed")
    if arch is not None:
        check_chip(recipe, arch)
    identity = identity_of(source, recipe)
    shelf = FolderShelf(partial_of(folder), identity)
    made = compress_model(source, recipe, shelf, progress)
    summary = summary_of(made, identity)
    files = {
        RECIPE: yaml.safe_dump(_said(recipe), sort_keys=False).encode(),
        SUMMARY: (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode(),
    }
    values = values_of(source)
    config = json.loads((values.folder / "config.json").read_text(encoding="utf-8"))
    write_checkpoint(folder, contents(made), config, source=values.folder, files=files)
    shelf.remove()
    return summary


def partial_of(folder: Path) -> Path:
    """Return where finished parts lie until the folder is written."""
    target = folder.expanduser().resolve()
    return target.with_name(f"{target.name}.partial")


def check_chip(recipe: Recipe, arch: ArchSpec) -> None:
    """Check that a chip multiplies what a recipe stores.

    Raises:
        InputError: a pair of formats that no array of the chip takes.
    """
    chip = numerics_of(arch)
    for rule in recipe.rules:
        chip.arithmetic(rule.activation.format, rule.weight.format)


def identity_of(source: ModelSource, recipe: Recipe) -> Mapping[str, Any]:
    """Return what the bytes of a compressed model depend on.

    Raises:
        InputError: a calibration text that cannot be read.
    """
    text = recipe.calibration.text
    digest = None
    looks = any(calibrated(rule) or rule.step("prepare") for rule in recipe.rules)
    if looks and text != PROBLEMS:
        try:
            digest = hashlib.sha256(Path(text).expanduser().read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise InputError(f"{text}: calibration text cannot be read: {error.strerror}") from None
    return {
        "accelsim": __version__,
        "model": source.name,
        "weights": values_of(source).fingerprint,
        "recipe": recipe.model_dump(mode="json"),
        "text": digest,
    }


def summary_of(made: Compressed, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was made of which product, for people and programs."""
    errors = made.errors()
    rows = [
        {
            "op": target.op.name,
            "weight": target.weight,
            "format": target.rule.weight.format,
            "group": target.rule.weight.group,
            "sparsity": target.rule.weight.sparsity,
            "method": [step.name for step in target.rule.method] or [target.rule.rounding.name],
            "output_error": errors.get(target.op.name),
        }
        for target in made.targets
    ]
    return {
        "schema_version": 1,
        "id": content_id(identity),
        "model": made.source.name,
        "recipe": made.recipe.name,
        "samples": made.recipe.calibration.samples,
        "seq_len": made.recipe.calibration.seq_len,
        "seed": made.recipe.calibration.seed,
        "products": rows,
    }


def _said(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as its file says it; each method with its own keys alone."""
    said = recipe.model_dump(mode="json", exclude_none=True)
    for row, rule in zip(said["rules"], recipe.rules, strict=True):
        row["method"] = [
            {"name": step.name, **{key: getattr(step, key) for key in step.takes}}
            for step in rule.method
        ]
    return said


def contents(made: Compressed) -> Iterator[tuple[str, Content]]:
    """Yield the tensors of a compressed checkpoint, in the order of their names.

    Raises:
        CheckpointError: a weight that no layout keeps.
    """
    coded = {target.weight: target for target in made.targets}
    entries = values_of(made.source).entries
    for name in sorted({*entries, *coded, *made.values.edits}):
        if name in coded:
            yield name, _coded(name, made.coded(coded[name]), coded[name])
        elif name in made.values.edits:
            storage = made.recipe.storage
            yield name, PlainTensor(round_to(made.values.read(name), storage), storage)
        else:
            yield name, entries[name]


def _coded(name: str, coded: Coded, target: Target) -> Content:
    kn = bool(target.op.attrs.get("weight_is_kn"))
    weight = coded.weight
    if weight is None:
        return PlainTensor(coded.numbers.T if kn else coded.numbers, coded.format)
    if kn:
        raise CheckpointError(
            f"{name}: is kept as [k, n]; compressed checkpoints hold codes of [n, k] alone"
        )
    wanted = target.rule.activation
    activation = None
    if wanted.format not in FLOATS:
        activation = ActivationCodes(wanted.format, wanted.granularity)
    return CodedTensor(weight, activation, sparsity="2:4" if coded.sparsity == "2:4" else "dense")
