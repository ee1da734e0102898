"""What training recovers: ``python -m benchmarks.training -o DIR [--seeds N] [--ptq CASE=FOLDER]``.

Each row is ``tiny`` on one chip, in that chip's exact arithmetic, on the same problems: in FP32,
rounded to nearest, in any folder that another method has made, and after training with FP32 as the
teacher. The share recovered is (trained - best before) / (FP32 - best before); its interval is that
of 2,000 bootstrap samples of the problems, and of the seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.structured.prune import prune
from accelsim.compress.train.train import train
from accelsim.evaluate import task
from accelsim.evaluate.model import RunningModel, values_of
from accelsim.evaluate.sample import Encoder
from accelsim.graph.source import open_model
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import Recipe
from accelsim.sim.interpret import StoredModel
from accelsim.sim.numerics import numerics_of
from accelsim.spec.load import load_arch

Bools = npt.NDArray[np.bool_]
#: Bootstrap samples.
SAMPLES = 2000


@dataclass(frozen=True)
class Case:
    """What is trained: a recipe, or a plan of structured pruning in bf16."""

    name: str
    recipe: str
    plan: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None


CASES = (
    Case("w4a4_int4_g32", "w4a4_int4_g32"),
    Case("w8a8_2to4", "w8a8_2to4", settings={"rate": 1e-3}),
    Case("half_ffn", "bf16", {"ffn": 0.5}, {"rate": 2e-3}),
    Case("half_heads", "bf16", {"heads": 0.5}, {"rate": 2e-3}),
)


class Bench:
    """Problems, the chip, and what solves them."""

    def __init__(self, arch: str, problems: int) -> None:
        self.chip = numerics_of(load_arch(arch))
        whole = open_model("tiny")
        encoder = Encoder(values_of(whole).folder, 384)
        self.encoded = task.encode(encoder, task.asked(problems))
        reference = RunningModel.reference(whole, StoredModel(values_of(whole)))
        self.truth = self._solved(reference)

    def _solved(self, model: RunningModel) -> Bools:
        return np.array(task.solved(model.logits, self.encoded, lambda done, total: None))

    def solved(self, model: str, recipe: Recipe) -> Bools:
        """Return which problems a model solves on the chip."""
        source = open_model(model)
        running = RunningModel(source, StoredModel(values_of(source)), recipe, self.chip)
        return self._solved(running)


def interval(truth: Bools, before: Bools, trained: Sequence[Bools]) -> tuple[float, float]:
    """Return the 95 % interval of the share recovered, over problems and seeds."""
    draw = np.random.default_rng(0)
    found = []
    stacked = np.stack(trained)
    for _ in range(SAMPLES):
        items = draw.integers(0, len(truth), len(truth))
        seeds = draw.integers(0, len(stacked), len(stacked))
        lost = truth[items].mean() - before[items].mean()
        gained = stacked[seeds][:, items].mean() - before[items].mean()
        found.append(gained / lost if lost > 0 else np.nan)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def measure(bench: Bench, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Train a case with every seed and return its row."""
    recipe = load_recipe(case.recipe)
    folder: Path = options.output / case.name
    start = "tiny"
    if case.plan is not None:
        start = str(folder / "pruned")
        if not Path(start).is_dir():
            prune("tiny", case.plan, start)
    before = {"rtn": bench.solved(start, recipe)}
    for given in options.ptq:
        name, _, path = given.partition("=")
        if name == case.name:
            before[Path(path).name] = bench.solved(path, recipe)
    best = max(before, key=lambda name: before[name].mean())
    trained, seconds = [], []
    for seed in range(options.seeds):
        made = folder / f"seed{seed}"
        settings = {"steps": options.steps, "seed": seed, "threads": options.threads}
        began = time.process_time()
        if not made.is_dir():
            train(
                start, None if case.plan else recipe, made, teacher="tiny",
                settings=settings | (case.settings or {}), checkpoints=folder / f"kept{seed}",
            )  # fmt: skip
            seconds.append(time.process_time() - began)
        trained.append(bench.solved(str(made), recipe))
        sys.stderr.write(f"{case.name}, seed {seed}: {trained[-1].mean():.4f}\n")
    truth = bench.truth.mean()
    scores = [float(found.mean()) for found in trained]
    return {
        "case": case.name,
        "fp32": float(truth),
        "before": {name: float(found.mean()) for name, found in before.items()},
        "best": best,
        "trained": scores,
        "recovered": float((np.mean(scores) - before[best].mean()) / (truth - before[best].mean())),
        "recovered_interval": interval(bench.truth, before[best], trained),
        "cpu_seconds": seconds,
    }


def lines(rows: Sequence[dict[str, Any]], problems: int) -> list[str]:
    """Return the table."""
    head = "| case | FP32 | best before | trained, mean of seeds (each) | recovered (95 %) |"
    made = [f"{problems} problems", "", head, "| --- | --- | --- | --- | --- |"]
    for row in rows:
        each = ", ".join(f"{score:.1%}" for score in row["trained"])
        low, high = row["recovered_interval"]
        made.append(
            f"| {row['case']} | {row['fp32']:.1%} | {row['before'][row['best']]:.1%} "
            f"({row['best']}) | {np.mean(row['trained']):.1%} ({each}) | {row['recovered']:.0%} "
            f"({low:.0%} to {high:.0%}) |"
        )
    return made


def main(arguments: list[str]) -> int:
    """Measure every case, and write table and JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.training", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    parser.add_argument("--arch", default="edge_npu")
    parser.add_argument("--cases", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ptq", nargs="*", default=[], help="CASE=FOLDER made by another method")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    bench, rows = Bench(options.arch, options.problems), []
    for case in CASES:
        if case.name in options.cases:
            rows.append(measure(bench, case, options))
            text = "\n".join(lines(rows, options.problems)) + "\n"
            (options.output / "training.md").write_text(text, encoding="utf-8")
            (options.output / "training.json").write_text(json.dumps(rows, indent=2) + "\n")
    sys.stdout.write("\n".join(lines(rows, options.problems)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
