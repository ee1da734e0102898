"""The one loop of training: steps, checkpoints, and the same final bytes after a kill."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

#: Norm that gradients are cut to.
CLIP = 1.0
BETAS = (0.9, 0.95)
#: Told the step, how many there are, the loss, and the seconds since the loop began.
Tell = Callable[[int, int, float, float], None]


@dataclass(frozen=True)
class Pace:
    """Steps and learning rates: the rate rises, stays and falls in straight lines.

    Attributes:
        steps: how many.
        rate: the largest learning rate.
        rise, fall: shares of the steps in which it rises and falls.
    """

    steps: int
    rate: float
    rise: float = 0.01
    fall: float = 0.5

    def at(self, step: int) -> float:
        """Return the learning rate of a step."""
        up, down = self.rise * self.steps, self.fall * self.steps
        return self.rate * min(1.0, (step + 1) / up, (self.steps - step) / down)


@dataclass(frozen=True)
class Training:
    """What is trained.

    Attributes:
        parameters: what the gradients are cut of.
        optimizers: of these parameters.
        loss: of a step; the same step gives the same loss, whatever was run before.
        pace: steps and learning rates.
        kept: what a checkpoint holds beside the optimizers: the models, by name.
        key: what the checkpoint belongs to: one of another key is not gone on from.
    """

    parameters: Sequence[Any]
    optimizers: Sequence[Any]
    loss: Callable[[int], Any]
    pace: Pace
    kept: dict[str, Any]
    key: str


def tell_stderr(step: int, steps: int, loss: float, seconds: float) -> None:
    """Write how far the training is."""
    sys.stderr.write(f"step {step} of {steps}, loss {loss:.4f}, {seconds:.0f} s\n")


def run(
    training: Training,
    state: Path | None,
    every: tuple[int, int] = (250, 50),
    tell: Tell = tell_stderr,
) -> None:
    """Train from the last checkpoint on, or from the beginning.

    Args:
        training: what is trained.
        state: the file of the last checkpoint; None: none is kept.
        every: steps between checkpoints, and between reports.
        tell: told how far the training is.
    """
    keep_every, tell_every = every
    first, steps = _resumed(training, state), training.pace.steps
    began = time.monotonic()
    for step in range(first, steps):
        loss = step_of(training, step)
        if (step + 1) % tell_every == 0:
            tell(step + 1, steps, loss, time.monotonic() - began)
        if state is not None and (step + 1) % keep_every == 0:
            _keep(training, step + 1, state)


def step_of(training: Training, step: int) -> float:
    """Take one step and return its loss."""
    loss = training.loss(step)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(training.parameters, CLIP)
    for optimizer in training.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = training.pace.at(step) * group.get("share", 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def _resumed(training: Training, state: Path | None) -> int:
    """Return the first step to take, everything put back to what it was before it."""
    if state is None or not state.is_file():
        return 0
    held = torch.load(state, weights_only=True)
    if held.get("key") != training.key:
        return 0
    for name, module in training.kept.items():
        module.load_state_dict(held["kept"][name])
    for optimizer, part in zip(training.optimizers, held["optimizers"], strict=True):
        optimizer.load_state_dict(part)
    return int(held["step"])


def _keep(training: Training, step: int, state: Path) -> None:
    beside = state.with_suffix(".new")
    held = {
        "key": training.key,
        "step": step,
        "kept": {name: module.state_dict() for name, module in training.kept.items()},
        "optimizers": [optimizer.state_dict() for optimizer in training.optimizers],
    }
    torch.save(held, beside)
    beside.replace(state)


def muon_and_adamw(model: Any, rate: float, decay: float) -> list[Any]:
    """Return Muon for the matrices of the blocks and AdamW for everything else."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in named if not (p.ndim == 2 and ".layers." in name)]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=BETAS, weight_decay=0.0),
    ]


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Fix what sums depend on: the threads that share them, and the algorithms."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
