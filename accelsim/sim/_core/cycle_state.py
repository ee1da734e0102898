"""The chip at the fidelity ``cycle``: where everything lies in the flat arrays of its kernels.

Time is the chip's clock. All arrays are int64 but ``flow``:

bits     [links, 4, steps]       bits of the tile that a step loads or stores, 0: none
index    [2, links, 4, steps+1]  int32; tiles by number, see ``queues``
work     [steps, W_SIZE]         see ``mapping._core.steps``
units    [U_SIZE]                constants of the chip; what array, vector unit and clock are doing
flow     [F_SIZE + F_LINK links] float64; bits per clock of the nearest level's port and credits of
                                 the units there, per group of banks; then the same of every link
                                 and of the banks at its ends
lanes    [links, LANES]          constants of the links, and the piece that each one sends
queues   [links, 4, QS]          what a queue is doing
tiles    [T_SIZE, links, 4, steps]  when a tile may be sent, what has arrived, start and end; of the
                                 outermost link the first of its requests
steps    [S_ROWS, steps]         outputs in order; start and end of array and vector unit
requests [R_SIZE, requests]      requests of all tiles; rows from R_ORDER on are a log of what was
                                 sent, rows from R_AT on a list of what arrives when
"""

from __future__ import annotations

from accelsim.mapping._core.layout import BANK_GROUPS

(
    U_STEPS, U_OVERHEAD, U_TILE, U_DRAIN, U_PORTS, U_RESULTS, U_WINDOW, U_OUTPUTS, U_BLOCK,
    U_GROUPS,  # of banks at the nearest level: 1 that all share, or one per operand and of results
    U_BUFFERS_APART,  # 1: DMA and units meet in no bank
    U_CLOCK,
    U_STEP, U_LEFT, U_PROGRESS, U_RUNNING,  # the array: its step, overhead left, cycles done
    U_FINISHED,  # outputs that the array has finished
    U_VECTOR, U_VECTOR_END, U_VECTOR_BUSY,  # outputs that the vector unit has; when it is free
    U_ARRAY_END,
    U_SENT, U_ARRIVED, U_EVENTS,  # requests sent, arrivals delivered, arrivals known
    U_END, U_COMPUTE,
    U_STALL0,
) = range(27)  # fmt: skip
# After the stalls by cause: bits that DMA moved through the nearest level's port in this clock, per
# group of banks.
U_PORT_READ = U_STALL0 + 5
U_PORT_WRITTEN = U_PORT_READ + BANK_GROUPS
U_SIZE = U_PORT_WRITTEN + BANK_GROUPS

# Per group of banks: port bits per clock, and credits of the array's port.
F_PORT, F_READ, F_WRITTEN, F_SIZE = (BANK_GROUPS * i for i in range(3 + 1))
# Per link: bits per clock and credit, then the same of the banks of each queue.
F_RATE, F_CREDIT, F_BANK_RATE, F_BANK_CREDIT, F_LINK = 0, 1, 2, 6, 10
(
    L_SETUP, L_BUFFERS, L_BURST, L_ENGINES, L_QUEUE, L_PIECE, L_INFLIGHT, L_BUSY,
    L_APART,  # 1: banks of results have a port each for what comes and for what leaves
    LANES,
) = range(9 + 1)  # fmt: skip
(
    Q_COUNT, Q_ISSUED, Q_SENT, Q_SENT_BITS, Q_DONE, Q_TAKEN, Q_TAKEN_OF, QS,
) = range(8)  # fmt: skip
T_START, T_ARRIVED, T_BEGIN, T_END, T_REQUEST, T_SIZE = 0, 1, 2, 3, 4, 5
S_OUTPUT, S_READY, S_VECTOR_START, S_VECTOR_END, S_ARRAY_START, S_ARRAY_END, S_ROWS = range(7)
R_WORD, R_BITS, R_QUEUE, R_TILE, R_ORDER, R_SENT_AT, R_AT, R_WHICH, R_SIZE = range(9)
