"""The DRAM traces that measurements name: patterns of requests, made anew from their definition.

A trace is uint64 words: the byte address of a request, and bit 63 for a write. ``size`` is the
bytes of a request. Pseudo-random numbers are SplitMix64's (Steele et al., OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

KIB, MIB = 1 << 10, 1 << 20
#: Addresses of the suite's traces lie below this.
SPAN = 1 << 30
_WRITE = np.uint64(63)


def splitmix64(seed: int, count: int) -> Words:
    """Return the first outputs of SplitMix64."""
    with np.errstate(over="ignore"):
        state = np.arange(1, count + 1, dtype=np.uint64)
        state = state * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        return state ^ (state >> np.uint64(31))


def _words(addresses: npt.NDArray[np.int64], writes: npt.NDArray[np.bool_] | bool = False) -> Words:
    marks = np.broadcast_to(np.asarray(writes, np.uint64), addresses.shape)
    return addresses.astype(np.uint64) | (marks << _WRITE)


def _share(random: Words, percent: int) -> npt.NDArray[np.bool_]:
    return np.asarray(random % np.uint64(100) < np.uint64(percent))


def sequential(count: int, size: int, writes: bool = False) -> Words:
    """One request after the other."""
    return _words(np.arange(count) * size, writes)


def sequential_mix(count: int, size: int, seed: int, percent: int) -> Words:
    """One request after the other; each is a write with a chance in percent."""
    return _words(np.arange(count) * size, _share(splitmix64(seed, count), percent))


def strided(count: int, size: int, step: int) -> Words:
    """Every ``step`` bytes; a round through the span begins one request further on."""
    at = np.arange(count) * step
    return _words(at % SPAN + at // SPAN * size)


def random(count: int, size: int, seed: int, percent: int = 0, span: int = SPAN) -> Words:
    """Anywhere; each request is a write with a chance in percent."""
    numbers = splitmix64(seed, 2 * count)
    places = (numbers[:count] % np.uint64(span // size)).astype(np.int64)
    return _words(places * size, _share(numbers[count:], percent))


def streams(count: int, size: int, number: int, gap: int, writes: int = 0) -> Words:
    """Sequential streams in turn, ``gap`` bytes apart; the last ``writes`` of them write."""
    stream, step = np.arange(count) % number, np.arange(count) // number
    return _words(stream * gap + step * size, stream >= number - writes)


def tiles(count: int, size: int, segment: int, pitch: int, rows: int, across: int) -> Words:
    """Tiles of a matrix: ``rows`` segments, ``pitch`` bytes apart; ``across`` tiles in a row."""
    per = segment // size
    request = np.arange(count)
    column, row, tile = request % per, request // per % rows, request // (per * rows)
    at = tile // across * rows * pitch + tile % across * segment
    return _words(at + row * pitch + column * size)


def chunks(count: int, size: int, chunk: int, seed: int, percent: int = 0) -> Words:
    """Aligned chunks anywhere, each read or, with a chance in percent, written from end to end."""
    per = chunk // size
    number = -(-count // per)
    numbers = splitmix64(seed, 2 * number)
    base = (numbers[:number] % np.uint64(SPAN // chunk)).astype(np.int64) * chunk
    at = (base[:, np.newaxis] + np.arange(per) * size).reshape(-1)
    return _words(at, np.repeat(_share(numbers[number:], percent), per))[:count]


@dataclass(frozen=True, slots=True)
class Trace:
    """A pattern by name, from the number and the size of its requests."""

    make: Callable[[int, int], Words]
    interval: int = 0
    chase: bool = False
    colliding: bool = False


def _trace(pattern: Callable[..., Words], *arguments: int) -> Trace:
    return Trace(lambda count, size: pattern(count, size, *arguments))


def _paced(interval: int, pattern: Callable[..., Words], *arguments: int) -> Trace:
    return Trace(lambda count, size: pattern(count, size, *arguments), interval)


def _chase(pattern: Callable[..., Words], *arguments: int) -> Trace:
    return Trace(lambda count, size: pattern(count, size, *arguments), chase=True)


def _streams(*arguments: int) -> Trace:
    return Trace(lambda count, size: streams(count, size, *arguments), colliding=True)


#: The suite of the reference measurements.
SUITE: Mapping[str, Trace] = {
    "seq_read": _trace(sequential),
    "seq_write": Trace(lambda count, size: sequential(count, size, writes=True)),
    "seq_mix_w33": _trace(sequential_mix, 11, 33),
    "seq_mix_w50": _trace(sequential_mix, 12, 50),
    "seq_read_iv8": _paced(8, sequential),
    "seq_read_iv12": _paced(12, sequential),
    "stride_2x": Trace(lambda count, size: strided(count, size, 2 * size)),
    "stride_1KiB": _trace(strided, KIB),
    "stride_4KiB": _trace(strided, 4 * KIB),
    "stride_8KiB": _trace(strided, 8 * KIB),
    "stride_64KiB": _trace(strided, 64 * KIB),
    "stride_256KiB": _trace(strided, 256 * KIB),
    "stride_1MiB": _trace(strided, MIB),
    "rand_read": _trace(random, 1),
    "rand_read_b": _trace(random, 2, 0, SPAN // 16),
    "rand_mix_w33": _trace(random, 3, 33),
    "rand_mix_w50": _trace(random, 4, 50),
    "rand_write": _trace(random, 5, 100),
    "rand_read_iv100": _paced(100, random, 6),
    "rand_read_iv40": _paced(40, random, 7),
    "rand_read_iv20": _paced(20, random, 8),
    "rand_read_iv12": _paced(12, random, 9),
    "chase_rand": _chase(random, 10),
    "chase_seq": _chase(sequential),
    "streams2": _streams(2, 64 * MIB),
    "streams3_triad": _streams(3, 64 * MIB, 1),
    "streams4_w1_off": _streams(4, 64 * MIB + 24 * KIB, 1),
    "streams8": _streams(8, 16 * MIB),
    "streams16_off": _streams(16, 16 * MIB + 8 * KIB),
    "tile_256B_p8K": _trace(tiles, 256, 8 * KIB, 128, 32),
    "tile_512B_p24K": _trace(tiles, 512, 24 * KIB, 64, 48),
    "tile_2K_p28K": _trace(tiles, 2 * KIB, 28 * KIB, 64, 14),
    "chunk_512B": _trace(chunks, 512, 21),
    "chunk_4KiB": _trace(chunks, 4 * KIB, 22),
    "chunk_2KiB_w25": _trace(chunks, 2 * KIB, 23, 25),
    "chunk_16KiB_w25": _trace(chunks, 16 * KIB, 24, 25),
}
