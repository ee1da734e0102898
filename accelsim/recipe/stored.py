"""The recipe that a quantized checkpoint was made by, from how its weights lie in the files."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from accelsim.errors import RecipeError
from accelsim.graph.checkpoint import EXPERTS
from accelsim.graph.ir import FORMAT_BITS
from accelsim.graph.model import ModelSource
from accelsim.graph.quantized.scheme import ActivationCodes, Scheme
from accelsim.graph.quantized.view import CodedEntry
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import ActivationFormat, Recipe, Rule, WeightFormat

#: The file in which ``compress`` leaves what a configuration cannot say.
RECIPE = "recipe.yaml"
#: Format of what is not in codes, as in the recipe of a plain checkpoint.
STORAGE: Literal["bf16"] = "bf16"
_WEIGHT = ".weight"


def stored_recipe(source: object) -> Recipe | None:
    """Return the recipe of a model's checkpoint; None where its weights are plain numbers.

    That is the one that ``compress`` left beside them, else what the configuration says.

    Args:
        source: a model; a graph has no checkpoint.

    Raises:
        RecipeError: codes of a kind that no chip is simulated with.
    """
    values = getattr(source, "values", None)
    if values is None:
        return None
    if (values.folder / RECIPE).is_file():
        return load_recipe(str(values.folder / RECIPE))
    coded = {n: e for n, e in values.entries.items() if isinstance(e, CodedEntry)}
    if not coded:
        return None
    rules: dict[tuple[WeightFormat, ActivationFormat], list[str]] = {}
    for name, entry in coded.items():
        if EXPERTS in name:
            raise RecipeError(f"{entry.file}: {name}: experts in codes are not simulated")
        key = _weight(name, entry), _activation(name, entry.scheme.activation)
        rules.setdefault(key, []).append(f"{name.removesuffix(_WEIGHT)}.*")
    return Recipe(
        schema_version=1,
        name="_".join(dict.fromkeys(_title(e.scheme) for e in coded.values())),
        description="As the checkpoint is quantized.",
        storage=STORAGE,
        rules=tuple(
            Rule(names=tuple(names), weight=weight, activation=activation)
            for (weight, activation), names in rules.items()
        ),
    )


def check_compressed(source: object, recipe: Recipe) -> None:
    """Refuse values of a recipe whose methods nobody has applied: they would be those of another.

    Args:
        source: the model.
        recipe: what its values are asked in.

    Raises:
        RecipeError: the recipe changes weights, and the model's checkpoint is as it was.
    """
    names: list[str] = [step.name for rule in recipe.rules for step in rule.method]
    if recipe.rotation is not None:
        names.insert(0, "rotation")
    asked = sorted({name for name in names if name not in ("rtn", "magnitude")})
    if asked and stored_recipe(source) is None:
        raise RecipeError(
            f"recipe {recipe.name}: {', '.join(asked)} changes weights, and this model's are as "
            "they were; apply it with accelsim compress, and give the folder that it writes"
        )


def recipe_for(source: ModelSource | object, recipe: str | Recipe | None) -> str | Recipe:
    """Return a recipe that was asked for, else the checkpoint's own, else the plain one."""
    return recipe or stored_recipe(source) or "bf16"


def _title(scheme: Scheme) -> str:
    group = f"_g{scheme.group}" if scheme.group else ""
    activation = f"_a_{scheme.activation.format}" if scheme.activation else ""
    return f"w_{scheme.format}{group}{activation}"


def _known(name: str, fmt: str) -> str:
    if fmt not in FORMAT_BITS:
        raise RecipeError(
            f"{name}: {fmt} codes are read, and no chip is simulated with them; formats of chips "
            f"are {', '.join(FORMAT_BITS)}"
        )
    return fmt


def _weight(name: str, entry: CodedEntry) -> WeightFormat:
    scheme = entry.scheme
    fmt, scale_format = _known(name, scheme.format), _known(name, entry.scale_format)
    try:
        return WeightFormat(
            format=fmt, group=scheme.group, scale_format=scale_format, sparsity=scheme.sparsity
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{name}: is read, and not simulated: {reason}") from None


def _activation(name: str, wanted: ActivationCodes | None) -> ActivationFormat:
    if wanted is None:
        return ActivationFormat(format=STORAGE)
    if wanted.granularity == "group":
        raise RecipeError(
            f"{name}: activations in groups of {wanted.group} are not simulated; one scale per "
            "token or tensor is"
        )
    if not wanted.symmetric:
        raise RecipeError(f"{name}: activations with zero points are not simulated")
    return ActivationFormat(
        format=_known(name, wanted.format),
        granularity=wanted.granularity,
        scale_format=wanted.scale_format,
    )
