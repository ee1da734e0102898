"""The chip as an object: derived numbers, checks between sections, and the way back to YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from accelsim.errors import SpecError
from accelsim.spec.arch import ArchSpec
from accelsim.spec.dump import arch_yaml
from accelsim.spec.load import load_arch, shipped
from accelsim.spec.memory import DmaSpec
from accelsim.spec.quantity import Section
from tests.support import ROOT


@pytest.fixture(scope="module")
def edge() -> ArchSpec:
    return load_arch("edge_npu")


def test_peak_counts_every_pe_of_every_array() -> None:
    edge, cloud = load_arch("edge_npu"), load_arch("cloud_npu")
    assert edge.peak_macs_per_s("int8", "int8") == 64 * 64 * 1e9
    assert edge.peak_macs_per_s("int4", "int4") == 2 * 64 * 64 * 1e9
    assert edge.peak_macs_per_s("bf16", "bf16") == 64 * 64 * 1e9 / 4
    assert cloud.peak_macs_per_s("bf16", "bf16") == 4 * 128 * 128 * 1.2e9
    assert edge.peak_macs_per_s("fp32", "fp32") == 0


def test_tpu_v4_has_its_published_peak() -> None:
    # 275 T operations/s in bf16 and in int8, two operations per multiply-accumulate.
    tpu = load_arch("tpu_v4")
    for pair in ("bf16", "int8"):
        assert 2 * tpu.peak_macs_per_s(pair, pair) == pytest.approx(275e12, rel=0.002)


def test_format_pairs_are_listed_once_in_order(edge: ArchSpec) -> None:
    pairs = list(edge.format_pairs())
    assert pairs[:2] == [("int8", "int8"), ("int8", "int4")]
    assert len(set(pairs)) == len(pairs)


def test_a_mode_at_a_reduced_rate_takes_several_cycles(edge: ArchSpec) -> None:
    slow, fast = edge.arrays[0].mode("bf16", "bf16"), edge.arrays[0].mode("int4", "int4")
    assert slow is not None and fast is not None
    assert (slow.k_per_cycle, slow.cycles_per_step) == (1, 4)
    assert (fast.k_per_cycle, fast.cycles_per_step) == (2, 1)
    assert edge.arrays[0].mode("int4", "bf16") is None


def test_sustained_bandwidth_is_a_share_of_the_peak(edge: ArchSpec) -> None:
    assert edge.dram.sustained_bytes_per_s == pytest.approx(0.8 * 51.2e9)


def test_a_chip_cannot_be_changed(edge: ArchSpec) -> None:
    with pytest.raises(ValidationError):
        edge.name = "other"
    with pytest.raises(ValidationError):
        edge.dram.efficiency = 1.0


@pytest.mark.parametrize("name", shipped())
def test_a_chip_survives_the_way_to_yaml_and_back(name: str, tmp_path: Path) -> None:
    chip = load_arch(name)
    text = arch_yaml(chip)
    (tmp_path / "again.yaml").write_text(text)
    assert load_arch(tmp_path / "again.yaml") == chip


def test_yaml_keeps_units_where_they_lose_nothing(tmp_path: Path) -> None:
    chip = load_arch("edge_npu", ["memories.0.size_bytes=4194305", "clock_hz=1234567890.123"])
    text = arch_yaml(chip)
    assert "bandwidth_bytes_per_s: 256 GB/s" in text
    (tmp_path / "odd.yaml").write_text(text)
    assert load_arch(tmp_path / "odd.yaml") == chip


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("memories=[{name: a, size_bytes: 1 MiB, bandwidth_bytes_per_s: 1 GB/s}, "
         "{name: a, size_bytes: 1 MiB, bandwidth_bytes_per_s: 1 GB/s}]",
         "two memories have the same"),
        ("dram.size_bytes=1 KiB", "memories must grow from the array outward"),
        ("arrays.0.modes.1.weight=int8", "modes list int8 x int8 twice"),
        ("arrays.0.modes.0.macs_per_pe_per_cycle=0.3", "a whole number or one over a whole number"),
        ("vector.cycles_per_element={expp: 2}", "unknown primitive 'expp' (did you mean 'exp'?"),
        ("arrays.0.modes.0.arithmetic=int32", "unknown arithmetic 'int32'"),
        ("schema_version=2", "schema_version: found 2, 1 is needed"),
    ],
)  # fmt: skip
def test_what_a_chip_cannot_be(setting: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_arch("edge_npu", [setting])
    assert expected in str(caught.value)


def sections(value: Any, place: str = "") -> Iterator[tuple[str, Section]]:
    if isinstance(value, Section):
        yield place, value
        for key in type(value).model_fields:
            yield from sections(getattr(value, key), f"{place}.{key}")
    elif isinstance(value, tuple):
        for number, entry in enumerate(value):
            yield from sections(entry, f"{place}.{number}")


def without_origin(section: Section) -> set[str]:
    """Return the keys given as numbers that neither a source nor an estimate covers."""
    given = section.model_fields_set - {"schema_version", "estimated"}
    numbers = {key for key in given if _is_figure(getattr(section, key))}
    if section.source or section.estimated is True:
        return set()
    return numbers - set(section.estimated or ())


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float | dict) and not isinstance(value, bool)


@pytest.mark.parametrize("name", shipped())
def test_every_number_of_a_shipped_chip_has_a_source_or_is_an_estimate(name: str) -> None:
    bare = {
        place: keys for place, part in sections(load_arch(name)) if (keys := without_origin(part))
    }
    assert bare == {}


def test_the_check_of_sources_finds_a_bare_number() -> None:
    plain = {"setup_s": 1e-9, "burst_bytes": 64}
    assert without_origin(DmaSpec.model_validate(plain)) == {"setup_s", "burst_bytes"}
    some = DmaSpec.model_validate({**plain, "estimated": ["setup_s"]})
    assert without_origin(some) == {"burst_bytes"}
    for stated in ({"source": "a data sheet"}, {"estimated": True}):
        assert without_origin(DmaSpec.model_validate({**plain, **stated})) == set()


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_chip_is_described(name: str) -> None:
    assert f"### {name}\n" in (ROOT / "arch_specs" / "README.md").read_text()


def test_a_level_must_feed_its_arrays() -> None:
    with pytest.raises(SpecError) as caught:
        load_arch("edge_npu", ("memories.0.bandwidth_bytes_per_s=32 GB/s",))
    said = str(caught.value)
    assert "a port of scratchpad delivers 32 bytes per cycle" in said
    assert "array matrix takes in 64 with int8 x int8 even" in said
    assert "at least 6.4e+10 bytes/s" in said
    load_arch("edge_npu", ("memories.0.bandwidth_bytes_per_s=64 GB/s",))


@pytest.mark.parametrize("size", ["24 B", "8 B", "512 B"])
def test_a_request_is_a_burst(size: str) -> None:
    with pytest.raises(SpecError, match="a power of two from 16 to 256 is needed"):
        load_arch("edge_npu", (f"dram.access_bytes={size}",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("banks=[6,6,4]",), "banks: interleaved banks belong to no tensor"),
        (("banking=per_tensor", "banks=[6,6,5]"), "banks: found 17 in all, instances has 16"),
        (("banking=per_tensor", "instances=2"), "instances: found 2, at least 3 is needed"),
        (("banking=per_buffer", "instances=9"), "instances: found 9, a multiple of 2, at least 6"),
        (("banking=per_buffer", "banks=[5,5,6]"), "banks: multiples of 2 are needed"),
        (("banking=per_tensor", "banks=[1,1,14]"), "banks of scratchpad deliver 16 bytes of the"),
    ],
)
def test_banks_that_cannot_be_are_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        load_arch("edge_npu", tuple(f"memories.0.{one}" for one in settings))


def test_banks_are_shared_out_as_equally_as_can_be() -> None:
    memory = load_arch("edge_npu", ("memories.0.banking=per_tensor",)).memories[0]
    assert memory.tensor_banks == (6, 5, 5)
    assert memory.tensor_bytes[0] == 6 * 256 * 1024
    assert memory.tensor_bytes_per_s[1] == pytest.approx(5 * 16e9)
    fast = ("memories.0.banking=per_buffer", "memories.0.bandwidth_bytes_per_s=512 GB/s")
    buffered = load_arch("edge_npu", fast).memories[0]
    assert buffered.tensor_banks == (6, 6, 4)
    assert buffered.tensor_bytes_per_s[2] == pytest.approx(2 * 32e9)
    shared = load_arch("edge_npu").memories[0]
    assert shared.tensor_bytes_per_s == (256e9, 256e9, 256e9)
