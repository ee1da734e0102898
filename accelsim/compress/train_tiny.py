"""Train ``tiny``, the model that ships: ``python -m accelsim.compress.train_tiny -o DIR``.

A tool of the repository rather than a verb of the command line, so it writes to the standard
streams itself. It is seeded throughout; interrupted, the same command goes on from the last
checkpoint.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from accelsim.evaluate import task
from accelsim.evaluate.sample import Encoder
from accelsim.graph.zoo.configs import config_of
from accelsim.graph.zoo.tiny.problems import Problem, problems, stream

#: One seed for weights; every step draws the problems of its own number.
SEED = 0
#: Threads are fixed, since sums of floating point depend on how they are shared out.
THREADS = 2
LEARNING_RATE, WEIGHT_DECAY, BETAS = 0.004, 0.05, (0.9, 0.95)
#: Share of the steps in which the rate rises, and in which it falls.
RISE, FALL = 0.01, 0.5
#: Weight of a question's tokens in the loss; an answer's have 1.
QUESTION = 0.1
KEEP_EVERY, TELL_EVERY = 250, 50
#: Problems of the final score.
JUDGED = 5000


@dataclass(frozen=True)
class Stage:
    """Part of the training: steps over rows of so many tokens."""

    steps: int
    rows: int
    length: int


#: Short texts first, which are cheaper; then as long as a run of the simulator reads.
STAGES = (Stage(5000, 28, 144), Stage(500, 8, 512))


def make_tokenizer() -> Any:
    """Return a tokenizer with the words of the problems, single digits, and bytes for the rest."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((p.text for p in problems(20_000, SEED, "train")), trainer)
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", start)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", padding_side="left",
        pad_token="</s>",
    )  # fmt: skip


def make_model() -> Any:
    """Return the model with fresh weights."""
    torch.manual_seed(SEED)
    config = config_of("tiny")
    return transformers.LlamaForCausalLM(config)


class Batches:
    """Rows of whole problems, each with the weight of every token in the loss."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.start, self.filler = tokenizer.bos_token_id, tokenizer.pad_token_id

    def at(self, step: int, stage: Stage) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens and weights ``[rows, length + 1]`` of a step."""
        source = stream(step, "train")
        rows = [self._row(source, stage.length + 1) for _ in range(stage.rows)]
        return torch.tensor([ids for ids, _ in rows]), torch.tensor([w for _, w in rows])

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _row(self, source: Iterator[Problem], length: int) -> tuple[list[int], list[float]]:
        ids, weights = [self.start], [0.0]
        while True:
            problem = next(source)
            asked, answer = self._ids(problem.prompt), self._ids(f"{problem.answer}\n")
            if len(ids) + len(asked) + len(answer) > length:
                break
            ids += asked + answer
            weights += [QUESTION] * len(asked) + [1.0] * len(answer)
        missing = length - len(ids)
        return ids + [self.filler] * missing, weights + [0.0] * missing


def make_optimizers(model: Any) -> list[Any]:
    """Return Muon for the matrices of the blocks and AdamW for everything else."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in named if not (p.ndim == 2 and ".layers." in name)]
    return [
        torch.optim.Muon(
            matrices, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=LEARNING_RATE, betas=BETAS, weight_decay=0.0),
    ]


def rate(step: int, steps: int) -> float:
    """Return the learning rate of a step: it rises, stays and falls in straight lines."""
    return LEARNING_RATE * min(1.0, (step + 1) / (RISE * steps), (steps - step) / (FALL * steps))


def stage_of(step: int) -> Stage:
    """Return the stage that a step belongs to."""
    for stage in STAGES:
        if step < stage.steps:
            return stage
        step -= stage.steps
    return STAGES[-1]


def train(model: Any, batches: Batches, state: Path, scale: float) -> None:
    """Train from the last checkpoint on, or from the beginning.

    Args:
        model: with fresh weights.
        batches: what it is trained on.
        state: where checkpoints are kept.
        scale: share of the steps to take; 1 for the model that ships.
    """
    optimizers = make_optimizers(model)
    steps = round(sum(stage.steps for stage in STAGES) * scale)
    first = 0
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        for optimizer, part in zip(optimizers, kept["optimizers"], strict=True):
            optimizer.load_state_dict(part)
        first = kept["step"]
    began = time.time()
    for step in range(first, steps):
        loss = _step(
            model, optimizers, batches.at(step, stage_of(round(step / scale))), rate(step, steps)
        )
        if (step + 1) % TELL_EVERY == 0:
            sys.stderr.write(
                f"step {step + 1} of {steps}, loss {loss:.4f}, {time.time() - began:.0f} s\n"
            )
        if (step + 1) % KEEP_EVERY == 0:
            _keep(model, optimizers, step + 1, state)


def _step(
    model: Any, optimizers: Sequence[Any], batch: tuple[torch.Tensor, torch.Tensor], lr: float
) -> float:
    tokens, weights = batch
    logits = model(tokens[:, :-1]).logits
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    share = weights[:, 1:].flatten()
    loss = (losses * share).sum() / share.sum()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def _keep(model: Any, optimizers: Sequence[Any], step: int, state: Path) -> None:
    beside = state.with_suffix(".new")
    kept = {
        "step": step,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    torch.save(kept, beside)
    beside.replace(state)


def judge(model: Any, folder: Path, count: int) -> dict[int, tuple[int, int]]:
    """Return answered and asked problems of the test split by level, in FP32."""
    given = task.asked(count)
    encoded = task.encode(Encoder(folder, model.config.vocab_size), given)

    def logits(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            found: npt.NDArray[np.float32] = model(torch.from_numpy(tokens)).logits.numpy()
            return found

    right = task.solved(logits, encoded, lambda done, total: None)
    levels = sorted({problem.level for problem in given})
    return {
        level: (
            sum(ok for ok, problem in zip(right, given, strict=True) if problem.level == level),
            sum(problem.level == level for problem in given),
        )
        for level in levels
    }


def main(arguments: list[str]) -> int:
    """Train, write the Hugging Face folder, and tell its score."""
    parser = argparse.ArgumentParser("python -m accelsim.compress.train_tiny", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the steps to take")
    options = parser.parse_args(arguments)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    model = make_model()
    state = folder / "training.pt"
    train(model, Batches(tokenizer), state, options.scale)
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    scores = judge(model.float().eval(), folder, JUDGED)
    for level, (right, asked) in scores.items():
        sys.stdout.write(f"level {level}: {right} of {asked} ({right / asked:.1%})\n")
    right, asked = (sum(column) for column in zip(*scores.values(), strict=True))
    sys.stdout.write(f"all: {right} of {asked} ({right / asked:.1%})\n")
    state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
