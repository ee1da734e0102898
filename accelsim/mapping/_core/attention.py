"""Fused attention as tile steps: blocks of queries against blocks of keys, softmax in between."""

from __future__ import annotations

from accelsim.jit import Ints, leaf, part
from accelsim.mapping._core.array import ceil_div, operand_passes, tile_cycles
from accelsim.mapping._core.layout import C_ACC_BITS, OP_A, OP_C, OP_STORE, OP_W
from accelsim.mapping._core.steps import (
    W_ARRAY,
    W_READ,
    W_READ_A,
    W_READ_W,
    W_SUMS,
    W_VECTOR,
    W_WRITTEN,
)
from accelsim.mapping._core.tile import share

# Attention: int64 vector.
(
    T_UNITS, T_GROUP, T_QUERIES, T_KEYS, T_DEPTH, T_VALUE_DEPTH, T_CAUSAL, T_WINDOW,
    T_Q_BITS, T_K_BITS, T_P_BITS,  # bits of one element
    T_O_BITS, T_X_BITS, T_MASK_BITS, T_MASK_PLANES,  # whole tensors; masks per query and key
    T_SCORE_MC, T_OUTPUT_MC,  # vector work over all scores and all outputs, 1/1000 cycle
    T_ACC_BITS,
    T_X_HERE_BITS, T_O_HERE_BITS,  # what of X and O lies in the outermost level
    T_SIZE,
) = range(20 + 1)  # fmt: skip

# Choice: int64 vector.
H_DATAFLOW, H_HEADS, H_ROWS, H_QUERIES, H_KEYS, H_RESIDENT = 0, 1, 2, 3, 4, 5


@part
def last_key(attention: Ints, query: int, count: int) -> int:
    """Number of keys that a block of queries sees."""
    if attention[T_CAUSAL] == 0:
        return attention[T_KEYS]
    seen = attention[T_KEYS] - attention[T_QUERIES] + query + count
    return max(1, min(attention[T_KEYS], seen))


@part
def first_key(attention: Ints, choice: Ints, query: int) -> int:
    """First key of the first block of keys that a block of queries looks at."""
    if attention[T_WINDOW] == 0:
        return 0
    seen = attention[T_KEYS] - attention[T_QUERIES] + query + 1
    first = max(0, seen - attention[T_WINDOW])
    return first - first % choice[H_KEYS]


@leaf
def count_attention_steps(attention: Ints, choice: Ints) -> int:
    """Blocks of the plan."""
    blocks = 0
    for query in range(0, attention[T_QUERIES], choice[H_QUERIES]):
        count = min(choice[H_QUERIES], attention[T_QUERIES] - query)
        seen = last_key(attention, query, count) - first_key(attention, choice, query)
        blocks += ceil_div(seen, choice[H_KEYS])
    return blocks * ceil_div(attention[T_UNITS], choice[H_HEADS])


@leaf
def block_parts(attention: Ints, choice: Ints) -> tuple[int, int, int]:
    """Bits that a block needs in the nearest level per buffer: Q, K with V, and all the rest.

    The rest are masks and what the epilogue reads, probabilities, and sums.
    """
    rows = choice[H_HEADS] * attention[T_GROUP] * choice[H_QUERIES]
    keys = choice[H_HEADS] * choice[H_KEYS]
    depths = attention[T_DEPTH] + attention[T_VALUE_DEPTH]
    bits = rows * choice[H_KEYS] * attention[T_P_BITS]
    bits += mask_bits(attention, choice[H_HEADS], choice[H_QUERIES], choice[H_KEYS])
    outputs = attention[T_UNITS] * attention[T_GROUP] * attention[T_QUERIES]
    bits += share(attention[T_X_BITS], rows, outputs)
    # Sums that wait here, or the output that leaves.
    bits += rows * attention[T_VALUE_DEPTH] * attention[T_ACC_BITS]
    queries = rows * attention[T_DEPTH] * attention[T_Q_BITS]
    return queries, keys * depths * attention[T_K_BITS], bits


@leaf
def block_bits(attention: Ints, choice: Ints) -> int:
    """Bits that a block needs in the nearest level per buffer."""
    queries, keys, rest = block_parts(attention, choice)
    return queries + keys + rest


@part
def mask_bits(attention: Ints, units: int, queries: int, keys: int) -> int:
    """Bits of the masks of a block; heads, or all sequences, may share one."""
    if attention[T_MASK_BITS] == 0:
        return 0
    planes = attention[T_MASK_PLANES]
    here = ceil_div(planes * units, attention[T_UNITS])
    whole = attention[T_QUERIES] * attention[T_KEYS] * planes
    return share(attention[T_MASK_BITS], queries * keys * here, whole)


@leaf
def visited_scores(attention: Ints, choice: Ints) -> int:
    """Scores of all blocks that are computed, hidden ones on the diagonal included."""
    scores = 0
    for query in range(0, attention[T_QUERIES], choice[H_QUERIES]):
        count = min(choice[H_QUERIES], attention[T_QUERIES] - query)
        seen = last_key(attention, query, count) - first_key(attention, choice, query)
        scores += count * seen
    return scores * attention[T_UNITS] * attention[T_GROUP]


@part
def _work_of(
    problem: Ints,
    machine: Ints,
    attention: Ints,
    choice: Ints,
    units: int,
    queries: int,
    keys: int,
    work: Ints,
) -> None:
    """Array and port work of one block; every array has a share of its rows."""
    flow = choice[H_DATAFLOW]
    rows = ceil_div(attention[T_GROUP] * queries, choice[H_ROWS])
    depth, value = attention[T_DEPTH], attention[T_VALUE_DEPTH]
    work[W_ARRAY] = tile_cycles(problem, machine, flow, rows, keys, depth)
    work[W_ARRAY] += tile_cycles(problem, machine, flow, rows, value, keys)
    all_rows = units * attention[T_GROUP] * queries
    score_a, score_w = operand_passes(machine, flow, rows, keys)
    value_a, value_w = operand_passes(machine, flow, rows, value)
    probabilities = all_rows * keys * attention[T_P_BITS]
    work[W_READ_A] = all_rows * depth * attention[T_Q_BITS] * score_a
    work[W_READ_W] = units * keys * attention[T_K_BITS] * (depth * score_w + value * value_w)
    work[W_READ] = work[W_READ_A] + work[W_READ_W] + probabilities * value_a
    work[W_READ] += mask_bits(attention, units, queries, keys)
    work[W_WRITTEN] = probabilities
    for width in (keys, value):
        # Scores, and the running output, are written and read once per block.
        sums = all_rows * width * attention[T_ACC_BITS]
        if rows * width * attention[T_ACC_BITS] <= machine[C_ACC_BITS]:
            work[W_SUMS] += 2 * sums
        else:
            work[W_READ] += sums
            work[W_WRITTEN] += sums
    scores = attention[T_UNITS] * attention[T_GROUP] * attention[T_QUERIES] * attention[T_KEYS]
    work[W_VECTOR] = share(attention[T_SCORE_MC], all_rows * keys, scores)


@part
def _load_keys(
    attention: Ints, choice: Ints, units: int, keys: int, resident_keys: int, step: int, bits: Ints
) -> None:
    """K and V: block by block into the nearest level, at once into outer ones when resident."""
    depths = attention[T_DEPTH] + attention[T_VALUE_DEPTH]
    bits[0, OP_W, step] = units * keys * depths * attention[T_K_BITS]
    for link in range(1, bits.shape[0]):
        if choice[H_RESIDENT] == 0:
            bits[link, OP_W, step] = bits[0, OP_W, step]
        elif resident_keys > 0:
            bits[link, OP_W, step] = units * resident_keys * depths * attention[T_K_BITS]


@part
def _everywhere(bits: Ints, which: int, step: int, amount: int) -> None:
    """Add to a queue's tile on every link."""
    for link in range(bits.shape[0]):
        bits[link, which, step] += amount


@leaf
def attention_steps(
    problem: Ints, machine: Ints, attention: Ints, choice: Ints, bits: Ints, work: Ints
) -> None:
    """Fill the step arrays of fused attention; see ``steps.gemm_steps`` for their shapes."""
    step = 0
    outputs = attention[T_UNITS] * attention[T_GROUP] * attention[T_QUERIES]
    for unit in range(0, attention[T_UNITS], choice[H_HEADS]):
        units = min(choice[H_HEADS], attention[T_UNITS] - unit)
        for query in range(0, attention[T_QUERIES], choice[H_QUERIES]):
            queries = min(choice[H_QUERIES], attention[T_QUERIES] - query)
            rows = units * attention[T_GROUP] * queries
            limit = last_key(attention, query, queries)
            q_bits = rows * attention[T_DEPTH] * attention[T_Q_BITS]
            _everywhere(bits, OP_A, step, q_bits)
            first = first_key(attention, choice, query)
            for key in range(first, limit, choice[H_KEYS]):
                keys = min(choice[H_KEYS], limit - key)
                whole = attention[T_KEYS] if query == 0 and key == first else 0
                _load_keys(attention, choice, units, keys, whole, step, bits)
                _everywhere(bits, OP_C, step, mask_bits(attention, units, queries, keys))
                _work_of(problem, machine, attention, choice, units, queries, keys, work[step])
                step += 1
            _finish_rows(attention, rows, outputs, step - 1, bits, work)


@part
def _finish_rows(
    attention: Ints, rows: int, outputs: int, step: int, bits: Ints, work: Ints
) -> None:
    """What the last block of a row of blocks adds: the epilogue and the store."""
    stored = share(attention[T_O_BITS], rows, outputs)
    epilogue = share(attention[T_X_BITS], rows, outputs)
    last = bits.shape[0] - 1
    _everywhere(bits[:last], OP_STORE, step, stored)
    _everywhere(bits[:last], OP_C, step, epilogue)
    to_dram = attention[T_O_BITS] - attention[T_O_HERE_BITS]
    bits[last, OP_STORE, step] += share(to_dram, rows, outputs)
    from_dram = attention[T_X_BITS] - attention[T_X_HERE_BITS]
    bits[last, OP_C, step] += share(from_dram, rows, outputs)
    work[step, W_READ] += epilogue
    work[step, W_VECTOR] += share(attention[T_OUTPUT_MC], rows, outputs)
    work[step, W_WRITTEN] += stored
