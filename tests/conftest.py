"""What every test shares: quiet settings, repeatable random examples, and the folder of the real data."""

from __future__ import annotations

import os
from pathlib import Path

# Before NumPy is imported: two workers on two cores are slower with two BLAS threads each.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("neurosim", deadline=None, derandomize=True, max_examples=50, print_blob=True)
settings.register_profile("thorough", parent=settings.get_profile("neurosim"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "neurosim"))

TREE = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return the root of the source tree."""
    return TREE


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Return the folder around the real mnist/ and fashion-mnist/; a test that needs them is skipped without it."""
    folder = Path(os.environ.get("NEUROSIM_DATA") or TREE.parent / "shared" / "data")
    if not (folder / "mnist" / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip("the real MNIST files are not there; name the folder around mnist/ with NEUROSIM_DATA")
    return folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the working folder, so that default run folders do not land in the tree."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
