"""The requests that move a plan's tiles, and what of them the memory has answered."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Index, Ints, kernel
from accelsim.mapping._core.array import ceil_div
from accelsim.mapping._core.places import piece
from accelsim.sim._core.cycle_state import R_BITS, R_QUEUE, R_TILE, R_WORD
from accelsim.sim._core.queues import QUEUES, STORE

_WRITE = np.int64(-(2**63))


@kernel
def count_requests(bits: Ints, index: Index, places: Ints, request: int, first: Ints) -> int:
    """Number the requests of all tiles of the outermost link.

    Args:
        bits: int64 ``[4, steps]``.
        index: int32 ``[4, steps + 1]``, step of every tile.
        places: int64 ``[steps, 4, PLACE_SIZE]``.
        request: bytes of one.
        first: int64 ``[4, steps]``, receives the number of each tile's first request.

    Returns:
        How many there are.
    """
    found = np.int64(0)
    for queue in range(QUEUES):
        for tile in range(bits.shape[1]):
            step = index[queue, tile]
            if step >= bits.shape[1]:
                break
            first[queue, tile] = found
            at, whole = np.int64(0), ceil_div(bits[queue, step], 8)
            while at < whole:
                at += piece(places[step, queue], at, whole, request)[1]
                found += 1
    return found


@kernel
def fill_requests(bits: Ints, index: Index, places: Ints, request: int, requests: Ints) -> None:
    """Write address, direction, bits, queue and tile of every request, in the same order."""
    found = np.int64(0)
    for queue in range(QUEUES):
        for tile in range(bits.shape[1]):
            step = index[queue, tile]
            if step >= bits.shape[1]:
                break
            at, whole = np.int64(0), ceil_div(bits[queue, step], 8)
            left = bits[queue, step]
            while at < whole:
                block, used = piece(places[step, queue], at, whole, request)
                at += used
                moved = min(left, 8 * used) if at < whole else left
                left -= moved
                requests[R_WORD, found] = block | (_WRITE if queue == STORE else 0)
                requests[R_BITS, found] = moved
                requests[R_QUEUE, found] = queue
                requests[R_TILE, found] = tile
                found += 1


@kernel
def interleaved(
    bits: Ints,
    places: Ints,
    request: int,
    burst: int,
    words: Ints,
    used: Ints,
    queues: Ints,
) -> int:
    """Write the first requests of a plan in the order of its steps, in turns of a burst.

    Args:
        bits: int64 ``[4, steps]`` of the outermost link.
        places: int64 ``[steps, 4, PLACE_SIZE]``, for as many steps as are looked at.
        request: bytes of one.
        burst: bytes that a stream moves before another one has its turn.
        words: int64, receives addresses; the top bit is set for a write.
        used: int64, receives the bytes of each that are of use.
        queues: int64, receives the queue of each.

    Returns:
        How many were written.
    """
    found = np.int64(0)
    at = np.zeros(QUEUES, np.int64)
    for step in range(places.shape[0]):
        at[:] = 0
        busy = True
        while busy:
            busy = False
            for queue in range(QUEUES):
                whole = ceil_div(bits[queue, step], 8)
                stop = min(whole, at[queue] + burst)
                while at[queue] < stop:
                    if found == words.size:
                        return found
                    block, part = piece(places[step, queue], at[queue], whole, request)
                    at[queue] += part
                    words[found] = block | (_WRITE if queue == STORE else 0)
                    used[found] = part
                    queues[found] = queue
                    found += 1
                busy = busy or at[queue] < whole
    return found
