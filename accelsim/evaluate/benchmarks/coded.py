"""A torch model from a checkpoint in codes: read here, without the libraries of quantizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelsim.graph.quantized.view import CodedEntry
from accelsim.graph.source import open_model
from accelsim.graph.values import ModelValues
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import Recipe
from accelsim.recipe.stored import check_compressed, recipe_for

#: The attribute of a torch model that holds where its codes come from.
CODES = "accelsim_codes"


def load_coded(folder: Path, dtype: Any) -> Any:
    """Return the torch model of a folder whose weights lie in codes; None where none do.

    Its parameters are the numbers that the codes stand for, rounded to its type; the codes
    themselves are found by ``codes_of``.

    Args:
        folder: of the model.
        dtype: torch's, or ``auto`` for what its configuration says.

    Raises:
        CheckpointError: weights that are missing, left over, misshapen or not finite.
    """
    import torch
    import transformers

    source: Any = open_model(str(folder))
    values: ModelValues | None = source.values
    if values is None or not any(isinstance(e, CodedEntry) for e in values.entries.values()):
        return None
    plain = source.model.module
    wanted = plain.dtype if dtype == "auto" else dtype
    model = type(plain)._from_config(plain.config, dtype=wanted)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(values.read(name).copy()))
    if (folder / "generation_config.json").is_file():
        options = {"local_files_only": True}
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder, **options)
    setattr(model, CODES, values)
    return model


def codes_of(module: Any) -> ModelValues | None:
    """Return where the codes of a model's weights come from; None where it has none."""
    found: ModelValues | None = getattr(module, CODES, None)
    return found


def recipe_of(model: str, recipe: str | Recipe | None) -> Recipe:
    """Return a recipe that was asked for, else that of the model's checkpoint, else the plain one.

    Raises:
        InputError: a recipe or model that cannot be read.
    """
    if recipe is None and Path(model).expanduser().is_dir():
        recipe = recipe_for(open_model(model), None)
    found = recipe if isinstance(recipe, Recipe) else load_recipe(recipe or "bf16")
    if found.rotation is not None or any(rule.method for rule in found.rules):
        check_compressed(open_model(model), found)
    return found
