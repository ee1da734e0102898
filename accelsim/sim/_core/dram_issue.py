"""Commands on a DRAM channel: what each one raises, and the log of commands.

A command changes the bank it goes to and raises the earliest clocks of others: of its bank, of its
bank group, of its rank and of the other ranks. What holds for a whole rank is kept once, with the
rank, so that a command costs the same for any number of banks.
"""

from __future__ import annotations

from accelsim.jit import Ints, inner, part
from accelsim.sim._core import dram_state as s


@inner
def put(at: Ints, column: int, clock: int) -> None:
    """Raise an earliest clock."""
    if clock > at[column]:
        at[column] = clock


@inner
def note(chan: Ints, log: Ints, command: int, bank: int, row: int, clock: int) -> None:
    """Write a command to the log, where one is kept."""
    if log.shape[0] == 0:
        return
    front = chan.shape[0] - 1
    at = chan[front, s.E_LOGGED]
    if at < log.shape[0]:
        log[at, 0], log[at, 1], log[at, 2], log[at, 3] = clock, command, bank, row
    chan[front, s.E_LOGGED] = at + 1


@inner
def activate(
    par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, bank: int, row: int, clock: int
) -> None:
    """Open a row."""
    all_banks = par[s.P_ALL_BANKS]
    rank = bank >> par[s.P_RANK_BITS]
    mine = node[channel, bank]
    group = node[channel, all_banks + (bank >> par[s.P_GROUP_BITS])]
    ranks = node[channel, all_banks + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    mine[s.B_ROW] = row
    mine[s.B_HITS] = 0
    put(mine, s.T_ACT, clock + par[s.P_ACT_ACT])
    put(mine, s.T_PRE, clock + par[s.P_ACT_PRE])
    put(mine, s.T_RD, clock + par[s.P_ACT_RD])
    put(mine, s.T_WR, clock + par[s.P_ACT_WR])
    put(group, s.T_ACT, clock + par[s.P_ACT_ACT_L])
    put(ranks, s.T_ACT, clock + par[s.P_ACT_ACT_S])
    put(ranks, s.T_REF, clock + par[s.P_ACT_REF])
    put(ranks, s.K_PREAB, clock + par[s.P_ACT_PRE])
    # The place of the oldest of four takes the newest: the next in turn is the oldest then.
    at = ranks[s.K_FAW_AT]
    ranks[s.K_FAW + at] = clock + par[s.P_FAW]
    at = (at + 1) & 3
    ranks[s.K_FAW_AT] = at
    put(ranks, s.T_ACT, ranks[s.K_FAW + at])
    if ranks[s.K_OPEN] == 0:
        ranks[s.K_SINCE] = clock
    ranks[s.K_OPEN] += 1
    chan[channel, s.M_OPEN] |= 1 << bank
    chan[channel, s.N_ACT] += 1
    chan[channel, s.C_ROW_BUS] = clock + par[s.P_ROW_BUS]
    note(chan, log, s.ACT, bank + channel * all_banks, row, clock)


@inner
def _closed(par: Ints, chan: Ints, node: Ints, channel: int, bank: int, clock: int) -> None:
    rank = bank >> par[s.P_RANK_BITS]
    mine = node[channel, bank]
    ranks = node[channel, par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    mine[s.B_ROW] = -1
    mine[s.B_HITS] = 0
    ranks[s.K_OPEN] -= 1
    if ranks[s.K_OPEN] == 0:
        ranks[s.K_ACTIVE] += clock - ranks[s.K_SINCE]
    chan[channel, s.M_OPEN] &= ~(1 << bank)


@inner
def precharge(
    par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, bank: int, clock: int
) -> None:
    """Close the row of a bank."""
    rank = bank >> par[s.P_RANK_BITS]
    mine = node[channel, bank]
    ranks = node[channel, par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    note(chan, log, s.PRE, bank + channel * par[s.P_ALL_BANKS], mine[s.B_ROW], clock)
    put(mine, s.T_ACT, clock + par[s.P_PRE_ACT])
    put(mine, s.T_REF, clock + par[s.P_PRE_REF])
    put(ranks, s.T_PRE, clock + par[s.P_PRE_PRE])
    put(ranks, s.K_PREAB, clock + par[s.P_PRE_PRE])
    put(ranks, s.T_REF, clock + par[s.P_PRE_REF])
    _closed(par, chan, node, channel, bank, clock)
    chan[channel, s.N_PRE] += 1


@part
def precharge_all(
    par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, rank: int, clock: int
) -> None:
    """Close all rows of a rank."""
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    ranks = node[channel, par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    for bank in range(rank * per_rank, (rank + 1) * per_rank):
        if node[channel, bank, s.B_ROW] >= 0:
            _closed(par, chan, node, channel, bank, clock)
    put(ranks, s.T_ACT, clock + par[s.P_PREAB_ACT])
    put(ranks, s.T_PRE, clock + par[s.P_PRE_PRE])
    put(ranks, s.K_PREAB, clock + par[s.P_PRE_PRE])
    put(ranks, s.T_REF, clock + par[s.P_PRE_REF])
    chan[channel, s.N_PRE] += 1
    note(chan, log, s.PREAB, rank * per_rank + channel * par[s.P_ALL_BANKS], -1, clock)


@part
def refresh_rank(
    par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, rank: int, clock: int
) -> None:
    """Refresh all banks of a rank."""
    per_rank = par[s.P_GROUPS] * par[s.P_BANKS]
    ranks = node[channel, par[s.P_ALL_BANKS] + par[s.P_RANKS] * par[s.P_GROUPS] + rank]
    put(ranks, s.T_ACT, clock + par[s.P_REF_ACT])
    put(ranks, s.T_REF, clock + par[s.P_REF_REF])
    put(ranks, s.K_PREAB, clock + par[s.P_REF_PREAB])
    chan[channel, s.N_REF] += 1
    note(chan, log, s.REF, rank * per_rank + channel * par[s.P_ALL_BANKS], -1, clock)


@inner
def read(par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, bank: int, clock: int) -> None:
    """Read a column of the open row."""
    all_banks, groups = par[s.P_ALL_BANKS], par[s.P_RANKS] * par[s.P_GROUPS]
    rank = bank >> par[s.P_RANK_BITS]
    mine = node[channel, bank]
    chan[channel, s.N_RD] += 1
    chan[channel, s.N_HIT] += 1 if mine[s.B_HITS] > 0 else 0
    mine[s.B_HITS] += 1
    row = mine[s.B_ROW]
    for other in range(par[s.P_RANKS]):
        ranks = node[channel, all_banks + groups + other]
        if other == rank:
            put(ranks, s.T_RD, clock + par[s.P_RD_RD_S])
            put(ranks, s.T_WR, clock + par[s.P_RD_WR])
            put(ranks, s.K_PREAB, clock + par[s.P_RD_PRE])
        else:
            put(ranks, s.T_RD, clock + par[s.P_RD_RD_O])
            put(ranks, s.T_WR, clock + par[s.P_RD_WR_O])
    put(node[channel, all_banks + (bank >> par[s.P_GROUP_BITS])], s.T_RD, clock + par[s.P_RD_RD_L])
    if par[s.P_CLOSE]:
        put(mine, s.T_ACT, clock + par[s.P_RDA_ACT])
        put(mine, s.T_REF, clock + par[s.P_RDA_REF])
        put(node[channel, all_banks + groups + rank], s.T_REF, clock + par[s.P_RDA_REF])
        _closed(par, chan, node, channel, bank, clock)
        note(chan, log, s.RDA, bank + channel * all_banks, row, clock)
    else:
        put(mine, s.T_PRE, clock + par[s.P_RD_PRE])
        note(chan, log, s.RD, bank + channel * all_banks, row, clock)


@inner
def write(
    par: Ints, chan: Ints, node: Ints, log: Ints, channel: int, bank: int, clock: int
) -> None:
    """Write a column of the open row."""
    all_banks, groups = par[s.P_ALL_BANKS], par[s.P_RANKS] * par[s.P_GROUPS]
    rank = bank >> par[s.P_RANK_BITS]
    mine = node[channel, bank]
    chan[channel, s.N_WR] += 1
    chan[channel, s.N_HIT] += 1 if mine[s.B_HITS] > 0 else 0
    mine[s.B_HITS] += 1
    row = mine[s.B_ROW]
    for other in range(par[s.P_RANKS]):
        ranks = node[channel, all_banks + groups + other]
        if other == rank:
            put(ranks, s.T_WR, clock + par[s.P_WR_WR_S])
            put(ranks, s.T_RD, clock + par[s.P_WR_RD_S])
            put(ranks, s.K_PREAB, clock + par[s.P_WR_PRE])
        else:
            put(ranks, s.T_WR, clock + par[s.P_WR_WR_O])
            put(ranks, s.T_RD, clock + par[s.P_WR_RD_O])
    group = node[channel, all_banks + (bank >> par[s.P_GROUP_BITS])]
    put(group, s.T_WR, clock + par[s.P_WR_WR_L])
    put(group, s.T_RD, clock + par[s.P_WR_RD_L])
    if par[s.P_CLOSE]:
        put(mine, s.T_ACT, clock + par[s.P_WRA_ACT])
        put(mine, s.T_REF, clock + par[s.P_WRA_REF])
        put(node[channel, all_banks + groups + rank], s.T_REF, clock + par[s.P_WRA_REF])
        _closed(par, chan, node, channel, bank, clock)
        note(chan, log, s.WRA, bank + channel * all_banks, row, clock)
    else:
        put(mine, s.T_PRE, clock + par[s.P_WR_PRE])
        note(chan, log, s.WR, bank + channel * all_banks, row, clock)
