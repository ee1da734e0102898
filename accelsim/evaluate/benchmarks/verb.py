"""The verb: what ``accelsim evaluate`` prints, a notebook gets as an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.errors import InputError
from accelsim.evaluate.benchmarks.catalog import Asked
from accelsim.evaluate.benchmarks.folder import RunFolder, data_folder
from accelsim.recipe.schema import Recipe
from accelsim.sim.numerics import Mode
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch

if TYPE_CHECKING:
    from accelsim.evaluate.benchmarks.result import Evaluation

#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


def _quiet(what: str, done: int, total: int) -> None:
    """Say nothing."""


def evaluate(  # noqa: PLR0913  # one keyword per flag of the verb
    model: str,
    tasks: Sequence[str] | Asked,
    *,
    arch: str | ArchSpec | None = None,
    recipe: str | Recipe | None = None,
    overrides: Sequence[str] = (),
    numerics: Mode | None = None,
    data: str | None = None,
    dtype: str = "auto",
    allow_code: bool = False,
    output_dir: str | Path | None = None,
    progress: Progress = _quiet,
) -> Evaluation:
    """Score a model on benchmarks, plainly in torch or in a chip's arithmetic.

    Args:
        model: ``tiny``, or a Hugging Face folder with safetensors and a tokenizer.
        tasks: names of benchmarks, or names with limits and settings.
        arch: a shipped name, a path, or a loaded chip; None: torch itself computes.
        recipe: a shipped name, a path, or a loaded recipe; on a chip default that of the model's
            checkpoint where it lies in codes, else ``bf16``.
        overrides: ``a.b=c`` for keys of the chip's file.
        numerics: on a chip ``exact``, the default, ``sampled`` or ``fast``.
        data: the folder of the benchmarks' rows; None: ``$ACCELSIM_REFERENCE/data``.
        dtype: numbers that torch computes in without a chip; ``auto``: those of the checkpoint.
        allow_code: whether programs that the model writes may be run, within limits.
        output_dir: where the run is written. Answers are kept beside it while the run goes on, and
            a run that was stopped goes on from them; a finished one is read.
        progress: told what is being done, how much of it is done, and how much there is.

    Raises:
        InputError: anything that the caller gave and that cannot be used.
        RunError: values that leave the range of their format.
    """
    from accelsim.evaluate.benchmarks.coded import recipe_of
    from accelsim.evaluate.benchmarks.plan import Chip, plan
    from accelsim.evaluate.benchmarks.run import run

    asked = tasks if isinstance(tasks, Asked) else Asked(tuple(tasks))
    if arch is None and (recipe is not None or numerics is not None or overrides):
        raise InputError("--recipe, --numerics and --set say how a chip computes: give --arch")
    chip = None
    if arch is not None:
        loaded = arch if isinstance(arch, ArchSpec) else load_arch(arch, overrides)
        chip = Chip(loaded, recipe_of(model, recipe), numerics or "exact")
    planned = plan(model, asked, data_folder(data), chip, dtype, allow_code)
    if output_dir is None:
        return run(planned, None, progress)
    folder = RunFolder(Path(output_dir))
    return folder.finished(planned.id) or run(planned, folder.journal, progress)
