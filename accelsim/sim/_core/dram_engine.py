"""The front end of a DRAM system, and the loop over the clocks that matter.

Requests are offered in order, up to ``width`` of them per clock; the first that is not taken holds
up all behind it. Channels share nothing else.
"""

from __future__ import annotations

from accelsim.jit import Ints, inner, kernel
from accelsim.sim._core import dram_banked, dram_flat
from accelsim.sim._core import dram_state as s

_ADDRESS = 0x7FFFFFFFFFFFFFFF


@inner
def decode(par: Ints, front: Ints, word: int) -> None:
    """Take the address of a request apart: channel, bank of the channel, row."""
    address = word & _ADDRESS
    fields = front[s.E_FIELDS : s.E_FIELDS + s.FIELDS]
    for field in range(s.FIELDS):
        fields[field] = 0
    at = s.P_SIZE
    for _ in range(par[s.P_SEGMENTS]):
        fields[par[at]] |= ((address >> par[at + 1]) & par[at + 3]) << par[at + 2]
        at += 4
    for _ in range(par[s.P_XORS]):
        fields[par[at]] ^= (fields[par[at + 1]] >> par[at + 2]) & par[at + 3]
        at += 4
    front[s.E_CHANNEL] = fields[s.F_CHANNEL]
    front[s.E_BANK] = (fields[s.F_RANK] * par[s.P_GROUPS] + fields[s.F_GROUP]) * par[
        s.P_BANKS
    ] + fields[s.F_BANK]
    front[s.E_ROW] = fields[s.F_ROW]


@inner
def _ready(par: Ints, front: Ints, times: Ints, which: int) -> int:
    """Return from when on a request may be offered; NEVER when that is not known yet."""
    ready = max(front[s.E_EARLIEST], times[s.ARRIVAL, which])
    if par[s.P_CHASE] and front[s.E_LAST_READ] >= 0:
        end = times[s.DONE, front[s.E_LAST_READ]]
        return max(ready, end + par[s.P_CHASE_DELAY]) if end >= 0 else s.NEVER
    return ready


@inner
def _offer(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, times: Ints,
    clock: int,
) -> None:  # fmt: skip
    """Offer requests at a clock, and find when to offer again."""
    front = chan[chan.shape[0] - 1]
    left = par[s.P_WIDTH]
    front[s.E_BLOCKED] = 0
    while front[s.E_NEXT] < front[s.E_COUNT]:
        which = front[s.E_NEXT]
        ready = _ready(par, front, times, which)
        if ready > clock:
            front[s.E_READY] = ready
            front[s.E_BLOCKED] = 1 if ready == s.NEVER else 0
            return
        if left == 0:
            front[s.E_READY] = clock + 1
            return
        before = front[s.E_DECODED]
        if before != which:
            # Neighbours mostly differ in their column alone.
            if before < 0 or (words[which] ^ words[before]) & par[s.P_DECIDES] != 0:
                decode(par, front, words[which])
            front[s.E_DECODED] = which
        channel = front[s.E_CHANNEL]
        if par[s.P_PROFILE] == s.RAMULATOR2:
            taken = dram_flat.accept(
                par, chan, node, slot, probe, words, times, channel, which, clock
            )
        else:
            taken = dram_banked.accept(
                par, chan, node, slot, probe, words, times, channel, which, clock
            )
        if not taken:
            front[s.E_READY] = s.NEVER
            front[s.E_BLOCKED] = 2 + (1 if words[which] < 0 else 0)
            return
        times[s.ACCEPTED, which] = clock
        front[s.E_LAST_DONE] = max(front[s.E_LAST_DONE], clock)
        front[s.E_EARLIEST] = clock + par[s.P_INTERVAL]
        if words[which] >= 0:
            front[s.E_LAST_READ] = which
        front[s.E_NEXT] = which + 1
        left -= 1
    front[s.E_READY] = s.NEVER


@inner
def _unblocked(par: Ints, chan: Ints, times: Ints) -> bool:
    """Whether what held the front end up is gone: a full buffer, or a read without an end."""
    front = chan[chan.shape[0] - 1]
    if front[s.E_BLOCKED] == 1:
        return times[s.DONE, front[s.E_LAST_READ]] >= 0
    side = front[s.E_BLOCKED] - 2
    return chan[front[s.E_CHANNEL], s.C_READS + side] < par[s.P_READS + side]


@inner
def _next_clock(par: Ints, chan: Ints) -> int:
    """Return the next clock at which something may happen."""
    clock = chan[chan.shape[0] - 1, s.E_READY]
    for channel in range(par[s.P_CHANNELS]):
        clock = min(clock, chan[channel, s.C_NEXT])
    return clock


@inner
def _drained(front: Ints) -> bool:
    """Whether every request was accepted and every read has an end."""
    return front[s.E_NEXT] >= front[s.E_COUNT] and front[s.E_OUTSTANDING] == 0


@inner
def _tick(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, times: Ints,
    log: Ints, clock: int,
) -> None:  # fmt: skip
    """Let every channel do what it does at a clock."""
    flat = par[s.P_PROFILE] == s.RAMULATOR2
    for channel in range(par[s.P_CHANNELS]):
        if chan[channel, s.C_NEXT] > clock:
            continue
        if flat:
            dram_flat.tick(par, chan, node, slot, probe, times, log, channel, clock)
        else:
            dram_banked.tick(par, chan, node, slot, probe, words, times, log, channel, clock)


@kernel
def advance(
    par: Ints, chan: Ints, node: Ints, slot: Ints, probe: Ints, words: Ints, times: Ints,
    log: Ints, until: int,
) -> int:  # fmt: skip
    """Go on until a clock; return the first clock that was not simulated.

    With ``chan[-1, E_STOPS]`` set, time stops before it when every request is done.

    Args:
        par: constants of the system; all arrays as in :mod:`accelsim.sim._core.dram_state`.
        chan: state of the channels and of the front end.
        node: state of banks, bank groups and ranks.
        slot: requests that wait.
        probe: counting filters.
        words: requests; ``chan[-1, s.E_COUNT]`` of them exist.
        times: arrival, acceptance and completion of every request.
        log: receives the commands.
        until: the first clock that is not simulated.
    """
    front = chan[chan.shape[0] - 1]
    first_offers = par[s.P_PROFILE] == s.RAMULATOR2
    front[s.E_READY] = front[s.E_CLOCK] if front[s.E_NEXT] < front[s.E_COUNT] else s.NEVER
    end = until
    while True:
        clock = _next_clock(par, chan)
        if front[s.E_STOPS] and _drained(front):
            end = min(end, front[s.E_LAST_DONE] + 1)
        if clock >= end:
            break
        if first_offers and front[s.E_READY] <= clock:
            _offer(par, chan, node, slot, probe, words, times, clock)
        _tick(par, chan, node, slot, probe, words, times, log, clock)
        if front[s.E_BLOCKED] and _unblocked(par, chan, times):
            front[s.E_READY] = clock + 1 if first_offers else clock
        if not first_offers and front[s.E_READY] <= clock:
            _offer(par, chan, node, slot, probe, words, times, clock)
    front[s.E_CLOCK] = max(front[s.E_CLOCK], end)
    return end
