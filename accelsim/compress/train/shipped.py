"""The models that ship, as they are trained: each one a tokenizer, data, stages and a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from accelsim.compress.train.data import Batches, ProblemBatches, TextBatches
from accelsim.errors import InputError
from accelsim.evaluate import task
from accelsim.evaluate.sample import Encoder
from accelsim.graph.zoo.tiny.problems import problems

#: One seed for weights; every step draws the data of its own number.
SEED = 0
#: Problems of the final score of ``tiny``, tokens of a window of that of ``tiny-qwen2``.
JUDGED, WINDOW = 5000, 256
#: Share of a text, from its end, that is kept for scores.
HELD_OUT = 0.1


@dataclass(frozen=True)
class Stage:
    """Part of the training: steps over rows of so many tokens."""

    steps: int
    rows: int
    length: int


@dataclass(frozen=True)
class Shipped:
    """How a model that ships is trained.

    Attributes:
        tokenizer: made of the text, which only some read.
        batches: what it is trained on.
        stages: short rows first, which are cheaper; then as long as a run of the simulator reads.
        rate, decay: learning rate, and weight decay of the matrices.
        judge: lines that tell the score of the model in a folder.
        reads: whether a text must be given.
    """

    tokenizer: Callable[[str], Any]
    batches: Callable[[Any, str], Batches]
    stages: tuple[Stage, ...]
    rate: float
    decay: float
    judge: Callable[[Any, Path, str], list[str]]
    reads: bool = False

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_of(self, step: int) -> Stage:
        """Return the stage that a step belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]


def split(text: str) -> tuple[str, str]:
    """Return the parts of a text for training and for scores.

    Raises:
        InputError: a text of less than a thousand characters.
    """
    if len(text) < 1000:
        raise InputError(f"the text has {len(text)} characters; at least 1000 are needed")
    at = len(text) - round(HELD_OUT * len(text))
    return text[:at], text[at:]


def _trained(digits: bool, vocabulary: int, texts: Any) -> Any:
    """Return a tokenizer of the words of texts, with bytes for the rest."""
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), cut])
        if digits else cut
    )  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", start)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", padding_side="left",
        pad_token="</s>",
    )  # fmt: skip


def problem_tokenizer(text: str = "") -> Any:
    """Return a tokenizer with the words of the problems, single digits, and bytes for the rest."""
    return _trained(True, 512, (p.text for p in problems(20_000, SEED, "train")))


def text_tokenizer(text: str) -> Any:
    """Return a tokenizer of the training part of a text."""
    return _trained(False, 512, split(text)[0].splitlines(keepends=True))


def _text_batches(tokenizer: Any, text: str) -> Batches:
    tokens = tokenizer.encode(split(text)[0], add_special_tokens=False)
    return TextBatches(tokens, tokenizer.bos_token_id, SEED)


def judge_problems(model: Any, folder: Path, text: str = "") -> list[str]:
    """Return answered and asked problems of the test split by level, in FP32."""
    given = task.asked(JUDGED)
    encoded = task.encode(Encoder(folder, model.config.vocab_size), given)

    def logits(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            found: npt.NDArray[np.float32] = model(torch.from_numpy(tokens)).logits.numpy()
            return found

    right = task.solved(logits, encoded, lambda done, total: None)
    lines = []
    for level in (*sorted({problem.level for problem in given}), None):
        mine = [ok for ok, p in zip(right, given, strict=True) if level in (None, p.level)]
        name = "all" if level is None else f"level {level}"
        lines.append(f"{name}: {sum(mine)} of {len(mine)} ({sum(mine) / len(mine):.1%})")
    return lines


def windows_of(tokenizer: Any, text: str, length: int = WINDOW) -> Any:
    """Return the held-out part of a text as windows ``[n, length]``, each beginning as a text.

    Raises:
        InputError: a text shorter than a window.
    """
    tokens = tokenizer.encode(split(text)[1], add_special_tokens=False)
    size = length - 1
    count = len(tokens) // size
    if not count:
        raise InputError(f"the held-out text has {len(tokens)} tokens, a window needs {size}")
    rows = torch.tensor(tokens[: count * size]).reshape(count, size)
    return torch.cat([torch.full((count, 1), tokenizer.bos_token_id), rows], dim=1)


def judge_text(model: Any, folder: Path, text: str) -> list[str]:
    """Return the perplexity per token of the held-out part of a text, in FP32."""
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    losses = []
    with torch.no_grad():
        for rows in windows_of(tokenizer, text).split(16):
            logits = model(rows).logits[:, :-1]
            losses.append(F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(),
                                          reduction="none"))  # fmt: skip
    loss = torch.cat(losses)
    return [f"perplexity {math.exp(float(loss.mean())):.3f} per token of {loss.numel()}"]


#: Every model that is trained here.
MODELS: Mapping[str, Shipped] = {
    "tiny": Shipped(
        problem_tokenizer, lambda tokenizer, text: ProblemBatches(tokenizer),
        (Stage(5000, 28, 144), Stage(500, 8, 512)), 0.004, 0.05, judge_problems,
    ),
    "tiny-qwen2": Shipped(
        text_tokenizer, _text_batches, (Stage(500, 32, 128), Stage(100, 8, 512)), 0.004, 0.2,
        judge_text, reads=True,
    ),
}  # fmt: skip
