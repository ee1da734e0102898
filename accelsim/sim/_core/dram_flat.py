"""A DRAM controller with flat buffers, as Ramulator 2.1 has one.

Of the requests in the read buffer or the write buffer, the oldest whose next command is ready goes
first. A request whose row was opened moves to the active buffer, which comes before everything
else and keeps the row open until it is served. Refreshes hold up both buffers. Behaviour: Ramulator
2.1 (commit c5b1c3a), as its documentation and results show it.
"""

from __future__ import annotations

from accelsim.jit import Ints, inner, part
from accelsim.sim._core import dram_state as s
from accelsim.sim._core.dram_buffers import NOTHING, accept, rank_bits, rank_node, review
from accelsim.sim._core.dram_flat_steps import (
    COLUMNS,
    ROWS,
    go,
    mode_stays,
    next_active,
    pick,
    promote,
    refresh_ready,
    refresh_step,
    serve_active,
    set_mode,
)
from accelsim.sim._core.dram_issue import note

__all__ = ["accept", "tick"]


@part
def second_half(
    par: Ints, chan: Ints, node: Ints, slot: Ints, log: Ints, channel: int, clock: int
) -> None:
    """Issue the second half of the oldest activation that lacks it."""
    masks = chan[channel]
    bank = masks[s.C_SPLIT_HEAD]
    masks[s.C_SPLIT_HEAD] = node[channel, bank, s.B_SPLIT_NEXT]
    masks[s.C_SPLIT] -= 1
    node[channel, bank, s.B_BY] = NOTHING
    note(
        chan, log, s.ACT2, bank + channel * par[s.P_ALL_BANKS], node[channel, bank, s.B_ROW], clock
    )
    promote(par, chan, node, slot, channel, bank)
    review(par, chan, node, slot, channel, bank)


@inner
def _advance_request(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, times: Ints, log: Ints,
    channel: int, key: int, clock: int,
) -> None:  # fmt: skip
    """Issue the next command of a request: of a slot, times two, plus one for an active one."""
    at = key >> 1
    if key & 1:
        bank = slot[channel, at, s.S_BANK]
        serve_active(par, chan, node, slot, times, log, channel, bank, clock)
    else:
        go(par, chan, node, slot, probe, times, log, channel, at, clock)


@inner
def _candidate(
    par: Ints, chan: Ints, node: Ints, slot: Ints, times: Ints, log: Ints, channel: int, clock: int
) -> int:
    """Return the request that comes next as slot times two plus one for an active one, or -1.

    A refresh that is due is issued in its stead, which returns -2.
    """
    masks = chan[channel]
    if masks[s.C_ACTIVE_LOW] <= clock:
        bank = next_active(par, chan, node, slot, times, channel, clock)
        if bank >= 0:
            return node[channel, bank, s.B_ACTIVE] * 2 + 1
    if masks[s.C_DUE] > 0:
        return -2 if refresh_step(par, chan, node, slot, log, channel, clock) else NOTHING
    set_mode(par, masks)
    at = pick(par, chan, node, slot, channel, clock, COLUMNS | ROWS)
    return at * 2 if at >= 0 else NOTHING


@inner
def _starts_data_clock(
    chan: Ints, node: Ints, slot: Ints, channel: int, key: int, clock: int
) -> bool:
    """Whether a request is about to be served while the data clock is off."""
    at = key >> 1
    row = node[channel, slot[channel, at, s.S_BANK], s.B_ROW]
    access = key & 1 == 1 or row == slot[channel, at, s.S_ROW] >> 1
    return access and clock >= chan[channel, s.C_WCK]


@part
def split_turn(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, times: Ints,
    log: Ints, channel: int, clock: int,
) -> None:  # fmt: skip
    """One clock of a device whose activation takes two commands and whose data clock may be off."""
    masks = chan[channel]
    due = s.NEVER
    if masks[s.C_SPLIT] > 0:
        due = node[channel, masks[s.C_SPLIT_HEAD], s.B_BY]
    if masks[s.C_CAS] != 0:
        # The access for which the data clock was started one clock before.
        key = masks[s.C_CAS] - 1
        masks[s.C_CAS] = 0
        _advance_request(par, chan, node, slot, probe, times, log, channel, key, clock)
        return
    key = NOTHING
    if due > clock:
        key = _candidate(par, chan, node, slot, times, log, channel, clock)
    starts = key >= 0 and _starts_data_clock(chan, node, slot, channel, key, clock)
    if key == NOTHING or (starts and due <= clock + 1):
        # Nothing else to do, or the last clock at which the second half may come.
        if due < s.NEVER:
            second_half(par, chan, node, slot, log, channel, clock)
    elif starts:
        bank = slot[channel, key >> 1, s.S_BANK]
        note(
            chan, log, s.CAS, bank + channel * par[s.P_ALL_BANKS], node[channel, bank, s.B_ROW],
            clock,
        )  # fmt: skip
        masks[s.C_CAS] = key + 1
    elif key >= 0:
        _advance_request(par, chan, node, slot, probe, times, log, channel, key, clock)


@inner
def turn(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, times: Ints,
    log: Ints, channel: int, clock: int, kinds: int,
) -> bool:  # fmt: skip
    """Fill one command slot of a clock: active requests, refreshes, then the buffer in turn."""
    masks = chan[channel]
    if kinds & COLUMNS and masks[s.C_ACTIVE_LOW] <= clock:
        bank = next_active(par, chan, node, slot, times, channel, clock)
        if bank >= 0:
            serve_active(par, chan, node, slot, times, log, channel, bank, clock)
            return True
    if masks[s.C_DUE] > 0:
        return kinds & ROWS != 0 and refresh_step(par, chan, node, slot, log, channel, clock)
    set_mode(par, masks)
    at = pick(par, chan, node, slot, channel, clock, kinds)
    if at < 0:
        return False
    go(par, chan, node, slot, probe, times, log, channel, at, clock)
    return True


@inner
def tick(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, times: Ints,
    log: Ints, channel: int, clock: int,
) -> None:  # fmt: skip
    """Do everything that a channel does at a clock, and find the next clock that matters."""
    masks = chan[channel]
    if clock == masks[s.C_REFRESH]:
        masks[s.C_DUE] += par[s.P_REFRESH_AT_ONCE]
        masks[s.C_REFRESH] += par[s.P_REFRESH]
    if par[s.P_SPLIT]:
        split_turn(par, chan, node, slot, probe, times, log, channel, clock)
    else:
        # A column and then a row command where there are two buses; else one of either kind.
        dual = par[s.P_DUAL] != 0
        kinds = COLUMNS if dual else COLUMNS | ROWS
        while kinds != 0:
            turn(par, chan, node, slot, probe, times, log, channel, clock, kinds)
            kinds = ROWS if dual and kinds == COLUMNS else 0
    plan(par, chan, node, channel, clock)


@inner
def plan(par: Ints, chan: Ints, node: Ints, channel: int, clock: int) -> None:
    """Find the next clock at which the channel has to be looked at."""
    masks = chan[channel]
    if masks[s.C_SPLIT] > 0 or masks[s.C_CAS] != 0:
        masks[s.C_NEXT] = clock + 1
        return
    soon = masks[s.C_ACTIVE_LOW]
    if masks[s.C_DUE] > 0:
        soon = min(soon, refresh_ready(par, chan, node, channel))
    else:
        if not mode_stays(par, masks):
            soon = clock
        side = masks[s.C_DRAIN]
        bus = masks[s.C_ROW_BUS] if par[s.P_DUAL] else 0
        hit, kind = (masks[s.M_WR], s.T_WR) if side else (masks[s.M_RD], s.T_RD)
        act = masks[s.M_ACT_WR if side else s.M_ACT]
        pre = masks[s.M_PRE_WR if side else s.M_PRE]
        for rank in range(par[s.P_RANKS]):
            at, bits = node[channel, rank_node(par, rank)], rank_bits(par, rank)
            if hit & bits:
                soon = min(soon, max(at[kind], at[s.K_LOW + kind]))
            if act & bits:
                low = at[s.K_LOW + s.T_ACT + 4 * side]
                soon = min(soon, max(max(at[s.T_ACT], low), bus))
            if pre & bits:
                low = at[s.K_LOW + s.T_PRE + 4 * side]
                soon = min(soon, max(max(at[s.T_PRE], low), bus))
    masks[s.C_NEXT] = min(max(soon, clock + 1), masks[s.C_REFRESH])
