"""Traffic and size of every tile at every boundary of a hierarchy.

A boundary lies between a level and what is below it, for one operand. What crosses it depends on
the tile below alone: all iterations of the loops outside that do not index the operand repeat the
operand as a whole. So one table per boundary covers all mappings.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, part

N_DIMS = 8
OY, FY, OX, FX = 2, 3, 4, 5

# Columns of ``dims``: iterations, steps in time, units it is spread over, number of tile sizes.
SIZE, STEPS, UNITS, COUNT = 0, 1, 2, 3
# Columns of ``bounds``. Charged: bits that an access is rounded up to, for the main direction
# (inward for inputs, outward for outputs) and for partial sums on their way back.
OPERAND, BITS, FINAL_BITS, UP_CHARGED, BACK_UP_CHARGED, LOW_CHARGED, BACK_LOW_CHARGED, AT_MAC = (
    0, 1, 2, 3, 4, 5, 6, 7,
)  # fmt: skip
# Tables: charged bits above the boundary, of partial sums that come back, the same below it, then
# bits of the tile in one unit below, and the same when it has to be there twice.
UP, BACK_UP, LOW, BACK_LOW, HELD, HELD_TWICE = 0, 1, 2, 3, 4, 5
N_TABLES = 6

INPUT, OUTPUT = 0, 2


@part
def ceil_div(a: int, b: int) -> int:
    """Return ``a / b`` rounded up, of whole numbers above zero."""
    return (a + b - 1) // b


@part
def copies(size: int, steps: int, units: int, lanes: int, tile: int) -> int:
    """How often a loop that does not index an operand makes it cross a boundary.

    Args:
        size: iterations of the loop.
        steps: of them in time, after it was spread over ``units``.
        units: units it is spread over.
        lanes: of them, those on this side of the boundary that each take a copy.
        tile: steps inside the boundary.
    """
    visits = ceil_div(steps, tile)
    if lanes == 1:
        return visits
    last = steps - (visits - 1) * tile
    rest = size - (steps - 1) * units
    active = ceil_div(rest, units // lanes) if last == 1 else lanes
    return (visits - 1) * lanes + active


@part
def window(stride: int, outputs: int, taps: int, limit: int) -> int:
    """Rows of input under a tile of outputs and taps."""
    touched = stride * (outputs - 1) + taps if taps >= stride else outputs * taps
    return min(touched, limit)


@part
def sweep(stride: int, outputs: int, out_tiles: int, taps: int) -> int:
    """Rows under all tiles of outputs with the same taps."""
    if taps >= stride:
        return stride * (outputs - out_tiles) + out_tiles * taps
    return outputs * taps


@part
def sliding(conv: Ints, outputs: int, taps: int, out_tile: int, tap_tile: int) -> float:
    """Rows of input that cross a boundary in all, tile by tile; overlaps are fetched again.

    Args:
        conv: stride and stored rows.
        outputs: rows of output.
        taps: rows of the filter.
        out_tile: rows of output in a tile.
        tap_tile: rows of the filter in a tile.
    """
    stride, limit = conv[0], conv[1]
    out_tiles = ceil_div(outputs, out_tile)
    tap_tiles = ceil_div(taps, tap_tile)
    last = taps - (tap_tiles - 1) * tap_tile
    total = (tap_tiles - 1) * sweep(stride, outputs, out_tiles, tap_tile)
    total += sweep(stride, outputs, out_tiles, last)
    most = out_tiles * tap_tiles * window(stride, out_tile, tap_tile, limit)
    return float(min(total, most))


@part
def rounded(tile: float, bits: int, charged: int) -> float:
    """Bits that are charged per bit of a tile, where accesses are rounded up."""
    whole = tile * bits
    return float(np.ceil(whole / charged - 1e-9) * charged / whole)


@part
def plain_factors(dims: Ints, d: int, value: int, relevant: bool, lanes: Ints, out: Floats) -> None:
    """Factors of one loop: crossings above and below, elements of a tile above and below."""
    size, steps, units = dims[d, SIZE], dims[d, STEPS], dims[d, UNITS]
    if relevant:
        out[0] = size
        out[1] = size
        out[2] = min(value * (units // lanes[0, d]), size)
        out[3] = min(value * (units // lanes[1, d]), size)
    else:
        out[0] = copies(size, steps, units, lanes[0, d], value)
        out[1] = copies(size, steps, units, lanes[1, d], value)
        out[2] = 1.0
        out[3] = 1.0


@part
def pair_factors(dims: Ints, o: int, values: Ints, conv: Ints, lanes: Ints, out: Floats) -> None:
    """Factors of rows or columns of an input: of the loops ``o`` and ``o + 1`` together."""
    outputs, taps = dims[o, SIZE], dims[o + 1, SIZE]
    for side in range(2):
        out_tile = min(values[0] * (dims[o, UNITS] // lanes[side, o]), outputs)
        tap_tile = min(values[1] * (dims[o + 1, UNITS] // lanes[side, o + 1]), taps)
        out[side] = sliding(conv, outputs, taps, out_tile, tap_tile)
        out[2 + side] = window(conv[0], out_tile, tap_tile, conv[1])


@part
def grow(parts: Floats, filled: int, factors: Floats, count: int) -> int:
    """Multiply what is there by the factors of one more loop, which becomes the fastest one."""
    for column in range(4):
        for point in range(filled - 1, -1, -1):
            so_far = parts[column, point]
            for v in range(count):
                parts[column, point * count + v] = so_far * factors[v, column]
    return filled * count


@kernel
def fill(
    dims: Ints,
    values: Ints,
    relevant: Ints,
    conv: Ints,
    bounds: Ints,
    lanes: Ints,
    out: Floats,
) -> None:
    """Fill the tables of all boundaries.

    Args:
        dims: int64[8, 4]; see ``SIZE``.
        values: int64[8, V]; tile sizes of every loop in steps, ascending; the last is all of it.
        relevant: int64[3, 8]; 1 where a loop indexes an operand, 2 where it slides a window.
        conv: int64[2, 2]; stride and stored extent of rows and columns.
        bounds: int64[n, 8]; see ``OPERAND``.
        lanes: int64[n, 2, 8]; copies of the units above and below along every loop.
        out: float64[6, n, P], zeros at first; see ``UP``; P is the product of the counts.
    """
    points = out.shape[2]
    parts = np.empty((4, points))
    width = values.shape[1]
    factors = np.empty((width * width, 4))
    pair = np.empty(2, np.int64)
    for b in range(bounds.shape[0]):
        operand = bounds[b, OPERAND]
        parts[:, 0] = 1.0
        filled = 1
        d = 0
        while d < N_DIMS:
            count = dims[d, COUNT]
            if relevant[operand, d] == 2:
                taps = dims[d + 1, COUNT]
                for v in range(count):
                    for w in range(taps):
                        pair[0], pair[1] = values[d, v], values[d + 1, w]
                        pair_factors(
                            dims, d, pair, conv[(d - OY) // 2], lanes[b], factors[v * taps + w]
                        )
                filled = grow(parts, filled, factors, count * taps)
                d += 2
                continue
            for v in range(count):
                plain_factors(
                    dims, d, values[d, v], relevant[operand, d] == 1, lanes[b], factors[v]
                )
            filled = grow(parts, filled, factors, count)
            d += 1
        finish(parts, bounds[b], out, b)


@part
def charge(parts: Floats, side: int, less: float, bits: int, charged: int, out: Floats) -> None:
    """Write the charged bits of what crosses on one side of a boundary.

    Args:
        parts: float64[4, P]; elements that cross above and below, elements of a tile above and
            below.
        side: 0 above, 1 below.
        less: elements that are left out.
        bits: of an element.
        charged: bits that an access is rounded up to.
        out: float64[P]; the result.
    """
    elements, tiles = parts[side], parts[2 + side]
    if bits % charged == 0:
        # Elements fill accesses evenly: no division.
        for p in range(out.size):
            out[p] = (elements[p] - less) * bits
        return
    for p in range(out.size):
        out[p] = (elements[p] - less) * bits * rounded(tiles[p], bits, charged)


@part
def finish(parts: Floats, bound: Ints, out: Floats, b: int) -> None:
    """Turn elements into charged bits, and outputs into their two directions."""
    bits = bound[BITS]
    charge(parts, 0, 0.0, bits, bound[UP_CHARGED], out[UP, b])
    charge(parts, 1, 0.0, bits, bound[LOW_CHARGED], out[LOW, b])
    if bound[OPERAND] == OUTPUT:
        outputs(parts, bound, out, b)
    tiles, elements, first = parts[3], parts[0], parts[0, parts.shape[1] - 1]
    once, twice = out[HELD, b], out[HELD_TWICE, b]
    if bound[AT_MAC] == 1:
        for p in range(once.size):
            once[p] = 0.0 if tiles[p] <= 1.0 else np.inf
    else:
        for p in range(once.size):
            once[p] = tiles[p] * bits
    for p in range(once.size):
        # A register of one element is replaced at the clock edge and needs no second place.
        stays = elements[p] <= first or tiles[p] <= 1.0
        twice[p] = once[p] if stays else 2.0 * once[p]


@part
def outputs(parts: Floats, bound: Ints, out: Floats, b: int) -> None:
    """Add the way back of partial sums; the last crossing of an output has its final width."""
    last = parts.shape[1] - 1
    bits, final = bound[BITS], bound[FINAL_BITS]
    first_up, first_low = parts[0, last], parts[1, last]
    charge(parts, 0, first_up, bits, bound[BACK_UP_CHARGED], out[BACK_UP, b])
    charge(parts, 1, first_low, bits, bound[BACK_LOW_CHARGED], out[BACK_LOW, b])
    if final < bits:
        save(first_up, parts[2], bits, final, bound[UP_CHARGED], out[UP, b])
        save(first_low, parts[3], bits, final, bound[LOW_CHARGED], out[LOW, b])


@part
def save(elements: float, tiles: Floats, bits: int, final: int, charged: int, out: Floats) -> None:
    """Take off the charged bits that finished outputs save over partial sums."""
    for p in range(out.size):
        whole = bits * rounded(tiles[p], bits, charged)
        out[p] -= elements * (whole - final * rounded(tiles[p], final, charged))
