"""Recipes by name or path."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from accelsim.errors import FileError, RecipeError, UnknownNameError
from accelsim.recipe.schema import Recipe
from accelsim.spec.explain import build
from accelsim.spec.locate import read

_SHIPPED = files("accelsim.recipe") / "shipped"


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    return tuple(sorted(f.name[:-5] for f in _SHIPPED.iterdir() if f.name.endswith(".yaml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe.

    Raises:
        UnknownNameError: neither a shipped name nor a YAML file.
        RecipeError: the file holds mistakes; all of them are listed with their lines.
    """
    if name_or_path in shipped():
        with as_file(_SHIPPED / f"{name_or_path}.yaml") as path:
            return _load(path, name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        raise UnknownNameError("recipe", name_or_path, shipped())
    return _load(path, name_or_path)


def _load(path: Path, shown: str) -> Recipe:
    try:
        document = read(path, shown)
    except FileError as error:
        raise RecipeError(error.mistakes) from None
    recipe, mistakes = build(Recipe, document)
    if mistakes or recipe is None:
        raise RecipeError(mistakes)
    return recipe
