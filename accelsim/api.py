"""The verbs: what the command line prints, a notebook gets as objects."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accelsim.errors import InputError, RunError, UnknownNameError
from accelsim.evaluate.benchmarks.verb import evaluate as evaluate
from accelsim.graph.ir import Graph
from accelsim.graph.model import ModelSource
from accelsim.graph.ops import verify
from accelsim.graph.request import GraphRequest
from accelsim.graph.source import open_model
from accelsim.recipe.annotate import annotate
from accelsim.recipe.load import load_recipe
from accelsim.recipe.schema import Recipe
from accelsim.recipe.stored import recipe_for
from accelsim.sim.numerics import Mode
from accelsim.sim.outcome import FIDELITIES, Fidelity
from accelsim.sim.predict import Predictor, predict_csv
from accelsim.sim.result import LayerResult, SimResult
from accelsim.sim.simulate import Simulator
from accelsim.spec.arch import ArchSpec
from accelsim.spec.load import load_arch

if TYPE_CHECKING:
    from accelsim.mapping.loopnest.replay import Replayed
    from accelsim.sim.dram.replay import Replay
    from accelsim.sim.scalesim import Mode as ScaleMode
    from accelsim.sim.scalesim import ScaleReports
    from accelsim.validate.result import Result, Validation

#: What ``simulate`` runs when it is given nothing.
DEFAULT_ARCH = "edge_npu"
DEFAULT_MODEL = "tiny"
DEFAULT_RECIPE = "w8a8_int8"
DEFAULT_NUMERICS: Mode = "exact"
#: Problems that a model with a task is asked.
PROBLEMS = 200

Phase = Literal["prefill", "decode"]
#: What plans of ops are chosen by.
Objective = Literal["latency", "energy", "edp"]
OBJECTIVES: tuple[Objective, ...] = ("latency", "energy", "edp")
#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


def _quiet(what: str, done: int, total: int) -> None:
    """Say nothing."""


def simulate(  # noqa: PLR0913  # one keyword per flag of the verb
    arch: str | ArchSpec = DEFAULT_ARCH,
    model: str | ModelSource | Graph | None = None,
    recipe: str | Recipe | None = None,
    *,
    request: GraphRequest | None = None,
    fidelity: Fidelity = "tile",
    objective: Objective = "latency",
    overrides: Sequence[str] = (),
    numerics: Mode | None = None,
    problems: int = PROBLEMS,
    progress: Progress = _quiet,
) -> SimResult:
    """Simulate a model, compressed by a recipe, on a chip.

    Args:
        arch: a shipped name, a path, or a loaded chip.
        model: a zoo name, a Hugging Face folder or config, ``package.module:function``, or an
            opened model or a graph. None: a shipped model in a shipped recipe, with values.
        recipe: a shipped name, a path, or a loaded recipe; when a model is given, default that of
            its checkpoint where it lies in codes, else ``bf16``.
        request: phase and sizes; default a prefill of 512 tokens.
        fidelity: ``tile``, ``analytical`` or, for small ops, ``cycle``.
        objective: what plans are chosen by: ``latency``, ``energy`` of data movement, or ``edp``.
        overrides: ``a.b=c`` for keys of the chip's file.
        numerics: also compute values: ``exact``, ``sampled`` or ``fast``.
        problems: how many problems a model with a task is asked.
        progress: told what is being computed, how much of it is done, and how much there is.

    Raises:
        InputError: anything that the caller gave and that cannot be used.
        RunError: values that leave the range of their format.
    """
    if model is None:
        model, recipe = DEFAULT_MODEL, recipe or DEFAULT_RECIPE
        numerics = numerics or DEFAULT_NUMERICS
    chip, source, asked = _chip(arch, overrides), _source(model), request or GraphRequest()
    chosen = _recipe(recipe_for(source, recipe))
    values = None if numerics is None else _Values(source, numerics, problems, progress)
    return _run(chip, source, chosen, asked, fidelity, values, objective)


def compress(  # noqa: PLR0913  # one keyword per flag of the verb
    model: str | ModelSource,
    recipe: str | Recipe,
    output_dir: str | Path,
    *,
    arch: str | ArchSpec | None = None,
    overrides: Sequence[str] = (),
    samples: int | None = None,
    seed: int | None = None,
    progress: Progress = _quiet,
) -> Mapping[str, Any]:
    """Compress a model by a recipe and write it as a checkpoint that ``simulate`` takes.

    Args:
        model: a zoo name with weights, a Hugging Face folder, or an opened model.
        recipe: a shipped name, a path, or a loaded recipe.
        output_dir: a new or empty folder.
        arch: a chip that must multiply the recipe's formats; None: none is asked.
        overrides: ``a.b=c`` for keys of the chip's file.
        samples: windows of calibration text, in place of the recipe's.
        seed: which windows, in place of the recipe's.
        progress: told what is being done, how much of it is done, and how much there is.

    Returns:
        What ``compress.json`` in the folder holds.

    Raises:
        InputError: anything that the caller gave and that cannot be used.
    """
    from accelsim.compress.folder import compress_into

    source, chosen = _source(model), _recipe(recipe)
    if isinstance(source, Graph):
        raise InputError(f"{source.name}: a graph has no weights to compress: give its model")
    given = {
        key: value for key, value in (("samples", samples), ("seed", seed)) if value is not None
    }
    calibration = chosen.calibration.model_copy(update=given)
    chosen = chosen.model_copy(update={"calibration": calibration})
    chip = None if arch is None else _chip(arch, overrides)
    return compress_into(Path(output_dir), source, chosen, chip, progress)


class _Values:
    """What computing values takes beside timing; one serves any number of recipes and chips."""

    def __init__(
        self, source: ModelSource | Graph, mode: Mode, problems: int, progress: Progress
    ) -> None:
        from accelsim.evaluate.measure import Wanted
        from accelsim.evaluate.truth import Truth

        self.wanted, self.progress = Wanted(mode, problems), progress
        if isinstance(source, Graph):
            raise InputError(f"{source.name}: a graph has no weights, so no values: give its model")
        self.truth = Truth(source)

    def attached(
        self, run: SimResult, recipe: Recipe, chip: ArchSpec, request: GraphRequest
    ) -> SimResult:
        """Return a run with what its values got wrong."""
        from accelsim.evaluate.measure import attach, measure

        found = measure(self.truth, recipe, chip, request, self.wanted, self.progress)
        return attach(run, found)


def _run(  # noqa: PLR0913  # what simulate and compare share
    chip: ArchSpec, source: ModelSource | Graph, recipe: Recipe, request: GraphRequest,
    fidelity: Fidelity, values: _Values | None, objective: Objective = "latency",
) -> SimResult:  # fmt: skip
    if fidelity not in FIDELITIES:
        raise UnknownNameError("fidelity", fidelity, FIDELITIES)
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    graph = annotate(_graph(source, request), recipe)
    run = Simulator(chip, fidelity, objective).run(graph, recipe.name)
    return run if values is None else values.attached(run, recipe, chip, request)


def _chip(arch: str | ArchSpec, overrides: Sequence[str]) -> ArchSpec:
    if isinstance(arch, ArchSpec):
        return arch
    if isinstance(arch, str | os.PathLike):
        return load_arch(arch, overrides)
    raise InputError(f"a chip is a name, a path or an ArchSpec, not {type(arch).__name__}")


def _recipe(recipe: str | Recipe) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str | os.PathLike):
        return load_recipe(os.fspath(recipe))
    raise InputError(f"a recipe is a name, a path or a Recipe, not {type(recipe).__name__}")


def _source(model: str | ModelSource | Graph) -> ModelSource | Graph:
    if isinstance(model, str | os.PathLike):
        return open_model(os.fspath(model))
    if isinstance(model, Graph):
        return verify(model)
    if not hasattr(model, "graph"):
        raise InputError(
            f"a model is a name, a path, a Graph or an opened model, not {type(model).__name__}"
        )
    return model


def _graph(source: ModelSource | Graph, request: GraphRequest) -> Graph:
    if isinstance(source, Graph):
        return source
    if source.kind == "module" and request != GraphRequest():
        raise InputError(
            f"{source.name}: a live module has the sizes of its example input; phase, batch, "
            "sequence and context length cannot be set"
        )
    return source.graph(request)


def compare(  # noqa: PLR0913  # one keyword per flag of the verb
    archs: Sequence[str | ArchSpec],
    model: str | ModelSource | Graph,
    recipes: Sequence[str | Recipe] = (),
    *,
    request: GraphRequest | None = None,
    fidelity: Fidelity = "tile",
    overrides: Sequence[str] = (),
    numerics: Mode | None = None,
    problems: int = PROBLEMS,
    progress: Progress = _quiet,
) -> tuple[list[SimResult], dict[tuple[str, str], str]]:
    """Simulate a model on every chip in every recipe; without one, in the checkpoint's or bf16.

    Returns:
        The runs, and for pairs of chip and recipe that cannot run the reason.

    Raises:
        InputError: a chip, model or recipe that cannot be read, or nothing that runs.
    """
    source = _source(model)
    chips = [_chip(arch, overrides) for arch in archs]
    chosen = [_recipe(recipe) for recipe in recipes or [recipe_for(source, None)]]
    asked = request or GraphRequest()
    values = None if numerics is None else _Values(source, numerics, problems, progress)
    runs: list[SimResult] = []
    refused: dict[tuple[str, str], str] = {}
    for chip in chips:
        for recipe in chosen:
            try:
                runs.append(_run(chip, source, recipe, asked, fidelity, values))
            except (InputError, RunError) as error:
                refused[chip.name, recipe.name] = str(error)
    if not runs:
        raise InputError("\n".join(dict.fromkeys(refused.values())))
    return runs, refused


def predict(
    arch: str | ArchSpec,
    op: str,
    dtype: str,
    sizes: Mapping[str, int],
    *,
    fidelity: Fidelity = "tile",
    overrides: Sequence[str] = (),
) -> LayerResult:
    """Predict a single op on a chip; see ``graph.single.SINGLE_OPS`` for ops and sizes.

    Raises:
        InputError: unknown chip, op or format, a missing size, or an op that does not fit.
    """
    chip = _chip(arch, overrides)
    return Predictor(chip, fidelity).op(op, dtype, sizes)


def predict_file(
    arch: str | ArchSpec,
    path: str,
    *,
    fidelity: Fidelity = "tile",
    overrides: Sequence[str] = (),
    progress: Callable[[int], None] = lambda rows: None,
) -> str:
    """Predict every row of a CSV and return the CSV with the results added.

    Raises:
        InputError: the file cannot be read, or rows that cannot be predicted, all with lines.
    """
    chip = _chip(arch, overrides)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return predict_csv(text, path, Predictor(chip, fidelity), progress)


def measurements_folder(what: str, data: str | None = None) -> Path:
    """Return the folder that a subject is validated with.

    Args:
        what: ``kernels``, ``array``, ``dram`` or ``mapping``.
        data: a folder; None: the subject's part of ``$ACCELSIM_REFERENCE``, or what ships.

    Raises:
        InputError: an unknown subject, or no folder is named and nothing ships.
    """
    from accelsim.validate.subjects import folder_of

    return folder_of(what, data)


def validate(
    what: str, folder: Path, predictions: str | None = None, progress: Progress = _quiet
) -> Validation[Result]:
    """Compare what accelsim computes with what a folder says.

    Args:
        what: ``kernels``, ``array``, ``dram`` or ``mapping``.
        folder: vectors with an index, as docs/vectors.md describes them, or tables as
            docs/timing.md does.
        predictions: what ``predict_measurements`` returned; None: it is computed. Kernels are
            always computed.
        progress: told what is being computed, how much of it is done, and how much there is.

    Raises:
        InputError: something else is asked for, or the folder cannot be read.
    """
    from accelsim.validate import kernels, subjects

    if what == "kernels":
        return kernels.validate_kernels(folder)
    text = subjects.predict(what, folder, progress) if predictions is None else predictions
    return subjects.compare(what, folder, text, "predictions")


def predict_measurements(what: str, folder: Path, progress: Progress = _quiet) -> str:
    """Return ``predictions.csv`` of a folder; measurements are not read.

    Raises:
        InputError: something unknown is asked for, or the folder cannot be read.
    """
    from accelsim.validate.subjects import predict

    return predict(what, folder, progress)


def plot_validation(found: Validation[Result], path: Path) -> None:
    """Draw what was predicted over what was measured, with a band of ten percent.

    Args:
        found: a comparison of tables; sets that must be equal have no errors to draw.
        path: an SVG, PNG or PDF.

    Raises:
        InputError: no set has pairs to draw.
    """
    from accelsim.report.plots.scatter import plot_scatter
    from accelsim.report.style import save
    from accelsim.validate.result import PercentSet

    pairs = {one.name: one.pairs for one in found.sets if isinstance(one, PercentSet)}
    save(plot_scatter(f"{found.what}: predicted over measured", pairs), path)


def scalesim(
    config: str,
    topology: str,
    *,
    kind: str | None = None,
    mode: ScaleMode = "compatible",
    progress: Progress = _quiet,
) -> ScaleReports:
    """Run SCALE-Sim's inputs and return its reports.

    Args:
        config: a configuration file of SCALE-Sim.
        topology: a topology file of SCALE-Sim.
        kind: ``conv`` or ``gemm``; None: what the topology's header says.
        mode: ``compatible`` counts as SCALE-Sim 3.0.0 does, ``native`` what really happens.
        progress: told which layer is done, how many are, and how many there are.

    Raises:
        InputError: a file cannot be read, or holds mistakes, all of them with their lines.
    """
    from accelsim.graph.scalesim import read_topology
    from accelsim.sim.scalesim import read_config, run

    return run(read_topology(topology, kind), read_config(config), mode, progress)


def provenance(command: Sequence[str], started: float) -> dict[str, Any]:
    """Return what produced a run and is not part of its result: command, versions, time, host."""
    import platform

    import numba
    import numpy as np

    from accelsim.version import __version__

    return {
        "command": list(command),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_s": round(time.time() - started, 3),
        "accelsim": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
    }


def replay_mapping(
    path: str,
    *,
    hierarchy: str | None = None,
    objective: Objective | None = None,
    pareto: bool = False,
) -> Replayed:
    """Cost a mapping of a layer over a memory hierarchy, and search for the best one.

    Args:
        path: a YAML file; docs/mapping.md describes it.
        hierarchy: a shipped name or a path that takes the place of the file's.
        objective: ``energy``, ``latency`` or ``edp``; None: the file's, or energy.
        pareto: whether the front of energy and latency is searched too.

    Raises:
        InputError: the file holds mistakes, all of them with their lines, or nothing fits.
    """
    from accelsim.mapping.loopnest.replay import replay

    return replay(Path(path), path, hierarchy=hierarchy, objective=objective, pareto=pareto)


def replay_dram(  # noqa: PLR0913 - one argument per setting of the driver
    trace: Path,
    standard: str,
    *,
    profile: str = "dramsim3",
    channels: int | None = None,
    ranks: int | None = None,
    mapping: str | None = None,
    interval: int = 0,
    chase: bool = False,
    width: int = 1,
    progress: Progress = _quiet,
) -> Replay:
    """Run a memory trace through a DRAM at command level.

    Args:
        trace: text in DRAMsim3's or Ramulator's format, or a ``.npy`` of uint64 words.
        standard: a speed grade or a generation; docs/dram.md lists them.
        profile: the controller, ``dramsim3`` or ``ramulator2``.
        channels: None: as the standard's table has it.
        ranks: per channel; None: as the standard's table has it.
        mapping: of addresses; None: as the standard's table has it.
        interval: least clocks between the acceptance of two requests.
        chase: whether a request waits for the read before it.
        width: requests that can be accepted per clock.
        progress: told how many requests were accepted, and of how many.

    Raises:
        InputError: an unknown name, a system that the standard forbids, or a bad trace.
    """
    from accelsim.sim.dram.replay import replay
    from accelsim.sim.dram.system import DramSystem
    from accelsim.sim.dram.trace import read_trace

    system = DramSystem.from_standard(
        standard, channels=channels, ranks=ranks, mapping=mapping, profile=profile
    )
    words, clocks = read_trace(trace, system.size_bytes)
    return replay(system, words, interval, chase, width, arrival=clocks, progress=progress)


def vectors(preset: str, folder: str | Path, **wanted: Any) -> Path:
    """Write test vectors of a matrix unit: operands, the sums after each step of K, results.

    Args:
        preset: name of an arithmetic; ``accelsim specs ls arithmetic`` lists them.
        folder: holds all of the vectors afterwards, or what it held; docs/rtl.md says what.
        wanted: fields of ``validate.rtl_request.Request``: ``m``, ``n``, ``k``, ``seed``, ...

    Raises:
        InputError: an unknown name, sizes that are none, or a folder that holds something else.
    """
    from accelsim.report.folder import check_reports, write_reports
    from accelsim.validate import rtl
    from accelsim.validate.rtl_request import Request

    check_reports(folder, rtl.NAMES)
    rtl.check_ours(Path(folder))
    return write_reports(folder, rtl.build(Request(preset, **wanted)), rtl.NAMES)
