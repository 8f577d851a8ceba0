"""CIFAR-10: the binary version as users download it, found, fetched, read and scaled channel by channel."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from neurosim.cli.datasets import announce_download
from neurosim.datasets import DATASETS, load_dataset, locate
from neurosim.datasets.catalogue import DataFile
from neurosim.errors import DatasetError

INFO = DATASETS["cifar10"]
FOLDER = "cifar-10-batches-bin"
EACH = 20
"""Records of a small file."""


def small_files() -> dict[str, bytes]:
    """Return six files of EACH records, of random pixels and of each class in turn."""
    rng = np.random.default_rng(5)
    labels = (np.arange(EACH) % 10).astype(np.uint8)
    pixels = rng.integers(0, 256, (6, EACH, 3072), np.uint8)
    return {name: np.column_stack([labels, part]).tobytes() for name, part in zip(INFO.contents, pixels, strict=True)}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into folder/cifar-10-batches-bin and return folder."""
    (folder / FOLDER).mkdir()
    for name, content in files.items():
        (folder / FOLDER / name).write_bytes(content)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make cifar10 a data set of small files that no mirror serves, and return the empty cache."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    sizes = {"train_samples": 5 * EACH, "test_samples": EACH, "mirrors": ("http://127.0.0.1:9/",)}
    monkeypatch.setitem(DATASETS, "cifar10", INFO.model_copy(update=sizes))
    return cache


@pytest.fixture(scope="module")
def real_cifar10(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder around the real binary files; they are unpacked for these tests where only their source is."""
    data = Path(os.environ.get("NEUROSIM_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if (data / FOLDER / "test_batch.bin").is_file():
        yield data
        return
    unpack = data.parent / "tools" / "unpack_cifar10.py"
    if not unpack.is_file():
        pytest.skip(f"the real CIFAR-10 files are not there; name the folder around {FOLDER}/ with NEUROSIM_DATA")
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, str(unpack), str(folder)], check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder)


def test_records_are_a_label_and_three_planes_in_the_order_of_the_files(small: Path, tmp_path: Path) -> None:
    files = small_files()
    data = load_dataset("cifar10", write(tmp_path, files), scale="none")
    records = np.frombuffer(b"".join(files.values()), np.uint8).reshape(-1, 3073)
    assert np.array_equal(data.train_x, records[:-EACH, 1:])
    assert np.array_equal(data.train_y, records[:-EACH, 0])
    assert np.array_equal(data.test_x, records[-EACH:, 1:])
    assert (data.train_x.dtype, data.image_shape, data.outputs) == (np.float32, (3, 32, 32), 10)
    assert data.train_x.flags.c_contiguous


def test_the_folder_is_found_through_the_variable_too(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(write(tmp_path, small_files())))
    assert locate(DATASETS["cifar10"]) == tmp_path / FOLDER
    assert load_dataset("cifar10").train_samples == 5 * EACH


def test_standard_scale_is_per_channel(small: Path, tmp_path: Path) -> None:
    data = load_dataset("cifar10", write(tmp_path, small_files()), scale="standard")
    channels = data.train_x.reshape(-1, 3, 1024).astype(np.float64)
    assert np.allclose(channels.mean(axis=(0, 2)), 0, atol=1e-6)
    assert np.allclose(channels.std(axis=(0, 2)), 1, atol=1e-6)
    assert np.abs(channels.mean(axis=0)).max() > 0.01  # and not per pixel


DAMAGED = {
    "short": (b"\x01" * (EACH * 3073 - 1), "holds 61459 bytes, where 61460 are expected, 20 records of a label and"),
    "long": (b"\x01" * (EACH * 3073 + 3073), "holds 64533 bytes, where 61460 are expected"),
    "empty": (b"", "holds 0 bytes"),
    "label": (b"\x0b" * (EACH * 3073), r"\[0\] is 11; labels are whole numbers from 0 to 9"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused_by_name(small: Path, tmp_path: Path, case: str) -> None:
    content, sentence = DAMAGED[case]
    folder = write(tmp_path, small_files() | {"data_batch_3.bin": content})
    with pytest.raises(DatasetError, match=f"{FOLDER}/data_batch_3.bin.*{sentence}") as refusal:
        load_dataset("cifar10", folder)
    assert "\n" not in str(refusal.value)


def test_missing_files_are_named_with_the_archive_that_holds_them(small: Path, tmp_path: Path) -> None:
    files = small_files()
    del files["test_batch.bin"]
    with pytest.raises(
        DatasetError, match=rf"test_batch.bin missing; put .*\(unpacked from .*\) in a folder {FOLDER}/"
    ):
        load_dataset("cifar10", write(tmp_path, files))


def test_no_network_gives_one_sentence_with_folder_and_archive(small: Path) -> None:
    with pytest.raises(DatasetError, match="could not be downloaded") as refusal:
        load_dataset("cifar10")
    for part in (FOLDER, "cifar-10-binary.tar.gz", "--data-dir", "NEUROSIM_DATA", "test_batch.bin"):
        assert part in str(refusal.value)


@pytest.fixture
def served(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve an archive of small files, with its checksum in the table, and return it."""
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in {**small_files(), "readme.html": b"<html>"}.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    file = DataFile(name=archive.name, size_bytes=archive.stat().st_size, sha256=digest)
    update = {"files": (file,), "mirrors": (f"http://127.0.0.1:{server.server_port}/",)}
    monkeypatch.setitem(DATASETS, "cifar10", DATASETS["cifar10"].model_copy(update=update))
    yield archive
    server.shutdown()
    server.server_close()


def test_the_archive_is_downloaded_once_checked_and_unpacked(served: Path, small: Path) -> None:
    data = load_dataset("cifar10")
    assert data.train_samples == 5 * EACH
    assert [path.name for path in (small / "neurosim").iterdir()] == [FOLDER]  # the archive is not kept
    served.unlink()
    assert load_dataset("cifar10").describe() == data.describe()


def test_a_download_is_announced_on_a_terminal_only(
    served: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announce_download("cifar10", None)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for name in ("cifar10", "digits", "mine.npz"):
        announce_download(name, None)
    assert capsys.readouterr().err == "downloading cifar10, 0 MB (once)\n"
    load_dataset("cifar10")
    announce_download("cifar10", None)
    assert capsys.readouterr().err == ""


def test_an_archive_with_another_checksum_is_refused(served: Path) -> None:
    served.write_bytes(b"something else")
    with pytest.raises(DatasetError, match=r"cifar-10-binary.tar.gz could not be downloaded \(wrong checksum\)"):
        load_dataset("cifar10")


def test_the_table_has_the_archive_of_the_authors_page() -> None:
    assert (INFO.samples, INFO.train_samples, INFO.inputs, INFO.image_shape) == (60000, 50000, 3072, (3, 32, 32))
    assert [file.name for file in INFO.files] == ["cifar-10-binary.tar.gz"]
    assert INFO.size_bytes == 170052171
    assert "50000 are for training" in INFO.source


def test_the_real_images_have_the_known_classes_means_and_deviations(real_cifar10: Path) -> None:
    data = load_dataset("cifar10", real_cifar10)
    assert data.train_x.shape == (50000, 3072)
    assert np.bincount(data.train_y).tolist() == [5000] * 10
    assert np.bincount(data.test_y).tolist() == [1000] * 10
    assert data.train_y[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    channels = data.train_x.reshape(-1, 3, 1024)
    # The values in common use, computed from the same images.
    assert np.allclose(channels.mean(axis=(0, 2), dtype=np.float64), [0.4914, 0.4822, 0.4465], atol=1e-4)
    assert np.allclose(channels.std(axis=(0, 2), dtype=np.float64), [0.2470, 0.2435, 0.2616], atol=1e-4)


def test_loading_the_real_images_needs_little_more_than_their_arrays(real_cifar10: Path) -> None:
    tracemalloc.start()
    load_dataset("cifar10", real_cifar10, scale="standard")
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    # 737 MB of float32 and 184 MB of bytes; one copy of the training images more would be 614 MB.
    assert peak_mb < 1000
