"""The flat buffers of a DRAM channel: requests of both directions, linked bank by bank."""

from __future__ import annotations

from accelsim.jit import Ints, inner, part
from accelsim.sim._core import dram_state as s
from accelsim.sim._core.dram_state import probe_of

NOTHING = -1
ADDRESS = 0x7FFFFFFFFFFFFFFF


@inner
def rank_of(par: Ints, bank: int) -> int:
    return bank >> par[s.P_RANK_BITS]


@inner
def rank_node(par: Ints, rank: int) -> int:
    return par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + rank


@inner
def rank_bits(par: Ints, rank: int) -> int:
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    return (((1 << (per_rank - 1)) - 1) << 1 | 1) << (rank * per_rank)


@inner
def allowed(par: Ints, node: Ints, channel: int, bank: int, kind: int) -> int:
    """Return from when on bank and bank group allow a command."""
    clock = node[channel, bank, kind]
    if kind == s.T_PRE:
        return clock
    return max(clock, node[channel, par[s.P_ALL_BANKS] + (bank >> par[s.P_GROUP_BITS]), kind])


@inner
def ask(par: Ints, chan: Ints, node: Ints, channel: int, bank: int, kind: int, side: int) -> None:
    """Note that a bank could use a command for one of the two buffers."""
    masks = chan[channel]
    bit = 1 << bank
    column = kind
    if kind == s.T_ACT:
        masks[s.M_ACT_WR if side else s.M_ACT] |= bit
        column += 4 * side
    elif kind == s.T_PRE:
        masks[s.M_PRE_WR if side else s.M_PRE] |= bit
        column += 4 * side
    elif kind == s.T_RD:
        masks[s.M_RD] |= bit
    else:
        masks[s.M_WR] |= bit
    low = node[channel, rank_node(par, rank_of(par, bank))]
    low[s.K_LOW + column] = min(low[s.K_LOW + column], allowed(par, node, channel, bank, kind))


@part
def review(par: Ints, chan: Ints, node: Ints, slot: Ints, channel: int, bank: int) -> None:
    """Find out anew what both buffers want of a bank, after its row has changed."""
    mine, masks = node[channel, bank], chan[channel]
    keep = ~(1 << bank)
    masks[s.M_RD] &= keep
    masks[s.M_WR] &= keep
    masks[s.M_ACT] &= keep
    masks[s.M_ACT_WR] &= keep
    masks[s.M_PRE] &= keep
    masks[s.M_PRE_WR] &= keep
    for side in range(2):
        mine[s.B_HIT_RD + side] = NOTHING
        mine[s.B_MISS_RD + side] = NOTHING
        at = mine[s.B_HEAD_RD + side]
        if at < 0 or mine[s.B_BY] >= 0:
            continue
        if mine[s.B_ROW] < 0:
            ask(par, chan, node, channel, bank, s.T_ACT, side)
            continue
        while at >= 0 and (mine[s.B_HIT_RD + side] < 0 or mine[s.B_MISS_RD + side] < 0):
            place_request(par, chan, node, slot, channel, bank, at)
            at = slot[channel, at, s.S_NEXT]


@inner
def place_request(
    par: Ints, chan: Ints, node: Ints, slot: Ints, channel: int, bank: int, at: int
) -> None:
    """Count a request of a bank with an open row among the hits or the misses."""
    mine = node[channel, bank]
    side = slot[channel, at, s.S_ROW] & 1
    if slot[channel, at, s.S_ROW] >> 1 == mine[s.B_ROW]:
        if mine[s.B_HIT_RD + side] < 0:
            mine[s.B_HIT_RD + side] = at
            ask(par, chan, node, channel, bank, s.T_WR if side else s.T_RD, side)
    elif mine[s.B_MISS_RD + side] < 0:
        mine[s.B_MISS_RD + side] = at
        if mine[s.B_ACTIVE] < 0:
            ask(par, chan, node, channel, bank, s.T_PRE, side)


@inner
def unlink(chan: Ints, node: Ints, slot: Ints, channel: int, bank: int, at: int) -> None:
    """Take a request out of its buffer; its slot stays taken."""
    mine = node[channel, bank]
    side = slot[channel, at, s.S_ROW] & 1
    after = slot[channel, at, s.S_NEXT]
    before = mine[s.B_HEAD_RD + side]
    if before == at:
        mine[s.B_HEAD_RD + side] = after
        before = NOTHING
    else:
        # A bank's requests in one buffer are few, or the wanted one is in front.
        while slot[channel, before, s.S_NEXT] != at:
            before = slot[channel, before, s.S_NEXT]
        slot[channel, before, s.S_NEXT] = after
    if after < 0:
        mine[s.B_TAIL_RD + side] = before
    chan[channel, s.C_READS + side] -= 1


@inner
def release(chan: Ints, slot: Ints, channel: int, at: int) -> None:
    slot[channel, at, s.S_NEXT] = chan[channel, s.C_FREE]
    chan[channel, s.C_FREE] = at


@inner
def count_first(chan: Ints, slot: Ints, channel: int, at: int, column: int) -> None:
    """Count a request by the first command that it needed."""
    if slot[channel, at, s.S_AGE] & 1 == 0:
        slot[channel, at, s.S_AGE] |= 1
        chan[channel, column] += 1


@inner
def append(
    chan: Ints, node: Ints, slot: Ints, channel: int, bank: int, row: int, which: int
) -> None:
    """Put a request at the end of its buffer; a bank's requests are linked in order."""
    masks, mine = chan[channel], node[channel, bank]
    side = row & 1
    at = masks[s.C_FREE]
    masks[s.C_FREE] = slot[channel, at, s.S_NEXT]
    slot[channel, at, s.S_ROW], slot[channel, at, s.S_ID] = row, which
    slot[channel, at, s.S_NEXT], slot[channel, at, s.S_AGE] = NOTHING, 2 * masks[s.C_SEQ]
    slot[channel, at, s.S_BANK] = bank
    masks[s.C_SEQ] += 1
    if mine[s.B_HEAD_RD + side] < 0:
        mine[s.B_HEAD_RD + side] = at
    else:
        slot[channel, mine[s.B_TAIL_RD + side], s.S_NEXT] = at
    mine[s.B_TAIL_RD + side] = at
    masks[s.C_READS + side] += 1


@part
def write_waits(
    par: Ints, node: Ints, slot: Ints, words: Ints, channel: int, bank: int, block: int
) -> bool:
    """Whether a write to an address waits in the write buffer."""
    at = node[channel, bank, s.B_HEAD_WR]
    while at >= 0:
        if (words[slot[channel, at, s.S_ID]] & ADDRESS) >> par[s.P_SHIFT] == block:
            return True
        at = slot[channel, at, s.S_NEXT]
    return False


@inner
def accept(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, times: Ints,
    channel: int, which: int, clock: int,
) -> bool:  # fmt: skip
    """Offer a request to a channel; bank and row were decoded. Return whether it was taken."""
    front, masks = chan[chan.shape[0] - 1], chan[channel]
    side = 1 if words[which] < 0 else 0
    bank, row = front[s.E_BANK], front[s.E_ROW]
    block = (words[which] & ADDRESS) >> par[s.P_SHIFT]
    place = probe_of(block)
    if probe[channel, 1, place] > 0 and write_waits(par, node, slot, words, channel, bank, block):
        # A write to the same address waits: it serves a read, and takes a write in.
        times[s.DONE, which] = clock
        if side == 0:
            end = max(clock, masks[s.C_LAST_DONE])
            times[s.DONE, which] = end
            front[s.E_LAST_DONE] = max(front[s.E_LAST_DONE], end)
        return True
    if masks[s.C_READS + side] >= par[s.P_READS + side]:
        return False
    times[s.DONE, which] = clock if side == 1 else s.PENDING
    if side == 1:
        probe[channel, 1, place] += 1
    else:
        front[s.E_OUTSTANDING] += 1
    before = _asked(masks, side)
    append(chan, node, slot, channel, bank, row * 2 + side, which)
    at, mine = node[channel, bank, s.B_TAIL_RD + side], node[channel, bank]
    slot[channel, at, s.S_PLACE] = place
    if mine[s.B_ROW] >= 0 and mine[s.B_BY] < 0:
        place_request(par, chan, node, slot, channel, bank, at)
    elif mine[s.B_ROW] < 0:
        ask(par, chan, node, channel, bank, s.T_ACT, side)
    waits = masks[s.C_DRAIN] == 0 and masks[s.C_WRITES] <= par[s.P_DRAIN_HIGH]
    if not waits or before != _asked(masks, side):
        masks[s.C_NEXT] = min(masks[s.C_NEXT], clock)
    return True


@inner
def _asked(masks: Ints, side: int) -> int:
    """Return the banks that have something to do for a buffer, kinds of commands apart."""
    act = masks[s.M_ACT_WR if side else s.M_ACT]
    pre = masks[s.M_PRE_WR if side else s.M_PRE]
    # Each bank is in one of hits and misses twice at most: sums differ where a bit was set.
    return masks[s.M_RD + side] * 3 + act * 5 + pre * 7
