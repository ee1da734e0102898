"""Systems as parameter tables of DRAMsim3 and Ramulator 2.1 describe them.

A table has a row per parameter: configuration, section, parameter, value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from accelsim.errors import InputError, UnknownNameError
from accelsim.sim.dram.energy import Currents
from accelsim.sim.dram.organization import Organization
from accelsim.sim.dram.system import Controller, DramSystem
from accelsim.sim.dram.timing import Timing

Section = Mapping[str, str]
#: What DRAMsim3 takes for timings that a configuration leaves out.
_DRAMSIM3_DEFAULTS = {
    "AL": 0, "CL": 12, "CWL": 12, "tCCD_L": 6, "tCCD_S": 4, "tRTRS": 2, "tRTP": 5, "tWTR_L": 5,
    "tWTR_S": 5, "tWR": 10, "tRP": 10, "tRRD_L": 4, "tRRD_S": 4, "tRAS": 24, "tRCD": 10,
    "tRFC": 74, "tREFI": 7800, "tFAW": 50, "tRCDRD": 24, "tRCDWR": 20, "tPPD": 0, "tRFCb": 20,
    "tREFIb": 1950,
}  # fmt: skip
_REFRESHES = {"RANK_LEVEL_STAGGERED": "rank-staggered", "BANK_LEVEL_STAGGERED": "per-bank"}


def configurations(rows: Sequence[Section]) -> dict[str, dict[str, dict[str, str]]]:
    """Return parameters by configuration and section."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        sections = found.setdefault(row["config"], {})
        sections.setdefault(row["section"], {})[row["param"]] = row["value"]
    return found


def dramsim3(name: str, sections: Mapping[str, Section]) -> DramSystem:
    """Return a system as DRAMsim3 builds it from a configuration.

    Raises:
        InputError: a parameter is missing or impossible.
    """
    structure, given = _section(name, sections, "dram_structure"), sections.get("timing", {})
    system = _section(name, sections, "system")
    hbm = structure.get("protocol", "") in ("HBM", "HBM2")
    beats, bus = _int(name, structure, "BL"), _int(name, system, "bus_width")
    # A column of HBM is as wide as its prefetch.
    columns = _int(name, structure, "columns") * (2 if hbm else 1)
    counts = (_int(name, structure, "bankgroups"), _int(name, structure, "banks_per_group"))
    rows, device = _int(name, structure, "rows"), _int(name, structure, "device_width")
    rank_mib = columns * device // 8 * (rows // 1024) // 1024 * counts[0] * counts[1]
    rank_mib *= bus // device
    ranks = max(1, int(system.get("channel_size", "1024")) // max(1, rank_mib))
    organization = Organization(
        int(system.get("channels", "1")), ranks, *counts, rows, columns, bus, device, beats
    )
    t = {key: _int(name, given, key, value) for key, value in _DRAMSIM3_DEFAULTS.items()}
    timing = Timing(
        tCK=float(given.get("tCK", "1")), burst=beats // 2, tRC=t["tRAS"] + t["tRP"],
        tRCDW=t["tRCDWR"] if hbm else 0, tRFCpb=t["tRFCb"], tREFIpb=t["tREFIb"],
        **{key: t[key] for key in (
            "AL", "CL", "CWL", "tRP", "tRAS", "tRFC", "tREFI", "tRRD_S", "tRRD_L", "tFAW",
            "tCCD_S", "tCCD_L", "tWR", "tRTP", "tWTR_S", "tWTR_L", "tRTRS",
        )},
        **{"tRCD": t["tRCDRD" if hbm else "tRCD"]},
        **{"tPPD": t["tPPD"] if structure.get("protocol") == "LPDDR4" else 0},
    )  # fmt: skip
    policy = system.get("refresh_policy", "RANK_LEVEL_STAGGERED")
    if policy not in _REFRESHES:
        raise UnknownNameError("refresh policy", policy, _REFRESHES)
    queue = int(system.get("trans_queue_size", "32"))
    page = "close" if system.get("row_buf_policy") == "CLOSE_PAGE" else "open"
    controller = Controller(
        "dramsim3", queue, queue, int(system.get("cmd_queue_size", "16")), page=page,
        refresh=_REFRESHES[policy],
    )  # fmt: skip
    power = sections.get("power", {})
    names = [field.name for field in fields(Currents)]
    currents = Currents(**{n: float(power[n]) for n in names}) if set(names) <= set(power) else None
    mapping = system.get("address_mapping", "chrobabgraco")
    return DramSystem(name, organization, timing, controller, mapping, hbm, currents)


def ramulator2(name: str, sections: Mapping[str, Section]) -> DramSystem:
    """Return a system as Ramulator 2.1 builds it.

    Raises:
        InputError: a parameter is missing or impossible.
    """
    dram, given = _section(name, sections, "dram"), _section(name, sections, "timing")
    control = _section(name, sections, "controller")
    counts = [int(count) for count in dram["organization_counts"].split()]
    width, prefetch = _int(name, dram, "channel_width"), _int(name, dram, "internal_prefetch")
    channels = int(sections.get("system", {}).get("channels", "1"))
    if len(counts) != 6:
        raise InputError(f"configuration {name!r}: organization_counts: six counts are needed")
    _, ranks, groups, banks, rows, columns = counts
    organization = Organization(
        channels, ranks, groups, banks, rows, columns, width, _int(name, dram, "dq"), prefetch
    )
    controller = Controller(
        "ramulator2", _int(name, control, "read_buffer_size", 32),
        _int(name, control, "write_buffer_size", 32),
        drain_low=float(control.get("wr_low_watermark", "0.2")),
        drain_high=float(control.get("wr_high_watermark", "0.8")), refresh="all-bank",
    )  # fmt: skip
    dual = dram.get("standard", "").startswith("HBM")
    timing = _ramulator2_timing(name, given, 2 if dual else 1)
    mapping = control.get("addr_mapper", "RoBaRaCoCh")
    return DramSystem(name, organization, timing, controller, mapping, dual)


def _ramulator2_timing(name: str, given: Section, act_clocks: int) -> Timing:
    def clocks(*keys: str, default: int | None = None) -> int:
        for key in keys:
            if key in given:
                return _int(name, given, key)
        return _int(name, given, keys[0], default)

    return Timing(
        tCK=_int(name, given, "tCK_ps") / 1000, burst=clocks("nBL", "nBL_min"),
        burst_long=clocks("nBL_max", default=0), CL=clocks("nCL"), CWL=clocks("nCWL"),
        tRCD=clocks("nRCD", "nRCDRD"), tRCDW=clocks("nRCDWR", default=0), tRP=clocks("nRP"),
        tRPab=clocks("nRPab", default=0), tRAS=clocks("nRAS"), tRC=clocks("nRC"),
        tRFC=clocks("nRFC"), tREFI=clocks("nREFI"), tRRD_S=clocks("nRRDS"), tRRD_L=clocks("nRRDL"),
        tFAW=clocks("nFAW"), tCCD_S=clocks("nCCDS"), tCCD_L=clocks("nCCDL"), tWR=clocks("nWR"),
        tRTP=clocks("nRTP", "nRTPL"), tWTR_S=clocks("nWTRS"), tWTR_L=clocks("nWTRL"),
        tRTRS=clocks("nCS", default=0), tPPD=clocks("nPPD", default=0),
        tCCD_S_WR=clocks("nCCDS_WR", default=0), tCCD_L_WR=clocks("nCCDL_WR", default=0),
        tAAD=clocks("nAAD", default=0), tWCKPST=clocks("nWCKPST", default=0),
        act_clocks=act_clocks,
    )  # fmt: skip


def _section(name: str, sections: Mapping[str, Section], section: str) -> Section:
    if section not in sections:
        raise InputError(f"configuration {name!r}: section {section!r} is missing")
    return sections[section]


def _int(name: str, section: Section, key: str, default: int | None = None) -> int:
    value: Any = section.get(key, default)
    if value is None:
        raise InputError(f"configuration {name!r}: parameter {key!r} is missing")
    try:
        return int(float(value))
    except ValueError as error:
        raise InputError(f"configuration {name!r}: {key}: found {value!r}; a number") from error
