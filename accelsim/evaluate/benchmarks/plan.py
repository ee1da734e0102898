"""What a run depends on, found and checked before anything heavy is loaded."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import InputError
from accelsim.evaluate.benchmarks import load, offline, rows
from accelsim.evaluate.benchmarks.catalog import Asked
from accelsim.ids import content_id
from accelsim.recipe.schema import Recipe
from accelsim.sim.numerics import Mode
from accelsim.spec.arch import ArchSpec
from accelsim.version import __version__

#: Libraries that bits of scores may depend on.
_VERSIONS = ("lm-eval", "torch", "transformers", "tokenizers", "nltk", "langdetect")


@dataclass(frozen=True)
class Chip:
    """What answers the model's ops.

    Attributes:
        arch: the chip.
        recipe: how the model is compressed.
        mode: ``exact``, ``sampled`` or ``fast``.
    """

    arch: ArchSpec
    recipe: Recipe
    mode: Mode


@dataclass(frozen=True)
class Plan:
    """Everything that a run depends on, found and checked before anything heavy is loaded.

    Args:
        folder: the model.
        asked: the benchmarks.
        data: their rows, by label.
        chip: None: plain torch.
        dtype: the type of numbers in plain torch.
        allow_code: whether programs that the model writes may be run.
    """

    folder: load.ModelFolder
    asked: Asked
    data: Mapping[str, rows.Data]
    chip: Chip | None
    dtype: str
    allow_code: bool

    @property
    def identity(self) -> dict[str, Any]:
        """What answers and scores depend on."""
        chip, asked = self.chip, self.asked
        return {
            "model": self.folder.name,
            "weights": self.folder.fingerprint,
            "arch": None if chip is None else content_id(chip.arch.model_dump(mode="json")),
            "recipe": None if chip is None else content_id(chip.recipe.model_dump(mode="json")),
            "numerics_mode": None if chip is None else chip.mode,
            "dtype": self.dtype,
            "data": {label: data.fingerprint for label, data in self.data.items()},
            "limit": asked.limit,
            "num_fewshot": asked.num_fewshot,
            "max_gen_toks": asked.max_gen_toks,
            "chat": asked.chat,
            "softmax": asked.softmax,
            "batch_size": asked.batch_size,
            "versions": versions(),
        }

    @property
    def id(self) -> str:
        """The name of the run."""
        return content_id(self.identity)


def versions() -> dict[str, str]:
    """Return the versions that scores may depend on."""
    found = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return {"accelsim": __version__, **found}


def plan(
    model: str, asked: Asked, data: Path, chip: Chip | None, dtype: str, allow_code: bool
) -> Plan:
    """Find and check everything that a run needs.

    Raises:
        InputError: a model, data, a setting or a permission that is missing.
        MissingExtraError: lm-eval or what it needs is not installed.
    """
    offline.require()
    for name, value in (
        ("limit", asked.limit), ("max-gen-toks", asked.max_gen_toks),
        ("batch-size", asked.batch_size),
    ):  # fmt: skip
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; a whole number of at least 1 is needed")
    if asked.num_fewshot is not None and asked.num_fewshot < 0:
        raise InputError(f"--num-fewshot is {asked.num_fewshot}; a count is needed")
    runs_code = [one.name for one in asked.benchmarks if one.runs_code]
    if runs_code and not allow_code:
        raise InputError(
            f"{', '.join(runs_code)}: runs programs that the model wrote; they are run without a "
            "network, within limits of time and memory, and still only when --allow-code is given"
        )
    folder = load.find(model)
    if not data.is_dir():
        raise InputError(f"{data}: no such folder of data")
    found = {one.label: rows.read(one, data) for one in asked.benchmarks}
    return Plan(folder, asked, found, chip, dtype, allow_code)
