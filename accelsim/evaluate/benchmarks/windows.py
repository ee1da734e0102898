"""Perplexity per token of a text that is cut into windows, as papers on quantization report it.

All rows are joined by blank lines and coded at once, so a token that begins texts stands at the
very beginning alone. Windows do not overlap; what fills none is dropped; the first token of a
window is predicted by none. The protocol of GPTQ's code (E. Frantar et al., arXiv 2210.17323).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.errors import InputError, RunError
from accelsim.evaluate.benchmarks.catalog import Asked, Benchmark
from accelsim.evaluate.benchmarks.journal import Answers
from accelsim.evaluate.benchmarks.rows import Data
from accelsim.evaluate.benchmarks.stock import Scored
from accelsim.ids import content_id


class Windows:
    """A text as a list of windows, which are asked and scored one by one.

    Args:
        benchmark: which.
        data: the rows of the text.
        asked: limits and settings.
        lm: the model, as lm-eval sees it.

    Raises:
        InputError: windows longer than the model's context, or a text shorter than one.
    """

    def __init__(self, benchmark: Benchmark, data: Data, asked: Asked, lm: Any) -> None:
        self.benchmark, self.lm = benchmark, lm
        size = benchmark.window
        if lm.max_length < size:
            raise InputError(
                f"{benchmark.label}: windows of {size} tokens; the model's context holds "
                f"{lm.max_length}: take --protocol lm-eval-words, which fits any context"
            )
        rows = data.splits[benchmark.sources[0].split]
        tokens = lm.tokenizer("\n\n".join(str(row["text"]) for row in rows))["input_ids"]
        count = len(tokens) // size
        if not count:
            raise InputError(
                f"{benchmark.label}: the text has {len(tokens)} tokens, a window needs {size}"
            )
        self._windows = [tokens[i * size : (i + 1) * size] for i in range(count)][: asked.limit]
        self.order = list(range(count))[: asked.limit]

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def settings(self) -> dict[str, Any]:
        """How the text is cut, for the result."""
        return {"window": self.benchmark.window, "tokens": len(self) * self.benchmark.window}

    def identity(self, number: int) -> dict[str, Any]:
        """Return what tells a window from others."""
        return {"item": number, "row": content_id(self._windows[number])}

    def ask(self, numbers: Sequence[int]) -> dict[int, Answers]:
        """Return the mean loss in nats of each window.

        Raises:
            RunError: a loss that is no number.
        """
        import torch

        tokens = torch.tensor([self._windows[n] for n in numbers], device=self.lm.device)
        logits = self.lm._model_call(tokens).float()
        found: dict[int, Answers] = {}
        for row, number in enumerate(numbers):
            loss = float(torch.nn.functional.cross_entropy(logits[row, :-1], tokens[row, 1:]))
            if not math.isfinite(loss):
                raise RunError(f"{self.benchmark.label}: window {number} has a loss of {loss}")
            found[number] = [loss]
        return found

    def score(self, answers: Mapping[int, Answers]) -> dict[int, Scored]:
        """Return what windows gave."""
        name = self.benchmark.metrics[0].name
        return {n: Scored({name: (given[0], 1.0)}, given[0]) for n, given in answers.items()}
