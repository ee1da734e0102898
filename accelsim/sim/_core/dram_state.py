"""Command-level DRAM: where everything lies in the flat arrays that its kernels share.

Every function takes the same arrays, all int64, in this order:

par   [P_SIZE + ...]           the constants of a memory system: timings, sizes, address fields
chan  [channels + 1, C_SIZE]   what a channel is doing; the last row belongs to the front end
node  [channels, nodes, width] banks, then bank groups, then ranks; banks have their queue behind
slot  [channels, slots, 6]     requests that wait in the read queue and the write buffer
probe [channels, 2, PROBES]    counting filter of the addresses that are pending
words [requests]               byte address; bit 63 is set for a write
times [4, requests]            earliest arrival, acceptance, completion; when a write reached the
                               array
log   [entries, 4]             clock, command, bank, row of every command; no entries: not kept

Masks have one bit per bank of a channel. A time that lies in the past constrains nothing, so times
are only ever raised.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import inner

NEVER = np.int64(2**62)
#: Banks per channel, all ranks together: the bits of a mask.
MAX_BANKS = 64
PROBES = 1024

DRAMSIM3, RAMULATOR2 = 0, 1
# Commands, as they appear in a log.
ACT, PRE, RD, WR, RDA, WRA, REF, PREAB, REFPB, ACT2, CAS = range(11)

(
    P_PROFILE, P_CHANNELS, P_RANKS, P_GROUPS, P_BANKS, P_ALL_BANKS,  # groups per rank, banks of all
    P_READS, P_WRITES, P_QUEUE,  # entries of read queue, write buffer and a bank's queue
    P_DUAL,  # a column and a row command each clock
    P_CLOSE,  # rows are closed by the access
    P_SPLIT,  # activation in two commands
    P_HIT_LIMIT, P_DRAIN_LOW, P_DRAIN_HIGH,
    P_REFRESH, P_REFRESH_BANK, P_REFRESH_AT_ONCE,  # interval; per bank; how many are due at once
    P_INTERVAL, P_CHASE, P_WIDTH,
    P_READ_DELAY, P_CHASE_DELAY, P_FAW,
    P_RD_RD_L, P_RD_RD_S, P_RD_RD_O, P_RD_WR, P_RD_WR_O, P_RD_PRE,
    P_WR_WR_L, P_WR_WR_S, P_WR_WR_O, P_WR_RD_L, P_WR_RD_S, P_WR_RD_O, P_WR_PRE,
    P_ACT_ACT, P_ACT_ACT_L, P_ACT_ACT_S, P_ACT_RD, P_ACT_WR, P_ACT_PRE,
    P_PRE_ACT, P_PRE_PRE, P_PRE_REF, P_REF_ACT, P_REFPB_ACT, P_RDA_ACT, P_WRA_ACT,
    P_RDA_REF, P_WRA_REF, P_ACT_REF, P_REF_REF, P_REF_PREAB, P_PREAB_ACT,
    P_ROW_BUS,  # clocks for which an activation keeps the row command bus
    P_ACT2_BY, P_WCK_RD, P_WCK_WR,  # deadline of the second half; how long an access keeps WCK on
    P_SHIFT,  # bits of an address inside a request
    P_SEGMENTS, P_XORS,
    P_GROUP_BITS, P_RANK_BITS,  # a bank's number without them is its group's, its rank's
    P_FAIR,  # reads that waited for a drain go before the next one
    P_DECIDES,  # bits of an address that decide its channel, bank and row
    P_SIZE,
) = range(68)  # fmt: skip
# Behind P_SIZE: P_SEGMENTS times (field, position in the address, position in the field, mask),
# then P_XORS times (field, source field, position in the source, mask).
F_CHANNEL, F_RANK, F_GROUP, F_BANK, F_ROW, F_COLUMN, FIELDS = range(7)

(
    C_NEXT,  # earliest clock at which something may happen
    C_POINTER,  # bank queue that was served last
    C_DIRTY,  # a queue changed: look again at the next clock
    C_REFRESH, C_DUE, C_DUE_HEAD, C_REFRESHING,
    C_READS, C_WRITES, C_DRAIN, C_QUEUED,  # entries; writes left to drain; commands in queues
    C_FREE, C_SEQ,
    M_RD, M_WR, M_ACT, M_PRE, M_OPEN, M_FULL, M_WAIT_RD, M_WAIT_WR,  # M_WAIT_WR follows M_WAIT_RD
    M_ACT_WR, M_PRE_WR, M_ACTIVE_RD, M_ACTIVE_WR,
    C_ACTIVE_LOW,  # no active request can be served before
    C_ROW_BUS, C_LAST_DONE, C_PROMOTED, C_WCK, C_CAS, C_SPLIT_HEAD, C_SPLIT_TAIL, C_SPLIT,
    N_RD, N_WR, N_ACT, N_PRE, N_REF, N_HIT, N_MISS, N_CONFLICT, N_REFPB, N_SERVED,
    C_TURN,  # reads that go before writes are drained again
    C_QUEUED_RD,  # reads in the queues of banks
    C_SIZE,
) = range(47)  # fmt: skip
# Columns of the last row of chan: the front end.
(
    E_NEXT, E_COUNT, E_READY, E_CLOCK, E_EARLIEST, E_LAST_READ, E_LAST_DONE, E_OUTSTANDING,
    E_BLOCKED, E_DECODED, E_CHANNEL, E_BANK, E_ROW, E_LOGGED,
    E_STOPS,  # whether time stops when every request is done
    E_FIELDS,  # an address taken apart
) = range(16)  # fmt: skip

# Columns of a node. T_* of banks, groups and ranks: earliest clock of a command.
T_ACT, T_PRE, T_RD, T_WR, T_REF = range(5)
# Of banks. ROW -1: closed. HIT_*: place of the first hit in the queue, or -1.
B_ROW, B_COUNT, B_HITS, B_HIT_RD, B_HIT_WR = range(5, 10)
B_HEAD_RD, B_HEAD_WR, B_TAIL_RD, B_TAIL_WR = range(10, 14)
B_MISS_RD, B_MISS_WR, B_ACTIVE, B_SPLIT_NEXT, B_BY = range(14, 19)
B_FIRST = 19  # where the queue begins; it moves on when the first one leaves
# Twice the queue's length of rows, then of request numbers; a row carries the direction in bit 0.
B_QUEUE = 20
# Of ranks. LOW_*: no bank of it can do this before; FAW: when the last four rows were opened.
K_FAW, K_FAW_AT, K_OPEN, K_SINCE, K_ACTIVE, K_PREAB = 5, 9, 10, 11, 12, 13
K_LOW = 14  # T_ACT, T_PRE, T_RD, T_WR; then T_ACT and T_PRE of writes

# A slot: row and direction, request, next slot, age, bank, place in the filter. Bit 0 of a flat
# buffer's age: the request has been counted as hit, miss or conflict.
S_ROW, S_ID, S_NEXT, S_AGE, S_BANK, S_PLACE, S_SIZE = range(7)
ARRIVAL, ACCEPTED, DONE, WRITTEN, TIMES = range(5)
PENDING = -1


@inner
def probe_of(block: int) -> int:
    """Return the place of a request's address in the counting filter."""
    return (block ^ (block >> 10) ^ (block >> 20)) & (PROBES - 1)


@inner
def from_bit(mask: int, bit: int) -> int:
    """Return the bits of a mask from ``bit`` on."""
    return (mask >> bit) << bit if bit < 64 else np.int64(0)
