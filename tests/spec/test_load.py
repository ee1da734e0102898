"""From YAML to a chip: what is read, and how mistakes are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from accelsim.errors import SpecError, UnknownNameError
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch, shipped

GOOD = """\
schema_version: 1
name: small
clock_hz: 1e9
technology: {node_nm: 7}
arrays:
  - name: matrix
    rows: 16
    columns: 16
    dataflows: [output_stationary]
    modes:
      - {activation: int8, weight: int8, macs_per_pe_per_cycle: 1, arithmetic: int32_exact}
vector: {lanes: 16}
conversions: {}
memories:
  - name: near
    size_bytes: 64 KiB
    bandwidth_bytes_per_s: 32 GB/s
  - name: far
    size_bytes: 1 MiB
    bandwidth_bytes_per_s: 16 GB/s
dram:
  standard: lpddr5
  size_bytes: 1 GiB
  bandwidth_bytes_per_s: 8 GB/s
  efficiency: 0.8
  latency_s: 100 ns
dma: {setup_s: 50 ns, burst_bytes: 4 KiB}
dispatch: {op_overhead_s: 1 us, tile_overhead_s: 16 ns}
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a file into the current folder."""
    monkeypatch.chdir(tmp_path)

    def writer(name: str, text: str | bytes) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return writer


def mistakes_of(name: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_arch(name, overrides)
    return str(caught.value).splitlines()


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


# What is read


def test_every_shipped_chip_loads_under_its_own_name() -> None:
    assert {"edge_npu", "cloud_npu", "tpu_v4"} <= set(shipped())
    for name in shipped():
        assert load_arch(name).name == name


def test_units_plain_numbers_and_exponents_mean_the_same(write: Write) -> None:
    write("units.yaml", GOOD)
    plain = GOOD.replace("64 KiB", "65536").replace("32 GB/s", "32.0e+9").replace("1e9", "1 GHz")
    write("plain.yaml", plain.replace("1 us", "1e-6"))
    assert load_arch("units.yaml") == load_arch("plain.yaml")
    assert load_arch("units.yaml").clock_hz == 1e9
    assert load_arch("units.yaml").memories[0].size_bytes == 65536


def test_a_path_object_and_a_byte_order_mark_are_fine(write: Write) -> None:
    write("bom.yaml", b"\xef\xbb\xbf" + GOOD.encode())
    assert load_arch(Path("bom.yaml")).name == "small"


def test_a_file_without_suffix_is_read_where_no_chip_has_the_name(write: Write) -> None:
    write("mine", GOOD)
    assert load_arch("mine").name == "small"


def test_aliases_are_read_as_the_values_they_stand_for(write: Write) -> None:
    text = GOOD.replace("rows: 16", "rows: &side 16").replace("columns: 16", "columns: *side")
    write("alias.yaml", text)
    assert load_arch("alias.yaml").arrays[0].columns == 16


# Files that cannot be read at all


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.yaml", "", "empty.yaml: is empty"),
        ("blank.yaml", "  \n\n", "blank.yaml: is empty"),
        ("comment.yaml", "# a\n", "comment.yaml:1:1: found nothing but comments, a mapping"),
        ("list.yaml", "- 1\n", "list.yaml:1:1: found a list, a mapping of keys is needed"),
        ("word.yaml", "word", "word.yaml:1:1: found 'word', a mapping of keys is needed"),
        ("binary.yaml", b"\x89PNG\xff\x00\xfe", "binary.yaml: is not text in UTF-8"),
        ("nul.yaml", b"a: \x00b", "nul.yaml: is not YAML"),
        ("open.yaml", "a: [1,\n", "open.yaml:2:1: is not YAML"),
        ("tab.yaml", "a:\n\tb: 1\n", "tab.yaml:2:1: is not YAML: a tab cannot indent"),
        ("two.yaml", "a: 1\n---\nb: 2\n", "two.yaml:2:1: a second document starts here"),
        ("undefined.yaml", "a: *b\n", "undefined.yaml:1:4: is not YAML: found undefined alias"),
        ("self.yaml", "a: &a [*a]\n", "self.yaml:1:4: an alias refers to the value that holds it"),
        ("large.yaml", "#" * (1 << 21), "large.yaml: is larger than 1 MiB"),
        ("deep.yaml", "a: " + "[" * 100 + "]" * 100, "is nested deeper than 32 levels"),
        ("abyss.yaml", "a: " + "[" * 50_000, "abyss.yaml: is nested too deeply"),
    ],
)
def test_unreadable_files_say_why(
    write: Write, name: str, content: str | bytes, expected: str
) -> None:
    write(name, content)
    (message,) = mistakes_of(name)
    assert expected in message
    assert message.startswith(name)


def test_aliases_cannot_multiply_without_end(write: Write) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    write("bomb.yaml", "\n".join(lines))
    (message,) = mistakes_of("bomb.yaml")
    assert "holds more than 20000 values, aliases counted" in message


def test_tags_and_merge_keys_are_refused_where_they_stand(write: Write) -> None:
    text = GOOD.replace("name: small", "name: !!python/name:os.system small")
    write("tag.yaml", text.replace("vector: {lanes: 16}", "vector: {<<: {lanes: 16}}"))
    messages = mistakes_of("tag.yaml")
    assert messages[0].startswith("tag.yaml:2:7: name: the tag 'tag:yaml.org,2002:python/name")
    assert any("tag.yaml:12:10: vector: merge keys (<<) are not read" in m for m in messages)


def test_missing_files_and_folders(write: Write, tmp_path: Path) -> None:
    assert mistakes_of("edge_npu.yaml") == [
        "edge_npu.yaml: no such file; shipped chips go by name (did you mean 'edge_npu'? known: "
        f"{', '.join(shipped())})"
    ]
    assert mistakes_of(str(tmp_path)) == [f"{tmp_path}: is a folder, a YAML file is needed"]


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown chip 'edge_nup' \(did you mean 'edge_npu'"
    ):
        load_arch("edge_nup")


# Mistakes


def test_every_mistake_at_once_in_the_order_of_the_file(write: Write) -> None:
    text = GOOD.replace("name: small", "name: my chip")
    text = text.replace("clock_hz: 1e9", "clock_hz: 1 GB")
    text = text.replace("rows: 16", "rows: 1e3").replace("columns: 16", "columns: on")
    text = text.replace("[output_stationary]", "[output_stationery]")
    text = text.replace("activation: int8", "activation: int9")
    text = text.replace("lanes: 16", "lanes: 0")
    text = text.replace("    size_bytes: 1 MiB", "    size_byte: 1 MiB")
    text = text.replace("  standard: lpddr5", "  standard: 5")
    text = text.replace("  latency_s: 100 ns\n", "")
    text = text.replace("dma: {setup_s: 50 ns, burst_bytes: 4 KiB}", "dma: 12")
    write("edge.yaml", text)

    def at(part: str, column: int) -> str:
        return f"edge.yaml:{line_of(text, part)}:{column}"

    expected = [
        f"{at('my chip', 7)}: name: found 'my chip', a name of letters, digits, '_', '.' and '-'",
        f"{at('1 GB', 11)}: clock_hz: found unit 'GB' in '1 GB', Hz (with k, M, G, T) is needed",
        f"{at('rows', 11)}: arrays.0.rows: found '1e3', a whole number is needed (YAML takes 1e3 "
        "for text: write 1000)",
        f"{at('columns', 14)}: arrays.0.columns: found on, which YAML reads as true, a whole",
        f"{at('stationery', 17)}: arrays.0.dataflows.0: found 'output_stationery', one of "
        "output_stationary, weight_stationary, input_stationary is needed (did you mean "
        "'output_stationary'?)",
        f"{at('int9', 22)}: arrays.0.modes.0.activation: unknown number format 'int9' (did you",
        f"{at('lanes', 17)}: vector.lanes: found 0, a number of at least 1 is needed",
        f"{at('name: far', 5)}: memories.1.size_bytes: this key is missing: Capacity of all",
        f"{at('size_byte: ', 16)}: memories.1.size_byte: unknown key (did you mean 'size_bytes'?",
        f"{at('dram:', 1)}: dram.latency_s: this key is missing: First byte of an idle access",
        f"{at('standard', 13)}: dram.standard: found 5, text is needed (put it in quotes)",
        f"{at('dma', 6)}: dma: found 12, a mapping of keys is needed",
    ]
    messages = mistakes_of("edge.yaml")
    assert [m[: len(e)] for m, e in zip(messages, expected, strict=True)] == expected


def test_no_message_is_raw_pydantic(write: Write) -> None:
    text = GOOD.replace("conversions: {}", "conversions: {quantize: 3, group_rescale_cycles: 99}")
    text = text.replace("{node_nm: 7}", "{node_nm: [7], estimated: 3}")
    text = text.replace("modes:", "weight_double_buffer: perhaps\n    modes:")
    write("edge.yaml", text.replace("rows: 16", "rows: 1.5").replace("name: small", "name: ''"))
    messages = mistakes_of("edge.yaml")
    assert len(messages) == 7
    for message in messages:
        assert "Input should" not in message
        assert "validation error" not in message
    assert any(
        m.endswith("conversions.quantize: found 3, one of vector, dma is needed") for m in messages
    )
    assert any(m.endswith("rows: found 1.5, a whole number is needed") for m in messages)
    assert any(m.endswith("found 'perhaps', true or false is needed") for m in messages)
    assert any(m.endswith("name: found '', text that is not empty is needed") for m in messages)


def test_a_key_given_twice_is_a_mistake(write: Write) -> None:
    text = GOOD.replace("  efficiency: 0.8", "  efficiency: 0.8\n  standard: hbm2")
    write("twice.yaml", text)
    first = line_of(text, "standard: lpddr5")
    assert mistakes_of("twice.yaml") == [
        f"twice.yaml:{line_of(text, 'hbm2')}:3: dram.standard: given twice, first in line {first}"
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("rows: 16", "rows: 1:30", "YAML reads 1:30 as 90 (base 60): quote it"),
        ("rows: 16", "rows: 020", "YAML reads 020 as 16 (octal): leave out the zero"),
        ("rows: 16", "rows: yes", "found yes, which YAML reads as true, a whole number is needed"),
        ("0.8", ".nan", "found nan, a finite number is needed"),
        ("0.8", ".inf", "found inf, a finite number is needed"),
        ("clock_hz: 1e9", "on: 1", "a key is text, but YAML reads on as something else"),
        ("clock_hz: 1e9", "? [a]\n: 1", "a key is text, found a list or a mapping"),
    ],
)
def test_traps_of_yaml(write: Write, before: str, after: str, expected: str) -> None:
    write("trap.yaml", GOOD.replace(before, after))
    assert expected in "\n".join(mistakes_of("trap.yaml"))


def test_a_date_stays_text(write: Write) -> None:
    write("date.yaml", GOOD + "description: 2026-01-31\n")
    assert load_arch("date.yaml").description == "2026-01-31"


def test_estimated_keys_must_exist(write: Write) -> None:
    text = GOOD.replace(
        "  latency_s: 100 ns", "  latency_s: 100 ns\n  estimated: [latency, source]"
    )
    write("estimated.yaml", text)
    (message,) = mistakes_of("estimated.yaml")
    assert message.startswith(
        f"estimated.yaml:{line_of(text, 'estimated')}:15: dram.estimated.0: 'latency' is no key of "
        "this section (did you mean 'latency_s'?"
    )


def test_mistakes_between_sections_are_told_too(write: Write) -> None:
    write("order.yaml", GOOD.replace("size_bytes: 64 KiB", "size_bytes: 8 MiB"))
    assert mistakes_of("order.yaml") == [
        "order.yaml:1:1: memories must grow from the array outward: near has 8,388,608 bytes, "
        "far has 1,048,576"
    ]


# extends


def test_extends_merges_maps_and_replaces_lists(write: Write) -> None:
    write("base.yaml", GOOD)
    write("sub/child.yaml", "extends: ../base.yaml\ndram: {efficiency: 0.5}\nmemories:\n"
          "  - {name: only, size_bytes: 2 MiB, bandwidth_bytes_per_s: 64 GB/s}\n")  # fmt: skip
    base, child = load_arch("base.yaml"), load_arch("sub/child.yaml")
    assert child.dram.efficiency == 0.5
    assert child.dram.size_bytes == base.dram.size_bytes
    assert [memory.name for memory in child.memories] == ["only"]
    assert child.arrays == base.arrays


def test_extends_takes_a_shipped_name_and_names_the_chip_after_its_file(write: Write) -> None:
    write("my chip.yaml", "extends: edge_npu\n")
    write("named.yaml", "extends: edge_npu\nname: other\n")
    assert load_arch("my chip.yaml").name == "my_chip"
    assert load_arch("named.yaml").name == "other"
    edge = load_arch("edge_npu").model_dump(exclude={"name"})
    assert load_arch("named.yaml").model_dump(exclude={"name"}) == edge


def test_a_mistake_in_the_base_names_the_base(write: Write) -> None:
    text = GOOD.replace("efficiency: 0.8", "efficiency: 8")
    write("lib/base.yaml", text)
    write("child.yaml", "extends: lib/base.yaml\nvector: {lanes: many}\n")
    assert mistakes_of("child.yaml") == [
        "child.yaml:2:17: vector.lanes: found 'many', a whole number is needed",
        f"lib/base.yaml:{line_of(text, 'efficiency')}:15: dram.efficiency: found 8, "
        "a number of at most 1 is needed",
    ]


def test_a_mistake_that_the_child_repairs_is_none(write: Write) -> None:
    write("base.yaml", GOOD.replace("efficiency: 0.8", "efficiency: 8"))
    write("child.yaml", "extends: base.yaml\ndram: {efficiency: 0.8}\n")
    assert load_arch("child.yaml").dram.efficiency == 0.8


@pytest.mark.parametrize(
    ("extends", "expected"),
    [
        ("a.yaml", "a.yaml:1:10: extends: a.yaml extends this file again, directly or through"),
        ("b.yaml", "b.yaml:1:10: extends: a.yaml extends this file again, directly or through"),
        (
            "nowhere.yaml",
            "a.yaml:1:10: extends: there is neither a shipped chip nor a file 'nowhere",
        ),
        ("edge_nup", "nor a file 'edge_nup' (did you mean 'edge_npu'?"),
        ("[edge_npu]", "a.yaml:1:1: extends: the name of a shipped chip or the path of a file"),
    ],
)
def test_extends_that_leads_nowhere(write: Write, extends: str, expected: str) -> None:
    write("a.yaml", f"extends: {extends}\n")
    write("b.yaml", "extends: a.yaml\n")
    (message,) = mistakes_of("a.yaml")
    assert expected in message


# --set


def test_settings_reach_keys_by_number_and_by_name() -> None:
    chip = load_arch("edge_npu", ["memories.scratchpad.size_bytes=8 MiB", "arrays.0.rows=32"])
    assert chip.memories[0].size_bytes == 8 << 20
    assert chip.arrays[0].rows == 32
    assert load_arch("edge_npu", ["vector.cycles_per_element.exp=7"]).vector.cycles("exp") == 7
    assert (
        load_arch("edge_npu", ["arrays.0.accumulator_bytes=null"]).arrays[0].accumulator_bytes
        is None
    )


def test_settings_apply_in_order_and_maps_merge() -> None:
    chip = load_arch(
        "edge_npu", ["dram={efficiency: 0.5, latency_s: 1 us}", "dram.efficiency=0.25"]
    )
    assert (chip.dram.efficiency, chip.dram.latency_s) == (0.25, 1e-6)
    assert chip.dram.size_bytes == load_arch("edge_npu").dram.size_bytes


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("clock_hz=1 parsec", "clock_hz: found unit 'parsec' in '1 parsec', Hz"),
        ("memories.0.ports=3", "memories.0.ports: found 3, one of 1, 2 is needed"),
        ("memories.9.ports=2", "memories has no entry '9', entries are 0 (known: scratchpad)"),
        ("memories.scratch.ports=2", "entries are 0 (did you mean 'scratchpad'?"),
        ("dram.latency_s.x=1", "dram.latency_s is '100 ns', it holds no 'x'"),
        ("dram.latencys=1", "dram.latencys: unknown key (did you mean 'latency_s'?"),
        ("dram.latency_s=off", "dram.latency_s: found off, which YAML reads as false"),
        ("dram", "a key and a value are needed, as in --set clock_hz=2GHz"),
        ("dram.=3", "a key and a value are needed, as in --set clock_hz=2GHz"),
        ("dram.latency_s=", "there is no value behind the equals sign"),
        ("dram=[", "the value is not YAML"),
        ("dram={a: 1, a: 2}", "dram.a: given twice"),
        ("extends=tpu_v4", "extends cannot be set"),
        ("vector=null", "vector: found nothing, a mapping of keys is needed"),
    ],
)
def test_a_wrong_setting_is_shown_as_it_was_given(setting: str, expected: str) -> None:
    messages = mistakes_of("edge_npu", setting)
    assert any(m.startswith(f"--set {setting}: ") and expected in m for m in messages), messages


def test_all_wrong_settings_at_once() -> None:
    assert len(mistakes_of("edge_npu", "dma.engines=0", "dram", "clock_hz=x")) == 3


# Sources


def test_a_replaced_number_loses_the_source_of_the_old_one(write: Write) -> None:
    sourced = GOOD.replace("  latency_s: 100 ns", "  latency_s: 100 ns\n  source: a data sheet")
    write("base.yaml", sourced)
    write("child.yaml", "extends: base.yaml\ndram: {efficiency: 0.5, standard: ddr5}\n")
    write("same.yaml", "extends: base.yaml\ndram: {efficiency: 0.8}\n")
    write("own.yaml", "extends: base.yaml\ndram: {efficiency: 0.5, source: measured}\n")
    assert load_arch("child.yaml").dram.estimated == ("efficiency",)
    assert load_arch("same.yaml").dram.estimated is False
    assert load_arch("own.yaml").dram.estimated is False
    assert load_arch("base.yaml", ["dram.latency_s=1"]).dram.estimated == ("latency_s",)
    assert load_arch("base.yaml", ["memories.near.ports=2"]).memories[0].estimated == ("ports",)
    changed = load_arch("base.yaml", ["vector.cycles_per_element.exp=3"])
    assert changed.vector.estimated == ("cycles_per_element",)


def test_a_changed_chip_drops_the_error_measured_on_the_old_one(write: Write) -> None:
    error = "{op: gemm, dataset: lab, rows: 9, mean_abs_pct_error: 4.0, bias: 0.1}"
    write("base.yaml", GOOD + f"validation:\n  - {error}\n")
    write("child.yaml", "extends: base.yaml\nvector: {lanes: 32}\n")
    write("renamed.yaml", "extends: base.yaml\nname: other\n")
    assert len(load_arch("base.yaml").validation) == 1
    assert load_arch("child.yaml").validation == ()
    assert len(load_arch("renamed.yaml").validation) == 1
    assert load_arch("base.yaml", ["vector.lanes=32"]).validation == ()
    assert len(load_arch("base.yaml", ["description=renamed"]).validation) == 1


def test_the_good_file_is_good(write: Write) -> None:
    write("good.yaml", GOOD)
    chip = load_arch("good.yaml")
    assert isinstance(chip, ArchSpec)
    assert set(yaml.safe_load(GOOD)) == set(chip.model_fields_set)
