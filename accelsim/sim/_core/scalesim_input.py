"""The read buffers of SCALE-Sim 3.0.0, oddities included.

Facts after its Python sources, MIT license. In mode CALC (read_buffer_estimate_bw) a buffer has 100
sets; an address that is in none of the newest sets is fetched and put into the newest one, and when
50 sets are full they are all forgotten. Fetches never stall the array.

In mode USER (read_buffer) the order of fetches is fixed beforehand and cut into sets, of which
half a buffer is held at a time. A miss moves on by half a buffer until the address is held; how
late that is counts twice where it is late, and once where it is early.
"""

from __future__ import annotations

from accelsim.jit import Index, Ints, part
from accelsim.mapping._core.array import ceil_div
from accelsim.sim._core.scalesim_output import NONE

# A read buffer: int64 vector.
(
    B_PER_SET, B_IN_SET, B_SET, B_FIRST_SET,
    B_FETCHED,  # whether the first window has been fetched
    B_REQUEST,  # cycle of the first request, B_NONE before it
    B_FETCH_START, B_FETCH_END, B_READS,
    B_SRAM_START, B_SRAM_STOP, B_DRAM_START, B_DRAM_STOP,
    # In mode USER: sets that are held, first and last one; how many there are, are held, and come
    # with a fetch; words per cycle, cycles of a fetch, and when the newest one ended.
    B_HELD, B_HELD_END, B_SETS, B_HOLDS, B_STEP, B_WORDS, B_FETCH, B_FETCHED_AT,
    B_SIZE,
) = range(21 + 1)  # fmt: skip
_WINDOW = 50  # sets
_WORDS_PER_CYCLE = 10  # of the first fetch
_LATENCY = 1  # of a hit, and of DRAM


@part
def _first_fetch(buffer: Ints, sets: int, end: int) -> None:
    """Fetch the first sets so that they are there when the first request comes."""
    needed = ceil_div(sets * buffer[B_PER_SET], _WORDS_PER_CYCLE)
    buffer[B_FETCH_END], buffer[B_FETCH_START] = end, end - needed + 1
    buffer[B_DRAM_START] = buffer[B_FETCH_START] + _LATENCY
    buffer[B_DRAM_STOP] = end + _LATENCY


@part
def request_calc(buffer: Ints, member: Index, address: int, cycle: int) -> None:
    """Ask a read buffer for an address."""
    if buffer[B_REQUEST] == NONE:
        buffer[B_REQUEST] = cycle
    if member[address] >= buffer[B_FIRST_SET]:
        return
    member[address] = buffer[B_SET]
    buffer[B_READS] += 1
    buffer[B_IN_SET] += 1
    if buffer[B_IN_SET] < buffer[B_PER_SET]:
        return
    buffer[B_IN_SET] = 0
    buffer[B_SET] += 1
    if buffer[B_SET] < buffer[B_FIRST_SET] + _WINDOW:
        return
    if buffer[B_FETCHED] == 0:
        _first_fetch(buffer, _WINDOW, buffer[B_REQUEST] - 1 - _LATENCY)
        buffer[B_FETCHED] = 1
    buffer[B_DRAM_STOP] = buffer[B_FETCH_END] + _LATENCY
    buffer[B_FIRST_SET] += _WINDOW
    buffer[B_FETCH_START], buffer[B_FETCH_END] = buffer[B_FETCH_END] + 1, cycle


@part
def finish_calc(buffer: Ints) -> None:
    if buffer[B_FETCHED] == 0:
        sets = buffer[B_SET] + (1 if buffer[B_IN_SET] > 0 else 0)
        _first_fetch(buffer, sets, -1 - _LATENCY)
    buffer[B_DRAM_STOP] = buffer[B_FETCH_END] + _LATENCY


@part
def start_user(buffer: Ints) -> None:
    """Fetch the first half before the array starts."""
    cycles = buffer[B_FETCH_START]  # set by the caller
    buffer[B_HELD], buffer[B_HELD_END] = 0, buffer[B_HOLDS]
    buffer[B_DRAM_START], buffer[B_FETCHED_AT] = -cycles, -_LATENCY
    buffer[B_DRAM_STOP] = -_LATENCY
    buffer[B_READS] = cycles * buffer[B_WORDS]


@part
def _held(buffer: Ints, first: Ints, sets: Index, address: int) -> bool:
    """Whether one of the sets that an address is in is held; they are held in a circle."""
    low, high = first[address], first[address + 1]
    begin, end = buffer[B_HELD], buffer[B_HELD_END]
    if begin >= end:
        return high > low and (sets[high - 1] >= begin or sets[low] < end)
    last = high
    while low < high:
        middle = (low + high) // 2
        if sets[middle] < begin:
            low = middle + 1
        else:
            high = middle
    return low < last and sets[low] < end


@part
def serve_user(buffer: Ints, first: Ints, sets: Index, wanted: Ints, count: int, cycle: int) -> int:
    """Serve the requests of a cycle; return for how long the array waits, below 0: it is early."""
    late = 0
    for index in range(count):
        while not _held(buffer, first, sets, wanted[index]):
            buffer[B_HELD] = (buffer[B_HELD] + buffer[B_STEP]) % buffer[B_SETS]
            buffer[B_HELD_END] = (buffer[B_HELD] + buffer[B_HOLDS]) % buffer[B_SETS]
            buffer[B_FETCHED_AT] += buffer[B_FETCH] + _LATENCY
            buffer[B_DRAM_STOP] = buffer[B_FETCHED_AT]
            buffer[B_READS] += buffer[B_FETCH] * buffer[B_WORDS]
            behind = buffer[B_FETCHED_AT] - (cycle + _LATENCY + late)
            late += 2 * behind if behind > 0 else behind
    return late


@part
def seen(buffer: Ints, count: int, cycle: int) -> None:
    """Note when the array reads."""
    if count == 0:
        return
    if buffer[B_SRAM_START] == NONE:
        buffer[B_SRAM_START] = cycle + _LATENCY
    buffer[B_SRAM_STOP] = cycle + _LATENCY
