"""The queues of a DRAM channel that has one per bank, and the buffers in front of them."""

from __future__ import annotations

from numba.cpython.unsafe.numbers import trailing_zeros

from accelsim.jit import Ints, inner, part
from accelsim.sim._core import dram_state as s
from accelsim.sim._core.dram_state import probe_of

_NOTHING = -1
_ADDRESS = 0x7FFFFFFFFFFFFFFF


@inner
def _lower(par: Ints, node: Ints, channel: int, bank: int, kind: int) -> None:
    """Lower the bound of a rank to what a bank of it may do now."""
    mine = node[channel, bank]
    all_banks = par[s.P_ALL_BANKS]
    clock = mine[kind]
    if kind != s.T_PRE:
        clock = max(clock, node[channel, all_banks + (bank >> par[s.P_GROUP_BITS]), kind])
    rank = bank >> par[s.P_RANK_BITS]
    low = node[channel, all_banks + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    low[s.K_LOW + kind] = min(low[s.K_LOW + kind], clock)


@inner
def review(par: Ints, chan: Ints, node: Ints, channel: int, bank: int) -> None:
    """Find out anew which commands the queue of a bank asks for."""
    mine, masks = node[channel, bank], chan[channel]
    bit = 1 << bank
    masks[s.M_RD] &= ~bit
    masks[s.M_WR] &= ~bit
    masks[s.M_ACT] &= ~bit
    masks[s.M_PRE] &= ~bit
    mine[s.B_HIT_RD] = _NOTHING
    mine[s.B_HIT_WR] = _NOTHING
    count, row = mine[s.B_COUNT], mine[s.B_ROW]
    if count == 0:
        return
    if row < 0:
        masks[s.M_ACT] |= bit
        _lower(par, node, channel, bank, s.T_ACT)
        return
    queue = s.B_QUEUE + mine[s.B_FIRST]
    for at in range(count):
        wanted = mine[queue + at]
        if wanted >> 1 == row:
            if wanted & 1 == 0 and mine[s.B_HIT_RD] < 0:
                mine[s.B_HIT_RD] = at
                masks[s.M_RD] |= bit
                _lower(par, node, channel, bank, s.T_RD)
            elif wanted & 1 == 1 and mine[s.B_HIT_WR] < 0:
                mine[s.B_HIT_WR] = at
                masks[s.M_WR] |= bit
                _lower(par, node, channel, bank, s.T_WR)
    hit = mine[s.B_HIT_RD] >= 0 or mine[s.B_HIT_WR] >= 0
    if mine[queue] >> 1 != row and (not hit or mine[s.B_HITS] >= par[s.P_HIT_LIMIT]):
        masks[s.M_PRE] |= bit
        _lower(par, node, channel, bank, s.T_PRE)
        _end_hits(par, masks, bit)


@inner
def _end_hits(par: Ints, masks: Ints, bit: int) -> None:
    """Let a fair controller close a row whose turn is over, though hits on it go on coming in."""
    if par[s.P_FAIR] == 1:
        masks[s.M_RD] &= ~bit
        masks[s.M_WR] &= ~bit


@inner
def review_hits(
    par: Ints, chan: Ints, node: Ints, channel: int, bank: int, place: int, side: int
) -> None:
    """Do what ``review`` does, after the first hit of a direction has left an open row's queue."""
    mine, masks = node[channel, bank], chan[channel]
    count, row, bit = mine[s.B_COUNT], mine[s.B_ROW], 1 << bank
    at, queue = place, s.B_QUEUE + mine[s.B_FIRST]
    while at < count and mine[queue + at] != row * 2 + side:
        at += 1
    mine[s.B_HIT_RD + side] = at if at < count else _NOTHING
    if at == count:
        masks[s.M_RD + side] &= ~bit
    elif masks[s.M_RD + side] == bit:
        # The only bank of its kind: a bound that is exact saves a look at a clock too early.
        rank = par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + (bank >> par[s.P_RANK_BITS])
        node[channel, rank, s.K_LOW + s.T_RD + side] = s.NEVER
        _lower(par, node, channel, bank, s.T_RD + side)
    other = s.B_HIT_WR - side
    if mine[other] > place:
        mine[other] -= 1
    masks[s.M_PRE] &= ~bit
    if count > 0 and mine[queue] >> 1 != row:
        hit = at < count or mine[other] >= 0
        if not hit or mine[s.B_HITS] >= par[s.P_HIT_LIMIT]:
            masks[s.M_PRE] |= bit
            _lower(par, node, channel, bank, s.T_PRE)
            _end_hits(par, masks, bit)


@inner
def retire(
    par: Ints, chan: Ints, node: Ints, probe: Ints, words: Ints, times: Ints, channel: int,
    bank: int, place: int, clock: int,
) -> None:  # fmt: skip
    """Take a request whose access was issued out of its bank's queue; reads get their end."""
    mine, size = node[channel, bank], 2 * par[s.P_QUEUE]
    queue = s.B_QUEUE + mine[s.B_FIRST]
    which = mine[queue + size + place]
    direction = mine[queue + place] & 1
    # Mostly the first one leaves, and few stand before the one that does.
    for at in range(queue + place, queue, -1):
        mine[at] = mine[at - 1]
        mine[at + size] = mine[at + size - 1]
    mine[s.B_FIRST] += 1
    mine[s.B_COUNT] -= 1
    chan[channel, s.C_QUEUED] -= 1
    chan[channel, s.M_FULL] &= ~(1 << bank)
    probe[channel, direction, probe_of((words[which] & _ADDRESS) >> par[s.P_SHIFT])] -= 1
    if direction == 1:
        times[s.WRITTEN, which] = clock
        return
    chan[channel, s.C_QUEUED_RD] -= 1
    if chan[channel, s.C_TURN] > 0:
        chan[channel, s.C_TURN] -= 1
    front = chan[chan.shape[0] - 1]
    end = clock + par[s.P_READ_DELAY]
    chan[channel, s.C_LAST_DONE] = end
    front[s.E_LAST_DONE] = max(front[s.E_LAST_DONE], end)
    while which >= 0:
        # Reads of one address wait for the same access; a chain of them hangs in their ends.
        link = times[s.DONE, which]
        times[s.DONE, which] = end
        front[s.E_OUTSTANDING] -= 1
        which = -2 - link if link < s.PENDING else -1


@inner
def _drain_begins(par: Ints, masks: Ints) -> bool:
    """Whether writes are drained from now on: their buffer is full, or nothing else is to do."""
    full = masks[s.C_WRITES] >= par[s.P_WRITES]
    idle = masks[s.C_WRITES] > par[s.P_DRAIN_LOW] and masks[s.C_QUEUED] == 0
    # A fair controller drains again only after the reads that waited for the last drain.
    waiting = masks[s.C_READS] + masks[s.C_QUEUED_RD]
    fair = par[s.P_FAIR] == 0 or masks[s.C_TURN] == 0 or waiting == 0
    return masks[s.C_DRAIN] == 0 and (full or idle) and fair


@inner
def move(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, channel: int
) -> None:
    """Move the oldest request that fits from its buffer into the queue of its bank."""
    masks = chan[channel]
    if _drain_begins(par, masks):
        masks[s.C_DRAIN] = masks[s.C_WRITES]
    side = 1 if masks[s.C_DRAIN] > 0 else 0
    held = _move_side(par, chan, node, slot, probe, words, channel, side)
    if held and masks[s.C_WRITES] >= par[s.P_WRITES]:
        # Draining would begin again and again while the read that has to come first never moves.
        _move_side(par, chan, node, slot, probe, words, channel, 0)


@inner
def moves_next(par: Ints, masks: Ints) -> bool:
    """Whether a request may move, or draining begin, at the next clock."""
    if _drain_begins(par, masks):
        return True
    side = 1 if masks[s.C_DRAIN] > 0 else 0
    return masks[s.M_WAIT_RD + side] & ~masks[s.M_FULL] != 0


@inner
def _move_side(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, channel: int, side: int
) -> bool:
    """Move a request of one buffer; return whether a read of its address holds up a write."""
    masks = chan[channel]
    fits = masks[s.M_WAIT_RD + side] & ~masks[s.M_FULL]
    if fits == 0:
        return False
    bank = trailing_zeros(fits)
    if fits != 1 << bank:
        bank = _oldest(node, slot, channel, fits, side)
    mine = node[channel, bank]
    at = mine[s.B_HEAD_RD + side]
    row, which = slot[channel, at, s.S_ROW], slot[channel, at, s.S_ID]
    if side == 1:
        block = (words[which] & _ADDRESS) >> par[s.P_SHIFT]
        if probe[channel, 0, probe_of(block)] > 0 and (
            pending(par, node, slot, words, channel, bank, block, 0) >= 0
        ):
            # The read came first: it must not see what is written after it.
            masks[s.C_DRAIN] = 0
            masks[s.C_DIRTY] = 1
            return True
        masks[s.C_DRAIN] -= 1
        if masks[s.C_DRAIN] == 0:
            masks[s.C_TURN] = masks[s.C_READS] + masks[s.C_QUEUED_RD]
    masks[s.C_READS + side] -= 1
    after = slot[channel, at, s.S_NEXT]
    mine[s.B_HEAD_RD + side] = after
    if after < 0:
        masks[s.M_WAIT_RD + side] &= ~(1 << bank)
    slot[channel, at, s.S_NEXT] = masks[s.C_FREE]
    masks[s.C_FREE] = at
    _enqueue(par, chan, node, channel, bank, row, which)
    return False


@inner
def _oldest(node: Ints, slot: Ints, channel: int, fits: int, side: int) -> int:
    best, age = 0, s.NEVER
    while fits != 0:
        bank = trailing_zeros(fits)
        fits ^= 1 << bank
        head = slot[channel, node[channel, bank, s.B_HEAD_RD + side], s.S_AGE]
        if head < age:
            best, age = bank, head
    return best


@inner
def _enqueue(
    par: Ints, chan: Ints, node: Ints, channel: int, bank: int, row: int, which: int
) -> None:
    mine, masks = node[channel, bank], chan[channel]
    count, size = mine[s.B_COUNT], 2 * par[s.P_QUEUE]
    if mine[s.B_FIRST] + count == size:
        _to_front(mine, count, size)
    end = s.B_QUEUE + mine[s.B_FIRST] + count
    mine[end] = row
    mine[end + size] = which
    mine[s.B_COUNT] = count + 1
    masks[s.C_QUEUED] += 1
    masks[s.C_QUEUED_RD] += 1 - (row & 1)
    if count + 1 == par[s.P_QUEUE]:
        masks[s.M_FULL] |= 1 << bank
    if count == 0:
        review(par, chan, node, channel, bank)
    elif mine[s.B_ROW] == row >> 1:
        side = row & 1
        if mine[s.B_HIT_RD + side] < 0:
            mine[s.B_HIT_RD + side] = count
            masks[s.M_RD + side] |= 1 << bank
            _lower(par, node, channel, bank, s.T_RD + side)
        if mine[s.B_HITS] < par[s.P_HIT_LIMIT]:
            masks[s.M_PRE] &= ~(1 << bank)
        elif masks[s.M_PRE] & (1 << bank):
            _end_hits(par, masks, 1 << bank)


@inner
def _to_front(mine: Ints, count: int, size: int) -> None:
    """Move a queue back to where its room begins."""
    first = mine[s.B_FIRST]
    for at in range(s.B_QUEUE, s.B_QUEUE + count):
        mine[at] = mine[at + first]
        mine[at + size] = mine[at + size + first]
    mine[s.B_FIRST] = 0


@part
def pending(
    par: Ints, node: Ints, slot: Ints, words: Ints, channel: int, bank: int, block: int, side: int
) -> int:
    """Return the request of an address that waits or is queued, or -1."""
    mine = node[channel, bank]
    at = mine[s.B_HEAD_RD + side]
    while at >= 0:
        which = slot[channel, at, s.S_ID]
        if (words[which] & _ADDRESS) >> par[s.P_SHIFT] == block:
            return which
        at = slot[channel, at, s.S_NEXT]
    queue = s.B_QUEUE + mine[s.B_FIRST]
    for place in range(queue, queue + mine[s.B_COUNT]):
        which = mine[place + 2 * par[s.P_QUEUE]]
        if mine[place] & 1 == side and ((words[which] & _ADDRESS) >> par[s.P_SHIFT] == block):
            return which
    return _NOTHING


@inner
def accept(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, times: Ints,
    channel: int, which: int, clock: int,
) -> bool:  # fmt: skip
    """Offer a request to a channel; bank and row were decoded. Return whether it was taken."""
    front, masks = chan[chan.shape[0] - 1], chan[channel]
    side = 1 if words[which] < 0 else 0
    if side == 1:
        if masks[s.C_WRITES] >= par[s.P_WRITES]:
            return False
    elif masks[s.C_READS] >= par[s.P_READS]:
        return False
    bank, row = front[s.E_BANK], front[s.E_ROW]
    block = (words[which] & _ADDRESS) >> par[s.P_SHIFT]
    place = probe_of(block)
    times[s.DONE, which] = clock if side == 1 else s.PENDING
    if probe[channel, 1, place] > 0 and (
        pending(par, node, slot, words, channel, bank, block, 1) >= 0
    ):
        # A write that waits for the same address: it serves a read, and takes a write in.
        if side == 0:
            times[s.DONE, which] = clock + 2
            front[s.E_LAST_DONE] = max(front[s.E_LAST_DONE], clock + 2)
        return True
    if side == 0:
        front[s.E_OUTSTANDING] += 1
        if probe[channel, 0, place] > 0:
            same = pending(par, node, slot, words, channel, bank, block, 0)
            if same >= 0:
                times[s.DONE, which] = times[s.DONE, same]
                times[s.DONE, same] = -2 - which
                return True
    _wait(chan, node, slot, channel, bank, row * 2 + side, which)
    probe[channel, side, place] += 1
    if side == 1 or masks[s.M_FULL] >> bank & 1 == 0:
        masks[s.C_NEXT] = min(masks[s.C_NEXT], clock + 1)
    return True


@inner
def _wait(
    chan: Ints, node: Ints, slot: Ints, channel: int, bank: int, row: int, which: int
) -> None:
    """Put a request at the end of the list of those that wait for its bank."""
    masks, mine = chan[channel], node[channel, bank]
    side = row & 1
    at = masks[s.C_FREE]
    masks[s.C_FREE] = slot[channel, at, s.S_NEXT]
    slot[channel, at, s.S_ROW], slot[channel, at, s.S_ID] = row, which
    slot[channel, at, s.S_NEXT], slot[channel, at, s.S_AGE] = -1, masks[s.C_SEQ]
    masks[s.C_SEQ] += 1
    if mine[s.B_HEAD_RD + side] < 0:
        mine[s.B_HEAD_RD + side] = at
        masks[s.M_WAIT_RD + side] |= 1 << bank
    else:
        slot[channel, mine[s.B_TAIL_RD + side], s.S_NEXT] = at
    mine[s.B_TAIL_RD + side] = at
    masks[s.C_READS + side] += 1
