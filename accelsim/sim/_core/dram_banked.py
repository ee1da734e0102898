"""A DRAM controller with a command queue per bank, as DRAMsim3 has one.

Every clock the bank queues are asked in turn, beginning behind the one served last, for their
first command that is ready; then one request may move from the read queue or the write buffer into
the queue of its bank. Behaviour: DRAMsim3 (commit 2981759), as its documentation and results show
it; the state is kept so that clocks at which nothing can happen are never looked at.
"""

from __future__ import annotations

from numba.cpython.unsafe.numbers import trailing_zeros

from accelsim.jit import Ints, inner, part
from accelsim.sim._core import dram_state as s
from accelsim.sim._core.dram_bank_queues import (
    accept,
    move,
    moves_next,
    retire,
    review,
    review_hits,
)
from accelsim.sim._core.dram_issue import activate, note, precharge, put, read, refresh_rank, write
from accelsim.sim._core.dram_state import from_bit

__all__ = ["accept", "tick"]

_NOTHING = -1


@inner
def _candidates(
    par: Ints, chan: Ints, node: Ints, channel: int, clock: int
) -> tuple[int, int, int, int]:
    """Return the banks that may be ready to read, write, open and close; their ranks are."""
    all_banks, groups = par[s.P_ALL_BANKS], par[s.P_RANKS] * par[s.P_GROUPS]
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    masks = chan[channel]
    rd, wr, act, pre = 0, 0, 0, 0
    for rank in range(par[s.P_RANKS]):
        at = node[channel, all_banks + groups + rank]
        first = rank * per_rank
        bits = (((1 << (per_rank - 1)) - 1) << 1 | 1) << first
        if masks[s.C_REFRESHING] >= 0:
            bits &= ~_busy(par, masks)
        if max(at[s.T_RD], at[s.K_LOW + s.T_RD]) <= clock:
            rd |= masks[s.M_RD] & bits
        if max(at[s.T_WR], at[s.K_LOW + s.T_WR]) <= clock:
            wr |= masks[s.M_WR] & bits
        if max(at[s.T_ACT], at[s.K_LOW + s.T_ACT]) <= clock:
            act |= masks[s.M_ACT] & bits
        if max(at[s.T_PRE], at[s.K_LOW + s.T_PRE]) <= clock:
            pre |= masks[s.M_PRE] & bits
    return rd, wr, act, pre


@inner
def find(par: Ints, chan: Ints, node: Ints, channel: int, clock: int) -> int:
    """Return bank and command that come next as ``bank * 16 + command``, or -1.

    Bounds of ranks are made exact when nothing is ready.
    """
    masks = chan[channel]
    rd, wr, act, pre = _candidates(par, chan, node, channel, clock)
    wanted = rd | wr | act | pre
    if wanted == 0:
        return _NOTHING
    if par[s.P_FAIR] == 1:
        oldest = _oldest_ready(par, node, channel, clock, rd, wr, act, pre)
        if oldest >= 0:
            return oldest
        wanted = 0
    behind = from_bit(wanted, masks[s.C_POINTER] + 1)
    for half in range(2):
        left = behind if half == 0 else wanted & ~behind
        while left != 0:
            bank = trailing_zeros(left)
            bit = 1 << bank
            left ^= bit
            found = _ready(
                par, node, channel, bank, clock, rd & bit, wr & bit, act & bit, pre & bit
            )
            if found >= 0:
                masks[s.C_POINTER] = bank
                return bank * 16 + found
    _tighten(par, node, channel, rd, s.T_RD)
    _tighten(par, node, channel, wr, s.T_WR)
    _tighten(par, node, channel, act, s.T_ACT)
    _tighten(par, node, channel, pre, s.T_PRE)
    return _NOTHING


@inner
def _oldest_ready(
    par: Ints, node: Ints, channel: int, clock: int, rd: int, wr: int, act: int, pre: int
) -> int:
    """Return the ready command of the bank whose oldest request came first, or -1."""
    best, first = _NOTHING, s.NEVER
    left = rd | wr | act | pre
    while left != 0:
        bank = trailing_zeros(left)
        bit = 1 << bank
        left ^= bit
        first_in = node[channel, bank, s.B_FIRST] + 2 * par[s.P_QUEUE]
        which = node[channel, bank, s.B_QUEUE + first_in]
        if which >= first:
            continue
        found = _ready(par, node, channel, bank, clock, rd & bit, wr & bit, act & bit, pre & bit)
        if found >= 0:
            best, first = bank * 16 + found, which
    return best


@inner
def _ready(
    par: Ints, node: Ints, channel: int, bank: int, clock: int, rd: int, wr: int, act: int, pre: int
) -> int:
    """Return the first command of a bank's queue that is ready, or -1; ranks were asked before."""
    mine = node[channel, bank]
    group = node[channel, par[s.P_ALL_BANKS] + (bank >> par[s.P_GROUP_BITS])]
    if act != 0:
        return s.ACT if max(mine[s.T_ACT], group[s.T_ACT]) <= clock else _NOTHING
    if pre != 0 and mine[s.T_PRE] <= clock:
        return s.PRE
    rd_ready = rd != 0 and max(mine[s.T_RD], group[s.T_RD]) <= clock
    wr_ready = wr != 0 and max(mine[s.T_WR], group[s.T_WR]) <= clock
    if rd_ready and not (wr_ready and mine[s.B_HIT_WR] < mine[s.B_HIT_RD]):
        return s.RD
    return s.WR if wr_ready else _NOTHING


@inner
def _tighten(par: Ints, node: Ints, channel: int, mask: int, kind: int) -> None:
    """Make the bounds of ranks exact for a kind of command; every bank of the mask waits."""
    if mask == 0:
        return
    all_banks, groups = par[s.P_ALL_BANKS], par[s.P_RANKS] * par[s.P_GROUPS]
    seen = -1
    while mask != 0:
        bank = trailing_zeros(mask)
        mask ^= 1 << bank
        rank = bank >> par[s.P_RANK_BITS]
        at = node[channel, all_banks + groups + rank]
        if rank != seen:
            at[s.K_LOW + kind] = s.NEVER
            seen = rank
        clock = node[channel, bank, kind]
        if kind != s.T_PRE:
            clock = max(clock, node[channel, all_banks + (bank >> par[s.P_GROUP_BITS]), kind])
        at[s.K_LOW + kind] = min(at[s.K_LOW + kind], clock)


@inner
def _busy(par: Ints, masks: Ints) -> int:
    """Return the banks whose queues a refresh holds up."""
    if par[s.P_REFRESH_BANK]:
        return 1 << masks[s.C_REFRESHING]
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    return (((1 << (per_rank - 1)) - 1) << 1 | 1) << (masks[s.C_REFRESHING] * per_rank)


@part
def _refresh_step(par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, clock: int) -> int:
    """Issue what the refresh that is due needs next; return the command, or -1."""
    masks = chan[channel]
    head = masks[s.C_DUE_HEAD]
    masks[s.C_REFRESHING] = head
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    low, high = (
        (head, head + 1) if par[s.P_REFRESH_BANK] else (head * per_rank, (head + 1) * per_rank)
    )
    rank = low >> par[s.P_RANK_BITS]
    at = node[channel, par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    waits = False
    for bank in range(low, high):
        mine = node[channel, bank]
        if mine[s.B_ROW] < 0:
            waits = waits or mine[s.T_REF] > clock
            continue
        waits = True
        if max(mine[s.T_PRE], at[s.T_PRE]) <= clock:
            precharge(par, chan, node, log, channel, bank, clock)
            review(par, chan, node, channel, bank)
            return s.PRE
    if waits or at[s.T_REF] > clock:
        return _NOTHING
    if par[s.P_REFRESH_BANK]:
        put(node[channel, head], s.T_ACT, clock + par[s.P_REFPB_ACT])
        masks[s.N_REFPB] += 1
        note(chan, log, s.REFPB, head + channel * par[s.P_ALL_BANKS], -1, clock)
        masks[s.C_DUE_HEAD] = _next_bank(par, head)
        review(par, chan, node, channel, head)
    else:
        refresh_rank(par, chan, node, log, channel, rank, clock)
        masks[s.C_DUE_HEAD] = (head + 1) % par[s.P_RANKS]
    masks[s.C_REFRESHING] = -1
    masks[s.C_DUE] -= 1
    masks[s.C_DIRTY] = 1
    return s.REF


@inner
def _next_bank(par: Ints, bank: int) -> int:
    """Return the bank that is refreshed next: groups first, as JEDEC orders them."""
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    rank, group, inner = (
        bank >> par[s.P_RANK_BITS],
        bank % per_rank // par[s.P_BANKS],
        bank % par[s.P_BANKS],
    )
    group = (group + 1) % par[s.P_GROUPS]
    if group == 0:
        inner = (inner + 1) % par[s.P_BANKS]
        if inner == 0:
            rank = (rank + 1) % par[s.P_RANKS]
    return rank * per_rank + group * par[s.P_BANKS] + inner


@inner
def _issue(
    par: Ints, chan: Ints, node: Ints, probe: Ints, words: Ints, times: Ints, log: Ints,
    channel: int, found: int, clock: int,
) -> None:  # fmt: skip
    bank, command = found >> 4, found & 15
    mine = node[channel, bank]
    if command == s.RD or command == s.WR:
        side = 1 if command == s.WR else 0
        place = mine[s.B_HIT_RD + side]
        if side == 0:
            read(par, chan, node, log, channel, bank, clock)
        else:
            write(par, chan, node, log, channel, bank, clock)
        retire(par, chan, node, probe, words, times, channel, bank, place, clock)
        if mine[s.B_ROW] >= 0:
            review_hits(par, chan, node, channel, bank, place, side)
            return
    elif command == s.ACT:
        row = mine[s.B_QUEUE + mine[s.B_FIRST]] >> 1
        activate(par, chan, node, log, channel, bank, row, clock)
    else:
        precharge(par, chan, node, log, channel, bank, clock)
    review(par, chan, node, channel, bank)


@inner
def tick(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, times: Ints,
    log: Ints, channel: int, clock: int,
) -> None:  # fmt: skip
    """Do everything that a channel does at a clock, and find the next clock that matters."""
    masks = chan[channel]
    masks[s.C_DIRTY] = 0
    if clock == masks[s.C_REFRESH]:
        masks[s.C_DUE] += par[s.P_REFRESH_AT_ONCE]
        masks[s.C_REFRESH] += par[s.P_REFRESH]
    first = _refresh_step(par, chan, node, log, channel, clock) if masks[s.C_DUE] > 0 else _NOTHING
    for second in range(2):
        if second and (first < 0 or not par[s.P_DUAL]):
            break
        if not second and first >= 0:
            continue
        found = find(par, chan, node, channel, clock)
        if found < 0:
            break
        command = found & 15
        # A second command of the same kind is found, and lost; the turn passes to its queue.
        same = (command == s.RD or command == s.WR) == (first == s.RD or first == s.WR)
        if not second or not same:
            _issue(par, chan, node, probe, words, times, log, channel, found, clock)
        first = command
    move(par, chan, node, slot, probe, words, channel)
    _plan(par, chan, node, channel, clock)


@inner
def _plan(par: Ints, chan: Ints, node: Ints, channel: int, clock: int) -> None:
    """Find the next clock at which the channel has to be looked at."""
    masks = chan[channel]
    if masks[s.C_DIRTY] or moves_next(par, masks):
        masks[s.C_NEXT] = clock + 1
        return
    soon = s.NEVER
    all_banks, groups = par[s.P_ALL_BANKS], par[s.P_RANKS] * par[s.P_GROUPS]
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    for rank in range(par[s.P_RANKS]):
        at = node[channel, all_banks + groups + rank]
        bits = (((1 << (per_rank - 1)) - 1) << 1 | 1) << (rank * per_rank)
        if masks[s.C_REFRESHING] >= 0:
            bits &= ~_busy(par, masks)
        if masks[s.M_RD] & bits:
            soon = min(soon, max(at[s.T_RD], at[s.K_LOW + s.T_RD]))
        if masks[s.M_WR] & bits:
            soon = min(soon, max(at[s.T_WR], at[s.K_LOW + s.T_WR]))
        if masks[s.M_ACT] & bits:
            soon = min(soon, max(at[s.T_ACT], at[s.K_LOW + s.T_ACT]))
        if masks[s.M_PRE] & bits:
            soon = min(soon, max(at[s.T_PRE], at[s.K_LOW + s.T_PRE]))
    if masks[s.C_DUE] > 0:
        soon = min(soon, _refresh_ready(par, chan, node, channel))
    masks[s.C_NEXT] = min(max(soon, clock + 1), masks[s.C_REFRESH])


@part
def _refresh_ready(par: Ints, chan: Ints, node: Ints, channel: int) -> int:
    """Return when the refresh that is due can take its next step."""
    head = chan[channel, s.C_DUE_HEAD]
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    low, high = (
        (head, head + 1) if par[s.P_REFRESH_BANK] else (head * per_rank, (head + 1) * per_rank)
    )
    at = node[
        channel, par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + (low >> par[s.P_RANK_BITS])
    ]
    closing, closed = s.NEVER, at[s.T_REF]
    for bank in range(low, high):
        if node[channel, bank, s.B_ROW] >= 0:
            closing = min(closing, max(node[channel, bank, s.T_PRE], at[s.T_PRE]))
        else:
            closed = max(closed, node[channel, bank, s.T_REF])
    return closing if closing < s.NEVER else closed
