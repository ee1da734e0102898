"""Recipes by name or path."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from accelsim.errors import Mistake, RecipeError, UnknownNameError
from accelsim.recipe.schema import Recipe

_SHIPPED = files("accelsim.recipe") / "shipped"


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    return tuple(sorted(f.name[:-5] for f in _SHIPPED.iterdir() if f.name.endswith(".yaml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe.

    Raises:
        UnknownNameError: neither a shipped name nor a file.
        RecipeError: the file holds mistakes; all of them are listed.
    """
    path = Path(name_or_path)
    if name_or_path in shipped():
        text = (_SHIPPED / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    elif path.suffix in (".yaml", ".yml"):
        text = _read(path)
    else:
        raise UnknownNameError("recipe", name_or_path, shipped())
    return _parse(text, name_or_path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError((Mistake(str(path), "", f"cannot be read: {reason}"),)) from error


def _parse(text: str, where: str) -> Recipe:
    try:
        data = yaml.safe_load(text)
        if not isinstance(data, dict):
            raise RecipeError((Mistake(where, "", "a mapping of keys is needed"),))
        return Recipe.model_validate(data)
    except yaml.YAMLError as error:
        raise RecipeError((Mistake(where, "", f"not YAML: {error}"),)) from error
    except ValidationError as error:
        raise RecipeError(
            [
                Mistake(where, ".".join(map(str, e["loc"])), f"{e['msg']} (found {e['input']!r})")
                for e in error.errors()
            ]
        ) from error
