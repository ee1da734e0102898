"""Commands of a DRAM controller with flat buffers: which request comes next, and serving it."""

from __future__ import annotations

from numba.cpython.unsafe.numbers import trailing_zeros

from accelsim.jit import Ints, inner, part
from accelsim.sim._core import dram_state as s
from accelsim.sim._core.dram_buffers import (
    NOTHING,
    allowed,
    ask,
    count_first,
    rank_bits,
    rank_node,
    rank_of,
    release,
    review,
    unlink,
)
from accelsim.sim._core.dram_issue import (
    activate,
    precharge,
    precharge_all,
    read,
    refresh_rank,
    write,
)

#: Kinds of commands that a slot takes.
COLUMNS, ROWS = 1, 2


@inner
def access(
    par: Ints, chan: Ints, node: Ints, slot: Ints, times: Ints, log: Ints, channel: int, bank: int,
    at: int, clock: int,
) -> None:  # fmt: skip
    """Issue the access of a request; a read gets its end."""
    masks = chan[channel]
    count_first(chan, slot, channel, at, s.N_SERVED)
    if slot[channel, at, s.S_ROW] & 1:
        write(par, chan, node, log, channel, bank, clock)
        masks[s.C_WCK] = max(masks[s.C_WCK], clock + par[s.P_WCK_WR])
        times[s.WRITTEN, slot[channel, at, s.S_ID]] = clock
        return
    read(par, chan, node, log, channel, bank, clock)
    masks[s.C_WCK] = max(masks[s.C_WCK], clock + par[s.P_WCK_RD])
    # Reads are handed back in the order in which they were issued.
    end = max(clock + par[s.P_READ_DELAY], masks[s.C_LAST_DONE])
    masks[s.C_LAST_DONE] = end
    front = chan[chan.shape[0] - 1]
    front[s.E_LAST_DONE] = max(front[s.E_LAST_DONE], end)
    front[s.E_OUTSTANDING] -= 1
    times[s.DONE, slot[channel, at, s.S_ID]] = end


@inner
def next_active(
    par: Ints, chan: Ints, node: Ints, slot: Ints, times: Ints, channel: int, clock: int
) -> int:
    """Return the bank whose active request is served next at a clock, or -1: oldest first."""
    masks = chan[channel]
    best, when, turn, low, at_best = NOTHING, s.NEVER, s.NEVER, s.NEVER, s.NEVER
    left = masks[s.M_ACTIVE_RD] | masks[s.M_ACTIVE_WR]
    while left != 0:
        bank = trailing_zeros(left)
        left ^= 1 << bank
        kind = s.T_WR if masks[s.M_ACTIVE_WR] >> bank & 1 else s.T_RD
        ready = allowed(par, node, channel, bank, kind)
        ready = max(ready, node[channel, rank_node(par, bank >> par[s.P_RANK_BITS]), kind])
        if ready > clock:
            low = min(low, ready)
            continue
        at = node[channel, bank, s.B_ACTIVE]
        since = times[s.ACCEPTED, slot[channel, at, s.S_ID]]
        if since < when or (since == when and slot[channel, at, s.S_NEXT] < turn):
            low = min(low, at_best)
            best, when, turn, at_best = bank, since, slot[channel, at, s.S_NEXT], ready
        else:
            low = min(low, ready)
    # The best one leaves: it is no bound for those that stay.
    masks[s.C_ACTIVE_LOW] = low
    return best


@inner
def serve_active(
    par: Ints, chan: Ints, node: Ints, slot: Ints, times: Ints, log: Ints, channel: int, bank: int,
    clock: int,
) -> None:  # fmt: skip
    mine, masks = node[channel, bank], chan[channel]
    at = mine[s.B_ACTIVE]
    access(par, chan, node, slot, times, log, channel, bank, at, clock)
    mine[s.B_ACTIVE] = NOTHING
    masks[s.M_ACTIVE_RD] &= ~(1 << bank)
    masks[s.M_ACTIVE_WR] &= ~(1 << bank)
    release(chan, slot, channel, at)
    for side in range(2):
        if mine[s.B_MISS_RD + side] >= 0:
            ask(par, chan, node, channel, bank, s.T_PRE, side)


@inner
def serve(
    par: Ints, chan: Ints, node: Ints, slot: Ints, times: Ints, log: Ints, channel: int, at: int,
    bank: int, clock: int,
) -> None:  # fmt: skip
    """Serve a request whose row is open straight from its buffer."""
    mine = node[channel, bank]
    side = slot[channel, at, s.S_ROW] & 1
    access(par, chan, node, slot, times, log, channel, bank, at, clock)
    after = slot[channel, at, s.S_NEXT]
    unlink(chan, node, slot, channel, bank, at)
    while after >= 0 and slot[channel, after, s.S_ROW] >> 1 != mine[s.B_ROW]:
        after = slot[channel, after, s.S_NEXT]
    mine[s.B_HIT_RD + side] = after
    if after < 0:
        chan[channel, s.M_RD + side] &= ~(1 << bank)
    elif chan[channel, s.M_RD + side] == 1 << bank:
        # The only bank of its kind: a bound that is exact saves a look at a clock too early.
        kind = s.T_RD + side
        low = node[channel, rank_node(par, rank_of(par, bank))]
        low[s.K_LOW + kind] = allowed(par, node, channel, bank, kind)
    release(chan, slot, channel, at)


@inner
def open_row(
    par: Ints, chan: Ints, node: Ints, slot: Ints, log: Ints, channel: int, at: int, bank: int,
    clock: int,
) -> None:  # fmt: skip
    """Open the row of a request and move the request to the active buffer."""
    mine, masks = node[channel, bank], chan[channel]
    count_first(chan, slot, channel, at, s.N_MISS)
    activate(par, chan, node, log, channel, bank, slot[channel, at, s.S_ROW] >> 1, clock)
    unlink(chan, node, slot, channel, bank, at)
    mine[s.B_ACTIVE] = at
    if par[s.P_SPLIT]:
        mine[s.B_BY] = clock + par[s.P_ACT2_BY]
        mine[s.B_SPLIT_NEXT] = NOTHING
        if masks[s.C_SPLIT] == 0:
            masks[s.C_SPLIT_HEAD] = bank
        else:
            node[channel, masks[s.C_SPLIT_TAIL], s.B_SPLIT_NEXT] = bank
        masks[s.C_SPLIT_TAIL] = bank
        masks[s.C_SPLIT] += 1
    else:
        promote(par, chan, node, slot, channel, bank)
    review(par, chan, node, slot, channel, bank)


@inner
def promote(par: Ints, chan: Ints, node: Ints, slot: Ints, channel: int, bank: int) -> None:
    masks = chan[channel]
    at = node[channel, bank, s.B_ACTIVE]
    slot[channel, at, s.S_NEXT] = masks[s.C_PROMOTED]
    masks[s.C_PROMOTED] += 1
    kind = s.T_WR if slot[channel, at, s.S_ROW] & 1 else s.T_RD
    masks[s.M_ACTIVE_WR if kind == s.T_WR else s.M_ACTIVE_RD] |= 1 << bank
    ready = allowed(par, node, channel, bank, kind)
    ready = max(ready, node[channel, rank_node(par, rank_of(par, bank)), kind])
    masks[s.C_ACTIVE_LOW] = min(masks[s.C_ACTIVE_LOW], ready)


@part
def refresh_step(
    par: Ints, chan: Ints, node: Ints, slot: Ints, log: Ints, channel: int, clock: int
) -> bool:
    """Issue what the oldest refresh needs next, if that is possible now."""
    masks = chan[channel]
    if refresh_ready(par, chan, node, channel) > clock:
        return False
    rank = masks[s.C_DUE_HEAD]
    bits = rank_bits(par, rank)
    if masks[s.M_OPEN] & bits:
        closed = masks[s.M_OPEN] & bits
        precharge_all(par, chan, node, log, channel, rank, clock)
        while closed != 0:
            bank = trailing_zeros(closed)
            closed ^= 1 << bank
            review(par, chan, node, slot, channel, bank)
        return True
    refresh_rank(par, chan, node, log, channel, rank, clock)
    masks[s.C_DUE_HEAD] = (rank + 1) % par[s.P_RANKS]
    masks[s.C_DUE] -= 1
    return True


@part
def refresh_ready(par: Ints, chan: Ints, node: Ints, channel: int) -> int:
    masks = chan[channel]
    rank = masks[s.C_DUE_HEAD]
    bits = rank_bits(par, rank)
    at = node[channel, rank_node(par, rank)]
    bus = masks[s.C_ROW_BUS] if par[s.P_DUAL] else 0
    if masks[s.M_OPEN] & bits:
        if (masks[s.M_ACTIVE_RD] | masks[s.M_ACTIVE_WR]) & bits or masks[s.C_SPLIT] > 0:
            return s.NEVER
        return max(at[s.K_PREAB], bus)
    return max(at[s.T_REF], bus)


@inner
def mode_stays(par: Ints, masks: Ints) -> bool:
    """Whether the mode would not change if it was set now."""
    if masks[s.C_DRAIN] == 0:
        return masks[s.C_WRITES] <= par[s.P_DRAIN_HIGH] and masks[s.C_READS] != 0
    return masks[s.C_WRITES] >= par[s.P_DRAIN_LOW] or masks[s.C_READS] == 0


@inner
def set_mode(par: Ints, masks: Ints) -> None:
    """Turn to writes when many wait or no read does; back to reads when few are left."""
    if masks[s.C_DRAIN] == 0:
        if masks[s.C_WRITES] > par[s.P_DRAIN_HIGH] or masks[s.C_READS] == 0:
            masks[s.C_DRAIN] = 1
    elif masks[s.C_WRITES] < par[s.P_DRAIN_LOW] and masks[s.C_READS] != 0:
        masks[s.C_DRAIN] = 0


@inner
def gated(
    par: Ints, node: Ints, channel: int, mask: int, kind: int, column: int, clock: int
) -> int:
    """Return the banks of a mask whose rank allows a command, and has one that may be ready."""
    if mask == 0:
        return 0
    kept = 0
    for rank in range(par[s.P_RANKS]):
        at = node[channel, rank_node(par, rank)]
        if max(at[kind], at[s.K_LOW + column]) <= clock:
            kept |= mask & rank_bits(par, rank)
    return kept


@inner
def oldest(
    par: Ints, node: Ints, slot: Ints, channel: int, mask: int, kind: int, side: int, best: int,
    clock: int,
) -> int:  # fmt: skip
    """Return the older of a slot and the oldest request whose command is ready, or -1.

    Every bank of the mask is looked at, so the bounds of their ranks become exact.
    """
    where = s.B_HEAD_RD + side
    column = s.K_LOW + kind + 4 * side
    if kind == s.T_PRE:
        where = s.B_MISS_RD + side
    elif kind != s.T_ACT:
        where = s.B_HIT_RD + side
        column = s.K_LOW + kind
    seen = NOTHING
    while mask != 0:
        bank = trailing_zeros(mask)
        mask ^= 1 << bank
        rank = rank_of(par, bank)
        low = node[channel, rank_node(par, rank)]
        when = allowed(par, node, channel, bank, kind)
        low[column] = when if rank != seen else min(low[column], when)
        seen = rank
        if when <= clock:
            at = node[channel, bank, where]
            if best < 0 or slot[channel, at, s.S_AGE] < slot[channel, best, s.S_AGE]:
                best = at
    return best


@inner
def pick(
    par: Ints, chan: Ints, node: Ints, slot: Ints, channel: int, clock: int, kinds: int,
) -> int:  # fmt: skip
    """Return the slot of the oldest request in the buffer in turn whose command is ready."""
    masks = chan[channel]
    side = masks[s.C_DRAIN]
    best = NOTHING
    if kinds & COLUMNS:
        kind = s.T_WR if side else s.T_RD
        mask = gated(par, node, channel, masks[s.M_WR if side else s.M_RD], kind, kind, clock)
        best = oldest(par, node, slot, channel, mask, kind, side, best, clock)
    if kinds & ROWS and (not par[s.P_DUAL] or masks[s.C_ROW_BUS] <= clock):
        # Between the halves of an activation no other may begin.
        wanted = masks[s.M_ACT_WR if side else s.M_ACT] if masks[s.C_SPLIT] == 0 else 0
        mask = gated(par, node, channel, wanted, s.T_ACT, s.T_ACT + 4 * side, clock)
        best = oldest(par, node, slot, channel, mask, s.T_ACT, side, best, clock)
        wanted = masks[s.M_PRE_WR if side else s.M_PRE]
        mask = gated(par, node, channel, wanted, s.T_PRE, s.T_PRE + 4 * side, clock)
        best = oldest(par, node, slot, channel, mask, s.T_PRE, side, best, clock)
    return best


@inner
def go(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, times: Ints,
    log: Ints, channel: int, at: int, clock: int,
) -> None:  # fmt: skip
    """Issue the next command of a request that waits in a buffer."""
    bank = slot[channel, at, s.S_BANK]
    mine = node[channel, bank]
    side, row = slot[channel, at, s.S_ROW] & 1, slot[channel, at, s.S_ROW] >> 1
    if mine[s.B_ROW] >= 0 and mine[s.B_ROW] != row:
        count_first(chan, slot, channel, at, s.N_CONFLICT)
        precharge(par, chan, node, log, channel, bank, clock)
        review(par, chan, node, slot, channel, bank)
        return
    if side == 1:
        probe[channel, 1, slot[channel, at, s.S_PLACE]] -= 1
    if mine[s.B_ROW] < 0:
        open_row(par, chan, node, slot, log, channel, at, bank, clock)
    else:
        serve(par, chan, node, slot, times, log, channel, at, bank, clock)
