"""Run SCALE-Sim 3.0.0 (``pip install scalesim "numpy<2.3"``) on small layers and keep its reports.

    python tests/golden/make_scalesim.py > tests/golden/scalesim.json

Its figures are facts about its behaviour; none of its code is used.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

CONFIG = """[general]
run_name = run
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: 1
FilterSramSzkB: 1
OfmapSramSzkB: 1
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: {dataflow}
Bandwidth: 10
ReadRequestBuffer: 32
WriteRequestBuffer: 32
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: {sparse}
SparseRep: {representation}
OptimizedMapping: False
BlockSize: 4
RandomNumberGeneratorSeed: 40
[run_presets]
InterfaceBandwidth: {mode}
UseRamulatorTrace: False
"""
HEADERS = {
    "gemm": "Layer,M,N,K,\n",
    "conv": "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
    "Num Filter, Strides,\n",
}
PRODUCTS = [["a", 40, 30, 29], ["b", 3, 2, 2]]
CONVOLUTION = [["c", 19, 18, 3, 2, 5, 31, 2]]
SPARSE = [["s", 10, 7, 22, "2:4"]]


def cases() -> list[dict[str, Any]]:
    """Return arrays and layers."""
    found: list[dict[str, Any]] = []
    for flow in ("os", "ws", "is"):
        found.append({"dataflow": flow, "rows": 4, "columns": 3, "kind": "gemm", "sparse": False,
                      "representation": "csr", "mode": "CALC", "layers": PRODUCTS})  # fmt: skip
        found.append({"dataflow": flow, "rows": 3, "columns": 5, "kind": "conv", "sparse": False,
                      "representation": "csr", "mode": "USER", "layers": CONVOLUTION})  # fmt: skip
    for flow, kept in (("ws", "ellpack_block"), ("ws", "csr"), ("ws", "csc"), ("os", "csr")):
        found.append({"dataflow": flow, "rows": 4, "columns": 4, "kind": "gemm", "sparse": True,
                      "representation": kept, "mode": "CALC", "layers": SPARSE})  # fmt: skip
    return found


def files(case: dict[str, Any]) -> tuple[str, str]:
    """Return the configuration and the topology of a case."""
    rows = (",".join(str(cell) for cell in layer) for layer in case["layers"])
    return CONFIG.format(**case), HEADERS[case["kind"]] + "".join(f"{row},\n" for row in rows)


def reports(case: dict[str, Any]) -> dict[str, str]:
    """Return the reports of SCALE-Sim."""
    from scalesim.scale_sim import scalesim  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, topology = files(case)
        (folder / "c.cfg").write_text(config)
        (folder / "t.csv").write_text(topology)
        cells = {"gemm": 4, "conv": 8}[case["kind"]]
        layout = [",".join(line.split(",")[:cells]) + "," for line in topology.splitlines()]
        (folder / "l.csv").write_text("\n".join(layout))
        with contextlib.redirect_stdout(io.StringIO()):
            tool = scalesim(True, False, str(folder / "c.cfg"), str(folder / "t.csv"),
                            str(folder / "l.csv"), case["kind"] == "gemm")  # fmt: skip
            tool.run_scale(top_path=str(folder / "out"))
        return {path.name: path.read_text() for path in sorted((folder / "out/run").glob("*.csv"))}


if __name__ == "__main__":
    json.dump([{**case, "reports": reports(case)} for case in cases()], sys.stdout, indent=1)
    sys.stdout.write("\n")
