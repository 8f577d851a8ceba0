"""The project as others get it: metadata, and the chips found in the bare tree, an editable install and a wheel."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
LOOK_UP = (
    "import neurosim, neurosim.chips as chips; from neurosim.datasets import load_dataset;"
    "print(neurosim.__file__, chips.load_chip('tiny').cores, chips.load_chip('mesh64').cores,"
    " load_dataset('digits').train_samples)"
)


@pytest.fixture(scope="module")
def copied_tree(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what a package is built from, so that building leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("source") / "tree"
    copy.mkdir()
    for name in ("neurosim", "hw_models"):
        shutil.copytree(tree / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(tree / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(copied_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(copied_tree)], check=True)
    return next(folder.glob("*.whl"))


def look_up(command: str, *, cwd: Path, path: str = "") -> list[str]:
    """Run a command in a fresh interpreter and return the words it printed."""
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_chips_and_digits_are_found_in_the_bare_tree(copied_tree: Path) -> None:
    found = look_up(LOOK_UP, cwd=copied_tree)
    assert found == [str(copied_tree / "neurosim" / "__init__.py"), "2", "64", "1437"]


def test_chips_and_digits_are_found_in_a_wheel(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([*PIP, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    found = look_up(LOOK_UP, cwd=tmp_path, path=str(tmp_path / "site"))
    assert found == [str(tmp_path / "site" / "neurosim" / "__init__.py"), "2", "64", "1437"]


def test_chips_and_digits_are_found_in_an_editable_install(copied_tree: Path, tmp_path: Path) -> None:
    command = [*PIP, "--no-build-isolation", "--target", str(tmp_path / "site"), "--editable", str(copied_tree)]
    subprocess.run(command, check=True)
    # As a folder of site-packages, whose .pth files are read; and without the finder of this environment's own
    # editable install, which has the same name and would answer first.
    setup = (
        "import site, sys;"
        "sys.meta_path[:] = [f for f in sys.meta_path if '__editable__' not in getattr(f, '__module__', '')];"
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('__editable__')];"
        f"folder = {str(tmp_path / 'site')!r}; sys.path.insert(0, folder); site.addsitedir(folder);"
    )
    found = look_up(setup + LOOK_UP, cwd=tmp_path)
    assert found == [str(copied_tree / "neurosim" / "__init__.py"), "2", "64", "1437"]


def test_the_wheel_holds_every_package_description_and_data_file(wheel: Path, tree: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(tree)) for path in (tree / "neurosim").rglob("*.py")}
    described = {f"neurosim/hw_models/{path.name}" for path in (tree / "hw_models").glob("*.toml")}
    assert modules | described | {"neurosim/data/digits.npz", "neurosim/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "hw_models/", "benchmarks/", "docs/"))]


def test_the_list_of_packages_is_complete(tree: Path) -> None:
    folders = {path.parent.relative_to(tree) for path in (tree / "neurosim").rglob("__init__.py")}
    packages = {".".join(folder.parts) for folder in folders}
    assert set(read_setup(tree)["options"]["packages"].split()) == packages | {"neurosim.hw_models"}


def test_the_distribution_and_the_command_have_their_names(wheel: Path) -> None:
    assert wheel.name.startswith("neurosim_chip-")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "neurosim = neurosim.cli.app:main" in archive.read(name).decode()


def test_the_version_is_the_same_wherever_it_stands(tree: Path) -> None:
    version = read_setup(tree)["metadata"]["version"]
    assert f"\nversion: {version}\n" in (tree / "CITATION.cff").read_text()
    changelog = (tree / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog or f"## [{version}]" in changelog


def test_pyproject_holds_only_the_build_system_and_ruff(tree: Path) -> None:
    settings = tomllib.loads((tree / "pyproject.toml").read_text())
    assert set(settings) == {"build-system", "tool"}
    assert set(settings["tool"]) == {"ruff"}


def test_ci_runs_make_test_and_nothing_else(tree: Path) -> None:
    script = tree / ".ci" / "run"
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test"]
    assert os.access(script, os.X_OK)


def test_the_licence_names_the_developers(tree: Path) -> None:
    text = (tree / "LICENSE").read_text()
    assert re.match(r"BSD 3-Clause License\n\nCopyright \(c\) \d{4}, The neurosim developers\n", text)


def read_setup(tree: Path) -> configparser.ConfigParser:
    """Return the settings of setup.cfg."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(tree / "setup.cfg")
    return settings
