"""The wheel: built, installed into an empty environment, and used from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from accelsim.graph import zoo
from accelsim.recipe import load as recipes
from accelsim.spec.load import shipped
from tests.support import ROOT

#: Files beside the modules that the package needs.
DATA = ("*.yaml", "*.json", "*.j2", "py.typed")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command in a clean environment and return what it printed."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ACCELSIM"))}
    done = subprocess.run(
        command, cwd=cwd, env={**keep, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of an environment that holds the wheel."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    # The dependencies of this environment, behind the new one's own packages. Files that make an
    # editable install work are not read from there, so the checkout stays out of sight.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def data_files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder.parent)) for kind in DATA for path in folder.rglob(kind)
    }  # fmt: skip


def test_the_wheel_holds_all_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = data_files(ROOT / "accelsim") | data_files(ROOT / "kernels" / "accelsim_kernels")
    wanted |= {f"accelsim/{name}" for name in data_files(ROOT / "arch_specs")}
    assert wanted <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "accelsim",
        "accelsim_kernels",
    }


def test_the_installed_command_finds_its_chips_recipes_and_models(
    installed: Path, tmp_path: Path
) -> None:
    listed = json.loads(run(installed / "accelsim", "specs", "ls", "--json", cwd=tmp_path))
    assert tuple(listed["chips"]) == shipped()
    assert tuple(listed["recipes"]) == recipes.shipped()
    assert tuple(listed["models"]) == zoo.names()
    good = run(installed / "accelsim", "specs", "validate", *shipped(), cwd=tmp_path)
    assert good.count("good") == len(shipped())


def test_the_installed_package_is_the_one_that_was_asked(installed: Path, tmp_path: Path) -> None:
    code = (
        "import accelsim, accelsim_kernels; from accelsim.spec import load; "
        "print(accelsim.__file__, accelsim_kernels.__file__, load.specs_folder())"
    )
    for place in run(installed / "python", "-c", code, cwd=tmp_path).split():
        assert Path(place).is_relative_to(installed.parent)


def test_our_folder_of_kernels_is_no_module(tmp_path: Path) -> None:
    code = (
        "import importlib.util as u; spec = u.find_spec('kernels'); "
        "print(spec.origin if spec and spec.origin else '')"
    )
    origin = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(ROOT)).strip()
    # What is installed may lie in an environment inside the checkout.
    assert not origin or not Path(origin).is_relative_to(ROOT / "kernels")
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_a_package_named_kernels_wins_over_our_folder(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("OWNER = 'Hugging Face'\n")
    code = "import kernels, accelsim_kernels; print(kernels.OWNER)"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), str(tmp_path)])
    assert run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=paths) == "Hugging Face\n"


def test_transformers_loads_beside_hugging_faces_kernels() -> None:
    pytest.importorskip("transformers")
    try:
        site = str(distribution("kernels").locate_file(""))
    except PackageNotFoundError:
        pytest.skip("Hugging Face's package 'kernels' is not installed")
    code = "import transformers.integrations.hub_kernels, kernels; print(kernels.__file__)"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), site])
    place = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=paths)
    assert Path(place.strip()).is_relative_to(site)
