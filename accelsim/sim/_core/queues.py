"""Links between memory levels: which tile each queue moves next, when it can, and moving it."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Index, Ints, kernel, part

LOADS = 3  # operands A, W and C (partial sums and epilogue inputs)
STORE = 3
QUEUES = 4
UNKNOWN = -1  # a time that depends on something not simulated yet
NEVER = np.int64(2**62)

# Arrays that every function takes, all int64 unless said otherwise. Plain arrays, not tuples of
# them: passing a tuple costs a reference count per array and call, 20 times the work itself.
#
# bits   [links, 4, steps]       bits of the tile that a step loads or stores, 0: none
# index  [2, links, 4, steps+1]  int32; FIRST: step of tile number i; AT: newest tile at or before
#                                a step, -1 when there is none yet
# spans  [2, links, 4, steps]    START and END of every tile's transfer, in ps
# steps  [4, steps]              start and end of array and vector unit, in ps
# queue  [links, 4, Q_SIZE]      what a queue is doing
# lane   [links, LANE_RING + engines]  what a link is doing, and when its newest transfers ended
# rate   [2, links, 4]           float64; picoseconds per bit of the LINK and of the queue's BANKS
FIRST, AT = 0, 1
START, END = 0, 1
ARRAY_START, ARRAY_END, VECTOR_START, VECTOR_END = 0, 1, 2, 3
LINK, BANKS = 0, 1
(
    Q_COUNT,  # tiles in all
    Q_MOVED,  # tiles finished
    Q_DONE,  # bits of the tile in progress that have been moved
    Q_LAST,  # end of its newest piece
    Q_READY,  # when its transfer may be issued, UNKNOWN until that can be told
    Q_TAKEN,  # bits of an outer tile that have been passed on
    Q_TAKEN_OF,  # which outer tile
    Q_CAUSE,  # 1 when the newest tile waited for its own link, 0 for a link further out
    Q_SIZE,
) = range(8 + 1)  # fmt: skip
(
    LANE_FREE,  # when the link has sent its newest piece
    LANE_ISSUED,  # transfers so far
    LANE_BUSY,  # picoseconds in which it moved bits
    LANE_SETUP, LANE_BUFFERS, LANE_BURST,  # constants of the link
    LANE_STORE_SETUP,  # latency of a store, which need not wait for what it changes
    LANE_COLD,  # what the first transfer takes longer
    LANE_ABSORBED, LANE_DEBT,  # what the memory's write buffer holds, and what is in it
    LANE_REFRESH, LANE_REFRESH_EVERY,  # how long, and how often, nothing moves; 0: never
    LANE_COMPUTED,  # of link 0: steps that array and vector unit have finished
    LANE_APART,  # 1: banks of results have a port each for what comes and for what leaves
    LANE_BANKS,  # when the banks of each queue are free
    LANE_RING,
) = (*range(15), 14 + QUEUES)  # fmt: skip


@kernel
def number_tiles(bits: Ints, queue: Ints) -> Index:
    """Number the tiles of every queue."""
    links, queues, steps = bits.shape
    index = np.zeros((2, links, queues, steps + 1), np.int32)
    for link in range(links):
        for which in range(queues):
            found = 0
            for step in range(steps):
                if bits[link, which, step] > 0:
                    index[FIRST, link, which, found] = step
                    found += 1
                index[AT, link, which, step] = found - 1
            index[FIRST, link, which, found] = steps
            queue[link, which, Q_COUNT] = found
            queue[link, which, Q_READY] = UNKNOWN
            queue[link, which, Q_TAKEN_OF] = -1
    return index


@part
def _buffer_free(
    index: Index, spans: Ints, steps: Ints, queue: Ints, lane: Ints, link: int, which: int
) -> int:
    """When a buffer is free for a tile: its predecessor by ``buffers`` is no longer used."""
    before = queue[link, which, Q_MOVED] - lane[link, LANE_BUFFERS]
    if before < 0:
        return np.int64(0)
    last_use = index[FIRST, link, which, before + 1] - 1
    if link == 0:
        done = last_use < lane[0, LANE_COMPUTED]
        return steps[ARRAY_END, last_use] if done else np.int64(UNKNOWN)
    inner = index[AT, link - 1, which, last_use]
    if inner < 0:
        return np.int64(0)
    known = inner < queue[link - 1, which, Q_MOVED]
    return spans[END, link - 1, which, inner] if known else np.int64(UNKNOWN)


@part
def _arrived_outside(
    bits: Ints, index: Index, spans: Ints, queue: Ints, rate: Floats, link: int, which: int
) -> int:
    """When the next level out holds what a tile is made of; pieces count as they arrive."""
    if link + 1 == bits.shape[0]:
        return np.int64(0)
    step = index[FIRST, link, which, queue[link, which, Q_MOVED]]
    outer = index[AT, link + 1, which, step]
    if outer < 0:
        return np.int64(0)
    whole = bits[link + 1, which, index[FIRST, link + 1, which, outer]]
    taken = queue[link, which, Q_TAKEN] if queue[link, which, Q_TAKEN_OF] == outer else 0
    need = min(whole, taken + bits[link, which, step])
    moved = queue[link + 1, which, Q_MOVED]
    if outer < moved:
        start, end = spans[START, link + 1, which, outer], spans[END, link + 1, which, outer]
        return start + np.int64(float(end - start) * (float(need) / float(whole)))
    past = queue[link + 1, which, Q_DONE] - need
    if outer == moved and past >= 0:
        # What is needed came before the end of the newest piece.
        each = max(rate[LINK, link + 1, which], rate[BANKS, link + 1, which])
        came = queue[link + 1, which, Q_LAST] - np.int64(float(past) * each)
        return max(came, spans[START, link + 1, which, outer])
    return np.int64(UNKNOWN)


@part
def _store_ready(index: Index, spans: Ints, steps: Ints, queue: Ints, lane: Ints, link: int) -> int:
    """When a finished tile can leave: after the vector unit, or after all its parts have come."""
    step = index[FIRST, link, STORE, queue[link, STORE, Q_MOVED]]
    if link == 0:
        done = step < lane[0, LANE_COMPUTED]
        return steps[VECTOR_END, step] if done else np.int64(UNKNOWN)
    inner = index[AT, link - 1, STORE, step]
    if inner < 0:
        return np.int64(0)
    known = inner < queue[link - 1, STORE, Q_MOVED]
    return spans[END, link - 1, STORE, inner] if known else np.int64(UNKNOWN)


@part
def _ready(
    bits: Ints,
    index: Index,
    spans: Ints,
    steps: Ints,
    queue: Ints,
    lane: Ints,
    rate: Floats,
    link: int,
    which: int,
) -> int:
    """When the next tile's transfer may be issued; remembered once it is known."""
    if which == STORE:
        ready = _store_ready(index, spans, steps, queue, lane, link)
    else:
        ready = _buffer_free(index, spans, steps, queue, lane, link, which)
        if ready != UNKNOWN:
            outside = _arrived_outside(bits, index, spans, queue, rate, link, which)
            waits = outside == UNKNOWN or outside > ready
            queue[link, which, Q_CAUSE] = 0 if waits or link + 1 == bits.shape[0] else 1
            ready = outside if waits else ready
    queue[link, which, Q_READY] = ready
    return ready


@part
def _banks(lane: Ints, link: int, which: int) -> int:
    """Column of the banks that a queue uses: stores share those of results, but for two ports."""
    return LANE_BANKS + (LOADS - 1 if which == STORE and lane[link, LANE_APART] == 0 else which)


@part
def _start_of(
    bits: Ints,
    index: Index,
    spans: Ints,
    steps: Ints,
    queue: Ints,
    lane: Ints,
    rate: Floats,
    link: int,
    which: int,
) -> int:
    """When the queue's next piece can start, or UNKNOWN."""
    if queue[link, which, Q_MOVED] >= queue[link, which, Q_COUNT]:
        return np.int64(UNKNOWN)
    free = max(lane[link, LANE_FREE], lane[link, _banks(lane, link, which)])
    if queue[link, which, Q_DONE] > 0:
        return max(free, queue[link, which, Q_LAST])
    ready = queue[link, which, Q_READY]
    if ready == UNKNOWN:
        ready = _ready(bits, index, spans, steps, queue, lane, rate, link, which)
    if ready == UNKNOWN:
        return ready
    engines = lane.shape[1] - LANE_RING
    engine = lane[link, LANE_RING + lane[link, LANE_ISSUED] % engines]
    setup = lane[link, LANE_STORE_SETUP] if which == STORE else lane[link, LANE_SETUP]
    return max(free, max(ready, engine) + setup)


@part
def earliest(
    bits: Ints, index: Index, spans: Ints, steps: Ints, queue: Ints, lane: Ints, rate: Floats
) -> tuple[int, int, int]:
    """Return link, queue and start of the piece that comes next, outer links first in a tie.

    Among pieces of one link that can start at the same time, the one needed first wins, then the
    one of which less has been moved. A link of -1 means that nothing can move.
    """
    best_link, best_queue = -1, -1
    best_start, best_due, best_done = NEVER, NEVER, 2.0
    for back in range(bits.shape[0]):
        link = bits.shape[0] - 1 - back
        for which in range(QUEUES):
            start = _start_of(bits, index, spans, steps, queue, lane, rate, link, which)
            if start == UNKNOWN or start > best_start:
                continue
            step = np.int64(index[FIRST, link, which, queue[link, which, Q_MOVED]])
            due = step + (lane[link, LANE_BUFFERS] if which == STORE else 0)
            done = float(queue[link, which, Q_DONE]) / float(bits[link, which, step])
            sooner = due < best_due or (due == best_due and done < best_done)
            if start < best_start or (link == best_link and sooner):
                best_link, best_queue, best_start = link, which, start
                best_due, best_done = due, done
    return best_link, best_queue, best_start


@part
def _refreshes(lane: Ints, start: int, duration: int) -> int:
    """Time in which refreshes hold up what would take ``duration``: the one at hand and later."""
    every, long = lane[LANE_REFRESH_EVERY], lane[LANE_REFRESH]
    held = np.int64(0)
    if long == 0:
        return held
    if start >= every:
        held = max(held, long - start % every)
    count = (start + held + duration) // every - (start + held) // every
    return held + count * long


@part
def serve(
    link: int,
    which: int,
    start: int,
    bits: Ints,
    index: Index,
    spans: Ints,
    queue: Ints,
    lane: Ints,
    rate: Floats,
) -> None:
    """Move one piece, from ``start`` on."""
    tile = queue[link, which, Q_MOVED]
    whole = bits[link, which, index[FIRST, link, which, tile]]
    if queue[link, which, Q_DONE] == 0:
        spans[START, link, which, tile] = start
    piece = min(lane[link, LANE_BURST], whole - queue[link, which, Q_DONE])
    duration = np.int64(np.ceil(float(piece) * rate[LINK, link, which]))
    banks = np.int64(np.ceil(float(piece) * rate[BANKS, link, which]))
    if lane[link, LANE_BUSY] == 0:
        duration += lane[link, LANE_COLD]
    idle = max(0, start - lane[link, LANE_FREE])
    lane[link, LANE_DEBT] = max(0, lane[link, LANE_DEBT] - idle)
    if which == STORE and lane[link, LANE_ABSORBED] > 0:
        duration, drained = _taken(lane[link], start, duration)
        lane[link, LANE_BUSY] += drained
    else:
        duration += _refreshes(lane[link], start, duration)
        lane[link, LANE_BUSY] += duration
    queue[link, which, Q_DONE] += piece
    queue[link, which, Q_LAST] = start + max(duration, banks)
    lane[link, LANE_FREE] = start + duration
    lane[link, _banks(lane, link, which)] = start + banks
    if queue[link, which, Q_DONE] == whole:
        _finish(link, which, whole, bits, index, spans, queue, lane)


@part
def _taken(lane: Ints, start: int, least: int) -> tuple[int, int]:
    """Return for how long a store keeps the link, and for how long it drains.

    An empty buffer takes writes twice as fast as they drain, in ``least`` without a refresh; one
    that comes when all are taken holds up none. What is in the buffer when the link is idle drains
    meanwhile; reads go before it.
    """
    room = lane[LANE_ABSORBED] - lane[LANE_DEBT]
    drained = least + _refreshes(lane, start, max(least // 2, least - room))
    taken = max(least // 2, drained - room)
    lane[LANE_DEBT] = min(lane[LANE_ABSORBED], lane[LANE_DEBT] + drained - taken)
    return taken, drained


@part
def _finish(
    link: int,
    which: int,
    whole: int,
    bits: Ints,
    index: Index,
    spans: Ints,
    queue: Ints,
    lane: Ints,
) -> None:
    tile = queue[link, which, Q_MOVED]
    end = queue[link, which, Q_LAST]
    spans[END, link, which, tile] = end
    lane[link, LANE_RING + lane[link, LANE_ISSUED] % (lane.shape[1] - LANE_RING)] = end
    lane[link, LANE_ISSUED] += 1
    if which != STORE and link + 1 < bits.shape[0]:
        outer = index[AT, link + 1, which, index[FIRST, link, which, tile]]
        if queue[link, which, Q_TAKEN_OF] != outer:
            queue[link, which, Q_TAKEN_OF] = outer
            queue[link, which, Q_TAKEN] = 0
        queue[link, which, Q_TAKEN] += whole
    queue[link, which, Q_DONE] = 0
    queue[link, which, Q_READY] = UNKNOWN
    queue[link, which, Q_MOVED] += 1
