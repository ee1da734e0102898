"""Systems: what tables say, what standards forbid, what contradicts itself, address bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import InputError, UnknownNameError
from accelsim.sim._core import dram_state as s
from accelsim.sim.dram import standards
from accelsim.sim.dram.mapping import parse
from accelsim.sim.dram.system import Controller, DramSystem, default_controller
from accelsim.spec.memory import DramSpec
from tests.sim.dram.twin import decode

DDR4 = DramSystem.from_standard("ddr4")


@pytest.mark.parametrize("name", standards.names())
@pytest.mark.parametrize("profile", ["dramsim3", "ramulator2"])
def test_every_grade_makes_a_system(name: str, profile: str) -> None:
    system = DramSystem.from_standard(name, profile=profile)
    assert system.name == name
    assert system.peak_bytes_per_s > 1e9
    assert system.parameters.dtype == np.int64


def test_every_block_of_a_table_says_where_it_is_from() -> None:
    for path in sorted((Path(standards.__file__).parent / "standards").glob("*.yaml")):
        table = yaml.safe_load(path.read_text())
        blocks = [table["organization"]]
        for grade in table["grades"].values():
            blocks += [grade[k] for k in ("timing", "currents", "organization") if k in grade]
        for block in blocks:
            assert ("source" in block) != bool(block.get("estimated")), path


@pytest.mark.parametrize(
    ("name", "gb_per_s"),
    [("ddr4-3200", 25.6), ("ddr5-4800", 19.2), ("lpddr5-6400", 12.8), ("hbm2-2000", 256.0),
     ("hbm3-6400", 819.2)],
)  # fmt: skip
def test_peaks_are_those_of_the_data_sheets(name: str, gb_per_s: float) -> None:
    peak = DramSystem.from_standard(name).peak_bytes_per_s / 1e9
    assert peak == pytest.approx(gb_per_s, rel=0.005)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tRC": 73}, "tRC: found 73; a row is open for tRAS 52 and closed for tRP 22"),
        ({"tFAW": 3}, "tFAW: found 3; four activations cannot take less than tRRD_S 4"),
        ({"tCCD_L": 2}, "tCCD_L: found 2; within a bank group"),
        ({"tREFI": 500}, "tREFI: found 500; a refresh takes tRFC 560"),
        ({"CL": 0}, "CL: found 0"),
    ],
)  # fmt: skip
def test_contradicting_timings_are_named(change: dict[str, int], what: str) -> None:
    with pytest.raises(InputError, match=what.replace("(", r"\(")):
        replace(DDR4, timing=replace(DDR4.timing, **change))


def test_all_contradictions_come_at_once() -> None:
    with pytest.raises(InputError) as error:
        replace(DDR4, timing=replace(DDR4.timing, tRC=1, tFAW=1))
    assert len(str(error.value).splitlines()) == 2


def test_sizes_that_a_standard_forbids() -> None:
    assert DramSystem.from_standard("ddr4", size_bytes=16 << 30).size_bytes == 16 << 30
    with pytest.raises(InputError, match=r"found a size of 3072 MiB.* hold 4096 MiB, 8192 MiB"):
        DramSystem.from_standard("ddr4", size_bytes=3 << 30)
    with pytest.raises(InputError, match="found 8 ranks; a channel has 1 to 4"):
        DramSystem.from_standard("ddr4", ranks=8)
    with pytest.raises(InputError, match=r"channels: found 3; .* a power of two"):
        DramSystem.from_standard("ddr4", channels=3)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ddr4-3200'"):
        DramSystem.from_standard("ddr4-3201")
    with pytest.raises(UnknownNameError, match="unknown profile 'dramsim'"):
        DramSystem.from_standard("ddr4", profile="dramsim")
    with pytest.raises(InputError, match="profile ramulator2 keeps rows open"):
        replace(DDR4, controller=replace(default_controller("ramulator2"), page="close"))
    with pytest.raises(InputError, match="read_queue: found 0"):
        replace(DDR4, controller=Controller(read_queue=0))


def test_a_chip_gets_the_bandwidth_that_it_names() -> None:
    spec = DramSpec(
        standard="hbm2e", channels=3, size_bytes=48 << 30, bandwidth_bytes_per_s=1.3824e12,
        efficiency=0.8, latency_s=1e-7,
    )  # fmt: skip
    assert DramSystem.from_spec(spec).peak_bytes_per_s == pytest.approx(1.3824e12)


@pytest.mark.parametrize(
    ("text", "what"),
    [("RoBaRaCoChh", "did you mean 'RoBaRaCoCh'"), ("rochrababg", "unknown address mapping"),
     ("RRRRBBGG", "it has .*R 4 times, 16 are needed")],
)  # fmt: skip
def test_bad_mappings(text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        replace(DDR4, mapping=text)


MAPPINGS = ["rochrababgco", "RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR", "Interleave256",
            "R" * 16 + "K" + "BB" + "CCCC" + "GG" + "H" + "CCC"]  # fmt: skip


@pytest.mark.parametrize("mapping", MAPPINGS)
@given(data=st.data())
def test_no_two_addresses_share_a_place(mapping: str, data: st.DataObject) -> None:
    system = DramSystem.from_standard("ddr4", channels=2, ranks=2, mapping=mapping)
    blocks = st.integers(0, system.size_bytes // 64 - 1)
    one, other = data.draw(blocks) * 64, data.draw(blocks) * 64
    places = [fields(system, address) for address in (one, other)]
    assert (places[0] == places[1]) == (one == other)


@pytest.mark.parametrize("mapping", MAPPINGS)
@given(data=st.data())
def test_addresses_that_differ_elsewhere_lie_in_one_row(mapping: str, data: st.DataObject) -> None:
    system = DramSystem.from_standard("ddr4", channels=2, ranks=2, mapping=mapping)
    deciding = int(system.parameters[s.P_DECIDES])
    address, change = (data.draw(st.integers(0, system.size_bytes - 1)) for _ in range(2))
    column = s.F_COLUMN
    places = [list(fields(system, at)) for at in (address, address ^ change & ~deciding)]
    assert places[0][:column] + places[0][column + 1 :] == (
        places[1][:column] + places[1][column + 1 :]
    )


def fields(system: DramSystem, address: int) -> tuple[int, ...]:
    mapping, found = parse(system.mapping, system.organization), [0] * s.FIELDS
    for name, place, into, mask in mapping.segments:
        found[name] |= ((address >> place) & mask) << into
    for name, source, place, mask in mapping.xors:
        found[name] ^= (found[source] >> place) & mask
    return tuple(found)


def test_fields_lie_where_their_name_says() -> None:
    system = replace(DDR4, mapping="rochrababgco")
    request = decode(system, 0, (5 << 17) | (2 << 15) | (1 << 13) | (9 << 6))
    assert (request.row, request.bank) == (5, 1 * 4 + 2)
