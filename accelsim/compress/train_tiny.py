"""Train a model that ships: ``python -m accelsim.compress.train_tiny [NAME] -o DIR``.

A tool of the repository rather than a verb of the command line, so it writes to the standard
streams itself. It is seeded throughout; interrupted, the same command goes on from the last
checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers

from accelsim.compress.train.data import Batches
from accelsim.compress.train.loop import Pace, Training, deterministic, muon_and_adamw, run
from accelsim.compress.train.shipped import MODELS, SEED, Shipped
from accelsim.errors import InputError
from accelsim.graph.zoo.configs import ENTRIES, config_of
from accelsim.ids import content_id

#: Threads are fixed, since sums of floating point depend on how they are shared out.
THREADS = 2
#: Steps between checkpoints, and between reports.
EVERY = (250, 50)


def make_model(name: str) -> Any:
    """Return a model with fresh weights."""
    torch.manual_seed(SEED)
    return getattr(transformers, ENTRIES[name].architecture)(config_of(name))


def training(name: str, shipped: Shipped, model: Any, batches: Batches, scale: float) -> Training:
    """Return the training of a model, or of a share of its steps."""
    steps = round(shipped.steps * scale)

    def loss(step: int) -> Any:
        stage = shipped.stage_of(round(step / scale))
        tokens, weights = batches.at(step, stage.rows, stage.length)
        logits = model(tokens[:, :-1]).logits
        losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        share = weights[:, 1:].flatten()
        return (losses * share).sum() / share.sum()

    return Training(
        list(model.parameters()),
        muon_and_adamw(model, shipped.rate, shipped.decay),
        loss,
        Pace(steps, shipped.rate),
        {"model": model},
        content_id([name, steps, shipped.rate, shipped.decay]),
    )


def _text(shipped: Shipped, path: Path | None) -> str:
    if not shipped.reads:
        return ""
    if path is None:
        raise InputError("this model is trained on a text: --text FILE names it")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from None


def main(arguments: list[str]) -> int:
    """Train, write the Hugging Face folder, and tell its score."""
    parser = argparse.ArgumentParser("python -m accelsim.compress.train_tiny", description=__doc__)
    parser.add_argument("name", nargs="?", default="tiny", choices=MODELS, help="which model")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write")
    parser.add_argument("--text", type=Path, help="what tiny-qwen2 is trained on")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the steps to take")
    options = parser.parse_args(arguments)
    shipped = MODELS[options.name]
    text = _text(shipped, options.text)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    with deterministic(THREADS):
        tokenizer = shipped.tokenizer(text)
        model = make_model(options.name)
        state = folder / "training.pt"
        batches = shipped.batches(tokenizer, text)
        run(training(options.name, shipped, model, batches, options.scale), state, EVERY)
        model = model.to(torch.bfloat16)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for line in shipped.judge(model.float().eval(), folder, text):
            sys.stdout.write(f"{line}\n")
    state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
