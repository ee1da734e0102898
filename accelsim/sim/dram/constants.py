"""The constants of the kernels, from timings: one column of formulas per controller profile.

Formulas: DRAMsim3 (commit 2981759) and Ramulator 2.1 (commit c5b1c3a), each as its parameters and
results show them. A clock count between two commands that is never a limit is hugely negative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from accelsim.sim._core import dram_state as s
from accelsim.sim.dram.mapping import Mapping

if TYPE_CHECKING:
    from accelsim.jit import Ints
    from accelsim.sim.dram.system import DramSystem

_NO_LIMIT = -(10**6)


def pack(system: DramSystem, mapping: Mapping) -> Ints:
    """Return the constants of a system, int64."""
    values = {**_sizes(system), **_shared(system), **_profile(system)}
    values |= {
        s.P_SHIFT: mapping.shift, s.P_SEGMENTS: len(mapping.segments), s.P_XORS: len(mapping.xors),
        s.P_DECIDES: _deciding(mapping),
    }  # fmt: skip
    head = [values.get(place, 0) for place in range(s.P_SIZE)]
    tail = [part for row in (*mapping.segments, *mapping.xors) for part in row]
    return np.array([*head, *tail], np.int64)


def _deciding(mapping: Mapping) -> int:
    """Return the bits of an address that decide its channel, bank and row."""
    wanted = {field: -1 for field in range(s.FIELDS) if field != s.F_COLUMN}
    wanted[s.F_COLUMN] = 0
    for _, source, at, mask in mapping.xors:
        wanted[source] |= mask << at
    return sum((wanted[field] >> at & mask) << place for field, place, at, mask in mapping.segments)


def _sizes(system: DramSystem) -> dict[int, int]:
    organization, controller = system.organization, system.controller
    ranks, timing = organization.ranks, system.timing
    flat = controller.profile == "ramulator2"
    per_bank = controller.refresh == "per-bank"
    at_once = ranks if controller.refresh == "all-bank" else 1
    interval = timing.tREFI if at_once == ranks else timing.tREFI // ranks
    if per_bank:
        interval = max(1, timing.tREFIpb or timing.tREFI // organization.all_banks)
    return {
        s.P_PROFILE: s.RAMULATOR2 if flat else s.DRAMSIM3,
        s.P_CHANNELS: organization.channels, s.P_RANKS: ranks, s.P_GROUPS: organization.groups,
        s.P_BANKS: organization.banks, s.P_ALL_BANKS: organization.all_banks,
        s.P_READS: controller.read_queue, s.P_WRITES: controller.write_buffer,
        s.P_QUEUE: 0 if flat else controller.bank_queue,
        s.P_DUAL: int(system.dual), s.P_CLOSE: int(controller.page == "close"),
        s.P_SPLIT: int(flat and timing.tAAD > 0), s.P_HIT_LIMIT: controller.hit_limit,
        s.P_DRAIN_LOW: _drain_low(system),
        s.P_DRAIN_HIGH: math.floor(controller.drain_high * controller.write_buffer),
        s.P_REFRESH: interval, s.P_REFRESH_BANK: int(per_bank), s.P_REFRESH_AT_ONCE: at_once,
        s.P_FAIR: int(controller.fair), s.P_WIDTH: 1, s.P_CHASE_DELAY: int(flat),
        s.P_GROUP_BITS: organization.banks.bit_length() - 1,
        s.P_RANK_BITS: (organization.groups * organization.banks).bit_length() - 1,
    }  # fmt: skip


def _drain_low(system: DramSystem) -> int:
    controller = system.controller
    if controller.profile == "dramsim3":
        return int(controller.drain_low)
    return math.ceil(controller.drain_low * controller.write_buffer)


def _shared(system: DramSystem) -> dict[int, int]:
    t = system.timing
    write_end = t.AL + t.CWL + t.burst
    return {
        s.P_FAW: t.tFAW, s.P_READ_DELAY: t.AL + t.CL + t.burst,
        s.P_RD_RD_L: max(t.burst, t.tCCD_L), s.P_RD_RD_S: max(t.burst, t.tCCD_S),
        s.P_WR_WR_L: max(t.burst, t.tCCD_L_WR or t.tCCD_L),
        s.P_WR_WR_S: max(t.burst, t.tCCD_S_WR or t.tCCD_S),
        s.P_WR_RD_L: t.AL + t.CWL + (t.burst_long or t.burst) + t.tWTR_L,
        s.P_WR_RD_S: write_end + t.tWTR_S,
        s.P_RD_PRE: t.AL + t.tRTP, s.P_WR_PRE: write_end + t.tWR,
        s.P_ACT_ACT: t.tRC, s.P_ACT_ACT_L: t.tRRD_L, s.P_ACT_ACT_S: t.tRRD_S,
        s.P_PRE_PRE: t.tPPD, s.P_PRE_REF: t.tRP, s.P_REF_PREAB: t.tRFC,
        s.P_REFPB_ACT: t.tRFCpb or t.tRFC,
        s.P_RDA_REF: t.AL + t.tRTP + t.tRP, s.P_WRA_REF: write_end + t.tWR + t.tRP,
        s.P_WRA_ACT: write_end + t.tWR + t.tRP,
    }  # fmt: skip


def _profile(system: DramSystem) -> dict[int, int]:
    return _dramsim3(system) if system.controller.profile == "dramsim3" else _ramulator2(system)


def _dramsim3(system: DramSystem) -> dict[int, int]:
    t = system.timing
    read_latency, write_latency = t.AL + t.CL, t.AL + t.CWL
    turn = read_latency - write_latency
    return {
        s.P_RD_RD_O: t.burst + t.tRTRS, s.P_WR_WR_O: t.burst,
        s.P_RD_WR: turn + t.burst + t.tRTRS, s.P_RD_WR_O: turn + t.burst + t.tRTRS,
        s.P_WR_RD_O: t.burst + t.tRTRS - turn,
        s.P_ACT_RD: t.tRCD - t.AL, s.P_ACT_WR: (t.tRCDW or t.tRCD) - t.AL, s.P_ACT_PRE: t.tRAS,
        s.P_PRE_ACT: t.tRP, s.P_REF_ACT: t.tRFC, s.P_REF_REF: t.tRFC,
        s.P_RDA_ACT: t.AL + t.burst + t.tRTP + t.tRP,
    }  # fmt: skip


def _ramulator2(system: DramSystem) -> dict[int, int]:
    t = system.timing
    turn = t.CL - t.CWL
    # A command is timed from its first clock on the bus, and acts from its last one on.
    late = t.act_clocks - 1
    across = {
        s.P_RD_RD_O: t.burst + t.tRTRS, s.P_RD_WR_O: t.burst + t.tRTRS, s.P_WR_WR_O: t.burst,
        s.P_WR_RD_O: t.burst + t.tRTRS + (turn if t.tAAD else -turn),
    }  # fmt: skip
    if system.dual:  # pseudo channels have data buses of their own
        across = dict.fromkeys(across, _NO_LIMIT)
    return across | {
        s.P_RD_WR: turn + t.burst + 2,
        s.P_ACT_RD: t.tRCD + late, s.P_ACT_WR: (t.tRCDW or t.tRCD) + late,
        s.P_ACT_PRE: t.tRAS + late, s.P_ACT_REF: t.tRC + late,
        s.P_PRE_ACT: t.tRP - late, s.P_PREAB_ACT: (t.tRPab or t.tRP) - late,
        s.P_REF_ACT: t.tRFC - late, s.P_REF_REF: t.tRFC if t.tAAD else 0,
        s.P_RDA_ACT: t.tRTP + t.tRP, s.P_ROW_BUS: t.act_clocks if system.dual else 0,
        s.P_ACT2_BY: t.tAAD, s.P_WCK_RD: t.CL + t.burst + t.tWCKPST,
        s.P_WCK_WR: t.CWL + t.burst + t.tWCKPST,
    }  # fmt: skip
