"""The schema for editors agrees with the loader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accelsim.spec.load import shipped
from accelsim.spec.schema import arch_schema, quantity_pattern, schema_text
from accelsim.units import KEY_UNITS, parse
from tests.support import ROOT

FOLDER = ROOT / "arch_specs"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = arch_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def chip(name: str = "edge_npu") -> dict[str, Any]:
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert isinstance(data, dict)
    return data


def test_the_file_in_the_repository_is_the_generated_one() -> None:
    assert (FOLDER / "arch.schema.json").read_text() == schema_text(), "run: make schema"


@pytest.mark.parametrize("name", shipped())
def test_shipped_chips_are_valid(validator: jsonschema.Draft7Validator, name: str) -> None:
    validator.validate(chip(name))


@pytest.mark.parametrize("name", shipped())
def test_shipped_chips_point_their_editor_to_it(name: str) -> None:
    first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=arch.schema.json"


def test_quantities_are_numbers_or_texts_with_their_unit(
    validator: jsonschema.Draft7Validator,
) -> None:
    data = chip()
    for good in (1e9, 1000, "1 GHz", "2.5e3 MHz", "1e9"):
        assert validator.is_valid({**data, "clock_hz": good})
    for bad in ("1 GB", "fast", 0, -1, True, None, "1 KiHz"):
        assert not validator.is_valid({**data, "clock_hz": bad})
    data["arrays"][0]["accumulator_bytes"] = None
    assert validator.is_valid(data)


def test_required_keys_are_required_unless_a_chip_extends_another(
    validator: jsonschema.Draft7Validator,
) -> None:
    for key in ("clock_hz", "arrays", "dram"):
        less = {k: v for k, v in chip().items() if k != key}
        assert not validator.is_valid(less)
        assert validator.is_valid({**less, "extends": "edge_npu"})
    data = chip()
    del data["dram"]["latency_s"]
    assert not validator.is_valid(data)
    assert validator.is_valid({"extends": "../mine.yaml", "dram": {"latency_s": "1 us"}})
    # A list replaces the base's, so its entries have to be whole.
    assert not validator.is_valid({"extends": "edge_npu", "memories": [{"ports": 2}]})
    assert not validator.is_valid({"extends": "edge_npu", "dram": {"latencys": "1 us"}})


def test_names_are_offered_for_completion(validator: jsonschema.Draft7Validator) -> None:
    data = chip()
    data["arrays"][0]["modes"][0]["activation"] = "int9"
    data["vector"]["cycles_per_element"] = {"expp": 1}
    found = "\n".join(error.message for error in validator.iter_errors(data))
    assert "'int9' is not one of" in found
    assert "'expp' is not one of" in found


def test_every_key_with_a_unit_in_a_chip_takes_text_with_that_unit() -> None:
    texts = re.compile(r"^\s*\w+: [0-9.]+ ([A-Za-z/]+)$", re.MULTILINE)
    shown = Path(FOLDER / "edge_npu.yaml").read_text()
    assert set(texts.findall(shown)) >= {"GHz", "MiB", "GB/s", "ns"}
    definitions = arch_schema()["definitions"]
    for section, key in (("DramSpec", "latency_s"), ("DmaSpec", "burst_bytes")):
        kinds = [branch["type"] for branch in definitions[section]["properties"][key]["anyOf"]]
        assert "string" in kinds


UNITS = sorted(set(KEY_UNITS.values()))
PIECES = st.sampled_from(["1", ".5", "2.", "e3", "E-2", " ", "k", "Ki", "m", "µ", "M", "-", "x"])


@given(st.lists(PIECES, max_size=4), st.sampled_from(UNITS), st.sampled_from([*UNITS, ""]))
def test_the_pattern_of_a_quantity_is_what_the_units_read(
    pieces: list[str], unit: str, written: str
) -> None:
    text = "".join(pieces) + written
    try:
        parse(text, unit)
        read = True
    except ValueError:
        read = False
    assert bool(re.search(quantity_pattern(unit), text)) == read


def test_the_text_is_json_without_titles_of_its_own() -> None:
    schema = json.loads(schema_text())
    assert schema["title"] == "A chip of accelsim"
    assert "title" not in schema["definitions"]["DramSpec"]
    assert next(iter(schema["properties"])) == "extends"
