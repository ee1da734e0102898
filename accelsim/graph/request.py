"""What is asked of a model: one phase at one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accelsim.errors import InputError

#: ``module`` is a live module with its own example input: its sizes are what they are.
Kind = Literal["language", "vision", "encoder", "module"]


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """One phase of a model at one size.

    Attributes:
        phase: ``prefill`` reads ``seq_len`` tokens per sequence with an empty cache; ``decode``
            adds one token per sequence to a cache that holds ``context_len`` tokens.
        batch: sequences or images.
        seq_len: tokens per sequence of a prefill.
        context_len: tokens that the cache holds before a decode step.
        logits: positions whose logits are computed in prefill.
    """

    phase: Literal["prefill", "decode"] = "prefill"
    batch: int = 1
    seq_len: int = 512
    context_len: int = 512
    logits: Literal["last", "all"] = "last"

    def __post_init__(self) -> None:
        """Check every field, since requests come straight from the command line.

        Raises:
            InputError: the first field that cannot be meant.
        """
        for field, allowed in (("phase", ("prefill", "decode")), ("logits", ("last", "all"))):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"{field} is {getattr(self, field)!r}; allowed: {', '.join(allowed)}"
                )
        for field in ("batch", "seq_len", "context_len"):
            size = getattr(self, field)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise InputError(f"{field} is {size!r}; a whole number of at least 1 is needed")

    def sizes(self, kind: Kind) -> Mapping[str, int]:
        """Return the sizes that a graph of this request carries; 0 where a size has no meaning."""
        tokens = kind in ("language", "encoder")
        decode = self.phase == "decode"
        return {
            "batch": self.batch,
            "seq_len": (1 if decode else self.seq_len) if tokens else 0,
            "context_len": self.context_len if decode else 0,
        }

    def tokens(self, kind: Kind) -> int:
        """Return the tokens that one run handles per sequence; 0 outside language models."""
        if kind != "language":
            return 0
        return 1 if self.phase == "decode" else self.seq_len
