"""Positions in the flat arrays that cross from Python into the kernels. Plain integers."""

# Dimensions of a batch of matrix products, and of every tile.
B, M, N, K = 0, 1, 2, 3
DIMS = 4

# Operands that are loaded; C is partial sums read back and the inputs of a fused epilogue.
OP_A, OP_W, OP_C, OP_STORE = 0, 1, 2, 3
OPERANDS = 3

# Dataflows.
OS, WS, IS = 0, 1, 2

# Problem: int64 vector that describes one op (see workload.py for units).
(
    P_B, P_M, P_N, P_K,
    P_A_BITS, P_W_BITS, P_O_BITS, P_X_BITS,  # whole operands; X is what the epilogue reads
    P_ACC_BITS,  # one partial sum
    P_W_BATCHED,  # 1: every batch entry has its own second operand
    P_K_NUM, P_K_DEN,  # places kept of a block along K: 2 of 4, dense 1 of 1
    P_K_PER_CYCLE, P_CYCLES_PER_STEP,
    P_GROUP, P_GROUP_CYCLES,  # length of a scale group along K (0: none), cycles per group
    P_CONV, P_OUT_W, P_OUT_H, P_STRIDE_H, P_KERNEL_H, P_IN_H, P_IN_ROW_BITS, P_TAPS,
    P_A_ELEMENT_BITS,
    P_VECTOR_MILLICYCLES,  # vector work of the whole op, in 1/1000 cycle
    P_A_HERE, P_W_HERE,  # 1: the operand lies in the outermost level and is not loaded from DRAM
    P_X_HERE_BITS, P_O_HERE_BITS,  # what of X and O lies there and never crosses the DRAM link
    P_ACCESS_BITS,  # what a DRAM request moves, needed or not
    P_SIZE,
) = range(31 + 1)  # fmt: skip

# Machine: int64 vector.
(
    C_ROWS, C_COLS, C_COUNT,
    C_WEIGHT_DB, C_OUTPUT_DB,
    C_ACC_BITS,  # accumulator memory of one array, in bits; 0: none
    C_LEVELS,
    C_RESULT_BUFFERS,  # finished tiles that may wait for the vector unit
    C_SIZE,
) = range(8 + 1)  # fmt: skip
MAX_LEVELS = 4

# Per level, from the array outward: int64 matrix [MAX_LEVELS, L_SIZE].
# L_BANKING: one of BANKINGS. L_APART: 1 when loads and stores of results use different ports of the
# link's banks. L_TENSOR0: bits that the banks of each of BANK_GROUPS hold.
L_BITS, L_BUFFERS, L_PORTS, L_BANKING, L_APART, L_TENSOR0 = 0, 1, 2, 3, 4, 5
#: Who has banks of its own: first operand, second operand, results (with what the epilogue reads).
BANK_GROUPS = 3
L_SIZE = L_TENSOR0 + BANK_GROUPS

#: How the banks of a level are shared, as a chip's file says it.
BANKINGS = ("interleaved", "per_tensor", "per_buffer")
INTERLEAVED, PER_TENSOR, PER_BUFFER = 0, 1, 2

# Rates: float64 vector, picoseconds.
# R_OVERHEAD: dispatch of an op; R_TILE: array and DMA synchronize once per tile; R_PORT0: ps per
# bit of the nearest level's port.
R_PS_PER_CYCLE, R_OVERHEAD, R_TILE, R_PORT0 = 0, 1, 2, 3
R_LINK0 = 4  # ps per bit of link l (from level l+1, or DRAM, into level l)
R_SETUP0 = R_LINK0 + MAX_LEVELS  # latency of a transfer on link l
R_COST0 = R_SETUP0 + MAX_LEVELS  # femtojoule per bit moved over link l
R_PORT_COST = R_COST0 + MAX_LEVELS  # femtojoule per bit at the nearest level's port
R_OBJECTIVE = R_PORT_COST + 1  # what is searched for, one of OBJECTIVES
R_PORT_BANKS0 = R_OBJECTIVE + 1  # ps per bit of each group's banks at the nearest level's port
# ps per bit of the banks at either end of link l, the slower of them; 0: interleaved, no less than
# the link: R_LINK_BANKS0 + BANK_GROUPS * l + group.
R_LINK_BANKS0 = R_PORT_BANKS0 + BANK_GROUPS
R_SIZE = R_LINK_BANKS0 + BANK_GROUPS * MAX_LEVELS

#: What a search can look for; ties in time are broken by energy, and the other way round.
OBJECTIVES = ("latency", "energy", "edp")
LATENCY, ENERGY, EDP = 0, 1, 2

# Choice: int64 vector that a plan is lowered to.
S_DATAFLOW, S_SPLIT_B, S_SPLIT_M, S_SPLIT_N = 0, 1, 2, 3
S_LEVEL0 = 4  # per level: 4 tile sizes, then the order index
S_STRIDE = 5
S_SIZE = S_LEVEL0 + S_STRIDE * MAX_LEVELS

# Loop orders over tiles, outermost first; the batch loop is outside all of them.
ORDERS = ((M, N, K), (N, M, K), (M, K, N), (K, M, N), (N, K, M), (K, N, M))
