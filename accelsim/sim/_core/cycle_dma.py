"""DMA engines and links of the chip at the fidelity ``cycle``, one clock at a time.

A transfer is issued when a buffer and an engine are free and what it is made of has arrived further
out; after its setup it is sent in pieces of a burst, the one needed first going first. The
outermost link sends requests to the memory, whose answers come when the memory gives them.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Index, Ints, part
from accelsim.sim._core.cycle_state import (
    F_BANK_CREDIT,
    F_BANK_RATE,
    F_CREDIT,
    F_LINK,
    F_RATE,
    F_SIZE,
    L_APART,
    L_BUFFERS,
    L_BURST,
    L_BUSY,
    L_ENGINES,
    L_INFLIGHT,
    L_PIECE,
    L_QUEUE,
    L_SETUP,
    Q_COUNT,
    Q_DONE,
    Q_ISSUED,
    Q_SENT,
    Q_SENT_BITS,
    Q_TAKEN,
    Q_TAKEN_OF,
    R_AT,
    R_BITS,
    R_ORDER,
    R_QUEUE,
    R_SENT_AT,
    R_TILE,
    R_WHICH,
    S_VECTOR_END,
    T_ARRIVED,
    T_BEGIN,
    T_END,
    T_REQUEST,
    T_START,
    U_ARRIVED,
    U_BLOCK,
    U_BUFFERS_APART,
    U_CLOCK,
    U_EVENTS,
    U_GROUPS,
    U_PORT_READ,
    U_PORT_WRITTEN,
    U_SENT,
    U_STEP,
    U_WINDOW,
)
from accelsim.sim._core.queues import AT, FIRST, LOADS, NEVER, QUEUES, STORE


@part
def deliver(bits: Ints, index: Index, units: Ints, lanes: Ints, queues: Ints, tiles: Ints,
            requests: Ints) -> None:  # fmt: skip
    """Take what the memory answers at this clock."""
    last = bits.shape[0] - 1
    while units[U_ARRIVED] < units[U_EVENTS]:
        if requests[R_AT, units[U_ARRIVED]] > units[U_CLOCK]:
            return
        which = requests[R_WHICH, units[U_ARRIVED]]
        queue, tile = requests[R_QUEUE, which], requests[R_TILE, which]
        units[U_ARRIVED] += 1
        _arrive(
            bits, index, units, lanes, queues, tiles, last, queue, tile, requests[R_BITS, which]
        )


@part
def _arrive(bits: Ints, index: Index, units: Ints, lanes: Ints, queues: Ints, tiles: Ints,
            link: int, queue: int, tile: int, moved: int) -> None:  # fmt: skip
    """Add bits to a tile; a tile that is whole frees its engine."""
    if link == 0 and units[U_BUFFERS_APART] == 0:
        group = min(queue, LOADS - 1) if units[U_GROUPS] > 1 else 0
        units[(U_PORT_READ if queue == STORE else U_PORT_WRITTEN) + group] += moved
    tiles[T_ARRIVED, link, queue, tile] += moved
    if tiles[T_ARRIVED, link, queue, tile] < bits[link, queue, index[FIRST, link, queue, tile]]:
        return
    tiles[T_END, link, queue, tile] = units[U_CLOCK]
    lanes[link, L_INFLIGHT] -= 1
    done = queues[link, queue, Q_DONE]
    while done < queues[link, queue, Q_ISSUED] and tiles[T_END, link, queue, done] >= 0:
        done += 1
    queues[link, queue, Q_DONE] = done


@part
def _buffer_free(index: Index, units: Ints, lanes: Ints, queues: Ints, link: int, queue: int,
                 tile: int) -> bool:  # fmt: skip
    """Whether what lay in the tile's buffer before is no longer used."""
    before = tile - lanes[link, L_BUFFERS]
    if before < 0:
        return True
    last_use = index[FIRST, link, queue, before + 1] - 1
    if link == 0:
        return units[U_STEP] > last_use
    inner = index[AT, link - 1, queue, last_use]
    return inner < 0 or queues[link - 1, queue, Q_DONE] > inner


@part
def _source_there(bits: Ints, index: Index, queues: Ints, tiles: Ints, link: int, queue: int,
                  tile: int) -> bool:  # fmt: skip
    """Whether the next level out holds what a tile is made of."""
    if link + 1 == bits.shape[0]:
        return True
    step = index[FIRST, link, queue, tile]
    outer = index[AT, link + 1, queue, step]
    if outer < 0 or queues[link + 1, queue, Q_DONE] > outer:
        return True
    whole = bits[link + 1, queue, index[FIRST, link + 1, queue, outer]]
    taken = queues[link, queue, Q_TAKEN] if queues[link, queue, Q_TAKEN_OF] == outer else 0
    return tiles[T_ARRIVED, link + 1, queue, outer] >= min(whole, taken + bits[link, queue, step])


@part
def _store_ready(index: Index, units: Ints, queues: Ints, steps: Ints, link: int,
                 tile: int) -> bool:  # fmt: skip
    """Whether a finished tile may leave."""
    step = index[FIRST, link, STORE, tile]
    if link == 0:
        end = steps[S_VECTOR_END, step]
        return end >= 0 and end <= units[U_CLOCK]
    inner = index[AT, link - 1, STORE, step]
    return inner < 0 or queues[link - 1, STORE, Q_DONE] > inner


@part
def due(index: Index, lanes: Ints, link: int, queue: int, tile: int) -> int:
    """Step that a transfer must not hold up."""
    step = np.int64(index[FIRST, link, queue, tile])
    return step + (lanes[link, L_BUFFERS] if queue == STORE else 0)


@part
def issue(bits: Ints, index: Index, units: Ints, lanes: Ints, queues: Ints, tiles: Ints,
          steps: Ints, link: int) -> None:  # fmt: skip
    """Give free engines to the transfers that are needed first."""
    while lanes[link, L_INFLIGHT] < lanes[link, L_ENGINES]:
        best, best_due = -1, np.int64(0)
        for queue in range(QUEUES):
            tile = queues[link, queue, Q_ISSUED]
            if tile >= queues[link, queue, Q_COUNT]:
                continue
            if queue == STORE:
                ready = _store_ready(index, units, queues, steps, link, tile)
            else:
                ready = _buffer_free(
                    index, units, lanes, queues, link, queue, tile
                ) and _source_there(bits, index, queues, tiles, link, queue, tile)
            needed = due(index, lanes, link, queue, tile)
            if ready and (best < 0 or needed < best_due):
                best, best_due = queue, needed
        if best < 0:
            return
        tile = queues[link, best, Q_ISSUED]
        if best != STORE and link + 1 < bits.shape[0]:
            _take(bits, index, queues, link, best, tile)
        queues[link, best, Q_ISSUED] += 1
        tiles[T_START, link, best, tile] = units[U_CLOCK] + lanes[link, L_SETUP]
        lanes[link, L_INFLIGHT] += 1


@part
def _take(bits: Ints, index: Index, queues: Ints, link: int, queue: int, tile: int) -> None:
    step = index[FIRST, link, queue, tile]
    outer = index[AT, link + 1, queue, step]
    if queues[link, queue, Q_TAKEN_OF] != outer:
        queues[link, queue, Q_TAKEN_OF] = outer
        queues[link, queue, Q_TAKEN] = 0
    queues[link, queue, Q_TAKEN] += bits[link, queue, step]


@part
def _bank_credit(lanes: Ints, link: int, queue: int) -> int:
    """Where in ``flow`` the credit of a queue's banks is; stores share those of results."""
    shared = queue == STORE and lanes[link, L_APART] == 0
    return F_SIZE + F_LINK * link + F_BANK_CREDIT + (LOADS - 1 if shared else queue)


@part
def _choose(bits: Ints, index: Index, units: Ints, flow: Floats, lanes: Ints, queues: Ints,
            tiles: Ints, link: int, least: float) -> None:  # fmt: skip
    """Pick the next piece of a link: that of the tile needed first, then of the less moved one.

    Banks must have room for ``least`` bits in this clock. What fills in for a piece whose banks
    have none moves no more than that at once, so that it does not hold up that piece.
    """
    best, best_due, best_part = -1, np.int64(0), 0.0
    first_due, first_part = NEVER, 0.0
    for queue in range(QUEUES):
        tile = queues[link, queue, Q_SENT]
        if tile >= queues[link, queue, Q_ISSUED]:
            continue
        if tiles[T_START, link, queue, tile] > units[U_CLOCK]:
            continue
        needed = due(index, lanes, link, queue, tile)
        whole = bits[link, queue, index[FIRST, link, queue, tile]]
        part = float(queues[link, queue, Q_SENT_BITS]) / float(whole)
        if flow[_bank_credit(lanes, link, queue)] < least:
            if needed < first_due or (needed == first_due and part < first_part):
                first_due, first_part = needed, part
            continue
        if best < 0 or needed < best_due or (needed == best_due and part < best_part):
            best, best_due, best_part = queue, needed, part
    lanes[link, L_QUEUE], lanes[link, L_PIECE] = best, 0
    if best >= 0:
        tile = queues[link, best, Q_SENT]
        whole = bits[link, best, index[FIRST, link, best, tile]]
        left = whole - queues[link, best, Q_SENT_BITS]
        fills_in = first_due < best_due or (first_due == best_due and first_part <= best_part)
        most = np.int64(least) if fills_in else lanes[link, L_BURST]
        lanes[link, L_PIECE] = min(most, left)


@part
def _sent(bits: Ints, index: Index, units: Ints, lanes: Ints, queues: Ints, tiles: Ints,
          link: int, moved: int) -> int:  # fmt: skip
    """Count bits as sent; return the tile that they belong to."""
    queue = lanes[link, L_QUEUE]
    tile = queues[link, queue, Q_SENT]
    if queues[link, queue, Q_SENT_BITS] == 0:
        tiles[T_BEGIN, link, queue, tile] = units[U_CLOCK]
    queues[link, queue, Q_SENT_BITS] += moved
    lanes[link, L_PIECE] -= moved
    if queues[link, queue, Q_SENT_BITS] == bits[link, queue, index[FIRST, link, queue, tile]]:
        queues[link, queue, Q_SENT] += 1
        queues[link, queue, Q_SENT_BITS] = 0
        lanes[link, L_PIECE] = 0
    return tile


@part
def send(bits: Ints, index: Index, units: Ints, flow: Floats, lanes: Ints, queues: Ints,
         tiles: Ints, requests: Ints, link: int) -> None:  # fmt: skip
    """Send what a link can in a clock."""
    at = F_SIZE + F_LINK * link
    rate = flow[at + F_RATE]
    outermost = link + 1 == bits.shape[0]
    least = float(units[U_BLOCK]) if outermost else 1.0
    for queue in range(QUEUES):
        # What banks did not use is lost, but for what is too little to be used.
        left = min(flow[at + F_BANK_CREDIT + queue], least)
        flow[at + F_BANK_CREDIT + queue] = left + flow[at + F_BANK_RATE + queue]
    credit = flow[at + F_CREDIT] + rate
    while credit >= 1.0:
        queue = lanes[link, L_QUEUE]
        if lanes[link, L_PIECE] <= 0 or flow[_bank_credit(lanes, link, queue)] < least:
            _choose(bits, index, units, flow, lanes, queues, tiles, link, least)
            if lanes[link, L_QUEUE] < 0:
                # An idle link saves nothing up.
                credit = min(credit, rate)
                break
        queue = lanes[link, L_QUEUE]
        banks = _bank_credit(lanes, link, queue)
        if outermost:
            if units[U_SENT] - units[U_ARRIVED] >= units[U_WINDOW] or credit < units[U_BLOCK]:
                credit = min(credit, rate + units[U_BLOCK])
                break
            credit -= units[U_BLOCK]
            flow[banks] -= _request(bits, index, units, lanes, queues, tiles, requests, link)
            continue
        moved = min(np.int64(min(credit, flow[banks])), lanes[link, L_PIECE])
        credit -= moved
        flow[banks] -= moved
        tile = _sent(bits, index, units, lanes, queues, tiles, link, moved)
        _arrive(bits, index, units, lanes, queues, tiles, link, queue, tile, moved)
    if lanes[link, L_QUEUE] >= 0:
        lanes[link, L_BUSY] += 1
    flow[at + F_CREDIT] = credit


@part
def _request(bits: Ints, index: Index, units: Ints, lanes: Ints, queues: Ints, tiles: Ints,
             requests: Ints, link: int) -> int:  # fmt: skip
    """Send the next request of the outermost link's piece; return its bits."""
    queue = lanes[link, L_QUEUE]
    tile = queues[link, queue, Q_SENT]
    which = tiles[T_REQUEST, link, queue, tile]
    tiles[T_REQUEST, link, queue, tile] += 1
    requests[R_ORDER, units[U_SENT]] = which
    requests[R_SENT_AT, units[U_SENT]] = units[U_CLOCK]
    units[U_SENT] += 1
    _sent(bits, index, units, lanes, queues, tiles, link, requests[R_BITS, which])
    return requests[R_BITS, which]
