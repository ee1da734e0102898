"""A student and its teacher: what both are shown, and the loss of a step."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers

from accelsim.compress.export.contents import PlainTensor
from accelsim.compress.structured.prune import RECORD, folder_of, read_config
from accelsim.compress.train.coding import Coding, coded
from accelsim.compress.train.data import Batches, ProblemBatches, TextBatches
from accelsim.compress.train.distill import Match, kl_divergence, weighted
from accelsim.compress.train.loop import Pace, Training, muon_and_adamw
from accelsim.compress.train.settings import TrainSettings
from accelsim.compress.train.student import (
    apply_masks,
    coded_model,
    finite,
    masks_of,
    on_chip_with_gradients,
)
from accelsim.errors import CheckpointError, InputError
from accelsim.evaluate.live import STORAGE
from accelsim.evaluate.model import FP32
from accelsim.graph.checkpoint import read_checkpoint
from accelsim.graph.values import ModelValues
from accelsim.ids import content_id
from accelsim.recipe.schema import Recipe
from accelsim.sim.numerics import ChipNumerics

#: Problems of a training after the first: other ones than the model saw.
OFFSET = 1_000_000
RISE = 0.05


def load_model(folder: Path) -> Any:
    """Return the model of a folder in FP32.

    Raises:
        InputError: an architecture that transformers does not read.
        CheckpointError: weights that are missing, or pickled.
    """
    if read_checkpoint(folder) is None:
        raise InputError(f"{folder}: no safetensors there, so nothing to train")
    options = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        found, said = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, **options
        )
    except Exception as error:  # every family raises something else
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{folder}: cannot be loaded: {reason}") from None
    if said["missing_keys"]:
        raise CheckpointError(f"{folder}: weights are missing: {sorted(said['missing_keys'])[0]}")
    return found.eval()


@dataclass
class Lesson:
    """One training: the student, its teacher, and what they are shown.

    Attributes:
        model, teacher: folders or names; no teacher: the student itself in FP32.
        recipe: how the student is compressed.
        settings: how it is trained.
        chip: whose arithmetic the exact steps run in.
    """

    model: str | Path
    teacher: str | Path | None
    recipe: Recipe | None
    settings: TrainSettings
    chip: ChipNumerics | None = None

    def __post_init__(self) -> None:
        """Load both, prune the student as its recipe says."""
        self.folder = folder_of(self.model)
        self.student = load_model(self.folder)
        its = self.folder if self.teacher is None else folder_of(self.teacher)
        self.guide = load_model(its).requires_grad_(False)
        if self.student.config.vocab_size != self.guide.config.vocab_size:
            raise InputError(
                f"the student knows {self.student.config.vocab_size} tokens, the teacher "
                f"{self.guide.config.vocab_size}"
            )
        self.masks = masks_of(self.student, self.scheme)
        apply_masks(self.student, self.masks)
        self.match = None
        if self.settings.hidden:
            self.match = Match(self.student.config, self.guide.config, self._kept())
        self._its = its

    @property
    def scheme(self) -> Recipe:
        """The recipe; without one nothing is rounded."""
        return self.recipe or FP32

    @cached_property
    def config(self) -> dict[str, Any]:
        """Configuration of the folder that is written."""
        return read_config(self.folder) | {"dtype": str(STORAGE[self._storage]).split(".")[-1]}

    @property
    def _storage(self) -> str:
        return "bf16" if self.recipe is None else self.recipe.storage

    @property
    def files(self) -> dict[str, bytes]:
        """What is written beside the model: how it was trained, and how it was pruned."""
        said = {
            "schema_version": 1,
            "recipe": None if self.recipe is None else self.recipe.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "teacher": self._fingerprint(self._its),
            "student": self._fingerprint(self.folder),
        }
        found = {"training.json": f"{json.dumps(said)}\n".encode()}
        if (self.folder / RECORD).is_file():
            found[RECORD] = (self.folder / RECORD).read_bytes()
        return found

    def _kept(self) -> Mapping[str, Any] | None:
        path = self.folder / RECORD
        if not path.is_file():
            return None
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["kept"]
        return found

    @staticmethod
    def _fingerprint(folder: Path) -> str:
        checkpoint = read_checkpoint(folder)
        return ModelValues(checkpoint or {}, {}, folder).fingerprint

    def training(self) -> Training:
        """Return what the loop trains."""
        wanted = self.settings
        key = content_id([json.loads(self.files["training.json"]), self._signature])
        return Training(
            list(self.student.parameters()),
            muon_and_adamw(self.student, wanted.rate, wanted.decay),
            self.loss,
            Pace(wanted.steps, wanted.rate, RISE, 1.0),
            {"student": self.student},
            key,
        )

    @property
    def _signature(self) -> str | None:
        return None if self.chip is None else self.chip.signature

    @cached_property
    def batches(self) -> Batches:
        """What both are shown.

        Raises:
            InputError: a text that cannot be read.
        """
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        text, seed = self.settings.text, self.settings.seed
        if text == "problems":
            return ProblemBatches(tokenizer, (1 + seed) * OFFSET)
        try:
            words = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"training: {text}: cannot be read as text: {error}") from None
        tokens = tokenizer.encode(words, add_special_tokens=False)
        return TextBatches(tokens, tokenizer.bos_token_id, seed)

    def loss(self, step: int) -> Any:
        """Return the loss of a step."""
        wanted = self.settings
        tokens, weights = self.batches.at(step, wanted.rows, wanted.length)
        given, weights = tokens[:, :-1], weights[:, 1:]
        if not weights.any():
            raise InputError(
                f"training: rows of {wanted.length} tokens hold nothing to learn: take longer ones"
            )
        with torch.no_grad():
            its = self.guide(given, output_hidden_states=self.match is not None, use_cache=False)
        if step >= wanted.steps - wanted.exact_steps:
            mine = self._exact(given)
        else:
            with coded_model(self.student, self.scheme, self.masks):
                mine = self._run(self.student, given)
        total: Any = 0.0
        if wanted.kl:
            apart = kl_divergence(mine.logits, its.logits, wanted.temperature)
            total = total + wanted.kl * weighted(apart, weights)
        if self.match is not None:
            apart = self.match.error(mine.hidden_states, its.hidden_states)
            total = total + wanted.hidden * weighted(apart, weights)
        if wanted.task:
            loss = F.cross_entropy(
                mine.logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
            )
            total = total + wanted.task * weighted(loss, weights.flatten())
        return total

    def _run(self, model: Any, tokens: Any) -> Any:
        # Without a cache transformers looks for packed rows, for which the chip has no op.
        return model(tokens, output_hidden_states=self.match is not None, use_cache=True)

    def _exact(self, tokens: Any) -> Any:
        """Run the student on the chip; gradients arrive at its own weights."""
        stored = copy.deepcopy(self.student).to(STORAGE[self._storage])
        if self.chip is None:
            raise InputError("training: exact_steps needs a chip, whose arithmetic they run in")
        with on_chip_with_gradients(stored, self.scheme, self.chip):
            made = self._run(stored, tokens)
        for mine, its in zip(self.student.parameters(), stored.parameters(), strict=True):
            its.register_hook(lambda grad, mine=mine: _add(mine, grad))
        return made

    def tensors(self) -> Iterator[tuple[str, PlainTensor]]:
        """Yield the trained weights in the recipe's storage format."""
        stored = Coding(self._storage)
        names = dict(self.student.named_parameters())
        names |= {
            name: value for name, value in self.student.named_buffers()
            if name in self.student.state_dict() and value.is_floating_point()
        }  # fmt: skip
        for name, weight in names.items():
            mask = self.masks.get(name.removesuffix(".weight"))
            kept = weight.detach() if mask is None else weight.detach() * mask
            yield name, PlainTensor(finite(name, coded(kept.float(), stored)), self._storage)


def _add(weight: Any, grad: Any) -> None:
    wide = grad.to(weight.dtype)
    weight.grad = wide if weight.grad is None else weight.grad + wide
