"""``tpu_v4`` against measured GEMMs, beside SCALE-Sim and the roofline.

Nothing is fitted to the compared rows. One constant of the chip, the dispatch of 1 us, was read off
the smallest kernels of the same measurements, so a row without it stands beside.

Rows: Google TPU v4, one device, 16-bit GEMMs measured by the authors of SCALE-Sim's validation;
sizes above 256 in every dimension. SCALE-Sim's cycles are theirs, at 1.05 GHz. The roofline is
275 TFLOP/s and 1.2 TB/s.
"""

from __future__ import annotations

import csv
import math
import os
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from accelsim.sim.predict import Predictor
from accelsim.spec.load import load_arch

FILE = "silicon/open_tpuv4_gemm_scalesimval.csv"
_PEAK_FLOPS, _BYTES_PER_S, _CLOCK_HZ = 275e12, 1.2e12, 1.05e9


def roofline_us(m: int, n: int, k: int) -> float:
    """Time of a 16-bit GEMM at peak compute or peak bandwidth, in us."""
    moved = 2 * (m * k + n * k + m * n)
    return max(2 * m * n * k / _PEAK_FLOPS, moved / _BYTES_PER_S) * 1e6


def errors(pairs: Iterable[tuple[float, float]]) -> tuple[float, float, float, int]:
    """Mean and median absolute error in percent, geometric bias, and number of pairs.

    Args:
        pairs: predicted and measured values.
    """
    ratios = [predicted / measured for predicted, measured in pairs]
    off = [100 * abs(ratio - 1) for ratio in ratios]
    bias = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
    return statistics.fmean(off), statistics.median(off), bias, len(ratios)


def table(folder: Path) -> list[tuple[str, tuple[float, float, float, int]]]:
    """Compare every model on the rows that it covers."""
    lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    predictor = Predictor(load_arch("tpu_v4"))
    bare = Predictor(load_arch("tpu_v4", ["dispatch.op_overhead_s=0 s"]))
    ours: list[tuple[float, float]] = []
    without: list[tuple[float, float]] = []
    roof: list[tuple[float, float]] = []
    peer: list[tuple[float, float]] = []
    ours_there: list[tuple[float, float]] = []
    for row in csv.DictReader(lines):
        m, n, k = (int(row[key]) for key in "MNK")
        if min(m, n, k) <= 256:
            continue
        measured = float(row["measured_us"])
        sizes = {"M": m, "N": n, "K": k}
        found = predictor.op("gemm", "bf16", sizes).duration_ps / 1e6
        without.append((bare.op("gemm", "bf16", sizes).duration_ps / 1e6, measured))
        ours.append((found, measured))
        roof.append((roofline_us(m, n, k), measured))
        if row["scalesim_cycles"]:
            peer.append((float(row["scalesim_cycles"]) / _CLOCK_HZ * 1e6, measured))
            ours_there.append((found, measured))
    return [
        ("accelsim tpu_v4", errors(ours)),
        ("accelsim without the 1 us dispatch", errors(without)),
        ("roofline 275 TFLOP/s, 1.2 TB/s", errors(roof)),
        ("SCALE-Sim (rows it has)", errors(peer)),
        ("accelsim on SCALE-Sim's rows", errors(ours_there)),
    ]


def main() -> int:
    """Print the table."""
    folder = os.environ.get("ACCELSIM_REFERENCE")
    if not folder:
        sys.stderr.write("ACCELSIM_REFERENCE does not name a folder of measurements\n")
        return 2
    sys.stdout.write(f"{'model':34} {'rows':>5} {'mean %':>8} {'median %':>9} {'bias':>6}\n")
    for name, (mean, median, bias, rows) in table(Path(folder)):
        sys.stdout.write(f"{name:34} {rows:5d} {mean:8.1f} {median:9.1f} {bias:6.2f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
