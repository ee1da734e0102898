"""What a student learns from: its teacher's logits and hidden states, and the data itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from accelsim.errors import InputError


def kl_divergence(student: Any, teacher: Any, temperature: float = 1.0) -> Any:
    """Return ``T^2 KL(teacher || student)`` of logits ``[..., vocabulary]``, in nats.

    The factor keeps gradients alike at any temperature (G. Hinton et al., arXiv 1503.02531).
    """
    wanted = F.log_softmax(teacher.float() / temperature, -1)
    found = F.log_softmax(student.float() / temperature, -1)
    return temperature**2 * (wanted.exp() * (wanted - found)).sum(-1)


class Match:
    """Which hidden states of a student belong to which of its teacher's.

    Args:
        student: configuration of the student.
        teacher: configuration of the teacher.
        kept: what structured pruning left of the teacher, as ``pruning.json`` says; None: the
            student's layers are spread evenly over the teacher's.

    Raises:
        InputError: another width, and nothing says which channels belong together.
    """

    def __init__(self, student: Any, teacher: Any, kept: Mapping[str, Any] | None = None) -> None:
        mine, its = student.num_hidden_layers, teacher.num_hidden_layers
        listed = list((kept or {}).get("layers", ()))
        if len(listed) != mine or (listed and max(listed) >= its):
            listed = [(number + 1) * its // mine - 1 for number in range(mine)]
        #: Teacher's states of the student's, the embedding's first.
        self.layers: Sequence[int] = [0, *(number + 1 for number in listed)]
        self.channels: Any = None
        if student.hidden_size != teacher.hidden_size:
            channels = (kept or {}).get("hidden", ())
            if len(channels) != student.hidden_size:
                raise InputError(
                    f"the student's hidden states are {student.hidden_size} wide, the teacher's "
                    f"{teacher.hidden_size}, and no pruning.json says which channels stay: set "
                    "hidden to 0"
                )
            self.channels = torch.tensor(list(channels))

    def error(self, student: Sequence[Any], teacher: Sequence[Any]) -> Any:
        """Return the mean squared error ``[..., tokens]`` over the teacher's mean square."""
        total: Any = 0.0
        for mine, number in zip(student, self.layers, strict=True):
            its = teacher[number].float()
            if self.channels is not None:
                its = its[..., self.channels]
            size = its.square().mean().clamp_min(1e-12)
            total = total + (mine.float() - its).square().mean(-1) / size
        return total / len(self.layers)


def weighted(values: Any, weights: Any) -> Any:
    """Return the mean of the tokens' values by their weights."""
    return (values * weights).sum() / weights.sum()
