"""Quantization- and pruning-aware training of a Hugging Face folder, with a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelsim.compress.export.folder import check_new
from accelsim.compress.export.write import write_checkpoint
from accelsim.compress.train.lesson import Lesson
from accelsim.compress.train.loop import Tell, deterministic, run, tell_stderr
from accelsim.compress.train.settings import TrainSettings, settings_of
from accelsim.errors import InputError
from accelsim.recipe.schema import Recipe
from accelsim.sim.numerics import ChipNumerics

#: The file of the last checkpoint.
STATE = "training.pt"


def train(  # noqa: PLR0913  # what a training is made of; most have defaults
    model: str | Path,
    recipe: Recipe | None,
    output: str | Path,
    *,
    teacher: str | Path | None = None,
    settings: TrainSettings | Mapping[str, Any] | None = None,
    checkpoints: str | Path | None = None,
    chip: ChipNumerics | None = None,
    tell: Tell = tell_stderr,
) -> Path:
    """Train a compressed model to follow its teacher, and write it.

    The checkpoint has the weights in the recipe's storage format. Coded as the recipe says, to
    nearest, they give the very codes that were trained.

    Args:
        model: the student: a Hugging Face folder or the name of a model that ships.
        recipe: how it is compressed; None: not at all, as after structured pruning.
        output: the folder to write; whole or not at all.
        teacher: a folder or name; None: the student itself, uncompressed in FP32.
        settings: steps, rates, and the parts of the loss.
        checkpoints: a folder for the last checkpoint: the same call goes on from there, to the same
            final bytes. None: nothing is kept.
        chip: whose arithmetic the exact steps run in.
        tell: told how far the training is.

    Returns:
        The folder that was written.

    Raises:
        InputError: settings, models or text that do not fit together.
        CheckpointError: weights that are missing or not finite.
        RecipeError: formats that are not trained in, or a recipe that covers nothing.
        OutputError: the folder is not empty or cannot be written.
    """
    check_new(output)
    wanted = settings_of(settings)
    if wanted.exact_steps and chip is None:
        raise InputError("training: exact_steps needs a chip, whose arithmetic they run in")
    with deterministic(wanted.threads):
        lesson = Lesson(model, teacher, recipe, wanted, chip)
        if checkpoints is not None:
            Path(checkpoints).mkdir(parents=True, exist_ok=True)
        state = None if checkpoints is None else Path(checkpoints) / STATE
        run(lesson.training(), state, (wanted.keep_every, max(1, min(50, wanted.steps // 10))),
            tell)  # fmt: skip
        folder = write_checkpoint(
            output, lesson.tensors(), lesson.config, source=lesson.folder, files=lesson.files
        )
    if state is not None:
        state.unlink(missing_ok=True)
    return folder
