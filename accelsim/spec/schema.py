"""The JSON Schema of a chip's file, for completion, hover and checks in editors.

The loader stays the judge. The schema differs from pydantic's own where an editor needs it: a
quantity is a number or text with a unit, names of formats are listed, and with ``extends`` no key
is required any more (except inside lists, which replace the base's).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from accelsim.spec.arch import ArchSpec
from accelsim.spec.compute import PRIMITIVES
from accelsim.spec.load import shipped
from accelsim.units import unit_of_key
from accelsim_kernels.formats import FORMATS
from accelsim_kernels.presets import PRESETS

Schema = dict[str, Any]

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_LARGE = "[kKMGTP]"
_BINARY = "[KMGT]i"
_SMALL = "[munpfµ]"

_NAMES = {
    ("MacMode", "activation"): FORMATS,
    ("MacMode", "weight"): FORMATS,
    ("MacMode", "arithmetic"): PRESETS,
    ("ArithmeticSpec", "preset"): PRESETS,
    ("ArithmeticSpec", "accumulator"): FORMATS,
    ("ArithmeticSpec", "spill"): FORMATS,
}


def arch_schema() -> Schema:
    """Return the schema as a JSON object (draft 7, which editors know best)."""
    schema = ArchSpec.model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    for (model, key), names in _NAMES.items():
        about = definitions[model]["properties"][key]
        # Where a name is one of several branches, it is the first one.
        about.get("anyOf", [about])[0]["enum"] = sorted(names)
    costs = definitions["VectorSpec"]["properties"]["cycles_per_element"]
    costs["propertyNames"] = {"enum": list(PRIMITIVES)}
    required = _take_required(schema, definitions)
    for part in (schema, *definitions.values()):
        _with_units(part["properties"])
    schema["properties"] = {"extends": _extends(), **schema["properties"]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **_untitled(schema),
        "title": "A chip of accelsim",
        "if": {"required": ["extends"]},
        "else": required,
        "definitions": {name: _untitled(part) for name, part in sorted(definitions.items())},
    }


def schema_text() -> str:
    """Return the text of ``arch.schema.json``."""
    return json.dumps(arch_schema(), indent=2, ensure_ascii=False) + "\n"


def _extends() -> Schema:
    return {
        "description": "A shipped chip, or the path of a file beside this one. Its keys are taken "
        "over: maps are merged, lists and values replaced.",
        "anyOf": [{"enum": list(shipped())}, {"type": "string", "minLength": 1}],
    }


def _take_required(part: Schema, definitions: Schema) -> Schema:
    """Move ``required`` of a section, and of those nested in it as maps, to a schema of its own."""
    nested = {}
    for key, value in part["properties"].items():
        name = value.get("$ref", "").rpartition("/")[2]
        if name and (rule := _take_required(definitions[name], definitions)):
            nested[key] = rule
    rule = {"required": part.pop("required")} if "required" in part else {}
    return {**rule, "properties": nested} if nested else rule


def _with_units(properties: Schema) -> None:
    """Let every quantity be text with a unit, too."""
    for key, value in properties.items():
        branches = value.get("anyOf", [value])
        plain = next((branch for branch in branches if _is_quantity(branch)), None)
        unit = unit_of_key(key)
        if plain is None or unit is None:
            continue
        number = {"type": plain.pop("type")}
        number |= {name: plain.pop(bound) for bound, name in _BOUNDS.items() if bound in plain}
        text = {"type": "string", "pattern": quantity_pattern(unit)}
        others = [branch for branch in branches if branch is not plain]
        properties[key] = {**value, "anyOf": [number, text, *others]}
        properties[key].setdefault("examples", plain.get("examples"))


#: pydantic leaves the bounds of a converted number under its own names.
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def _is_quantity(part: Schema) -> bool:
    examples: Iterable[Any] = part.get("examples", ())
    return part.get("type") in ("number", "integer") and any(isinstance(e, str) for e in examples)


def quantity_pattern(unit: str) -> str:
    """Return a regular expression of the texts that ``units.parse`` reads in this unit."""
    prefix = f"({_BINARY}|{_LARGE})" if unit.startswith("B") else f"({_LARGE}|{_SMALL})"
    return rf"^\s*{_NUMBER}\s*({prefix}?{unit})?\s*$"


def _untitled(part: Schema) -> Schema:
    """Drop the titles that pydantic makes from names: editors would show them over the key."""
    return dict(_kept(part))


def _kept(part: Schema) -> Iterator[tuple[str, Any]]:
    for key, value in part.items():
        if key == "title" and isinstance(value, str):
            continue
        if isinstance(value, dict):
            value = _untitled(value)
        elif isinstance(value, list):
            value = [_untitled(entry) if isinstance(entry, dict) else entry for entry in value]
        yield key, value
