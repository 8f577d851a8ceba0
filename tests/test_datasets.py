"""Data sets: what is loaded, how it is scaled and split, and what is refused with which sentence."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from neurosim.datasets import DATASETS, check_fits, load_dataset, locate, validation_split
from neurosim.datasets.catalogue import DataFile
from neurosim.errors import DatasetError
from neurosim.networks.network import dense

NAMES = [file.name for file in DATASETS["mnist"].files]
RNG = np.random.default_rng(1)
X, Y = RNG.random((30, 4)), np.arange(30) % 3


def idx(array: np.ndarray) -> bytes:
    """Return an idx file of bytes, unzipped."""
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


def write_small_mnist(folder: Path, **wrong: bytes) -> Path:
    """Write four idx files of a few random images into folder/mnist; ``wrong`` replaces zipped files by number."""
    (folder / "mnist").mkdir(exist_ok=True)
    for number, (name, samples) in enumerate(zip(NAMES, (20, 20, 10, 10), strict=True)):
        values = np.arange(samples) % 10 if "labels" in name else RNG.integers(0, 256, (samples, 28, 28))
        (folder / "mnist" / name).write_bytes(wrong.get(f"file{number}", gzip.compress(idx(values))))
    return folder


@pytest.fixture(autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache and mirrors that refuse at once: no test reaches the network."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    refusing = ("http://127.0.0.1:9/", "http://127.0.0.1:9/other/")
    for name in ("mnist", "fashion-mnist", "cifar10"):
        monkeypatch.setitem(DATASETS, name, DATASETS[name].model_copy(update={"mirrors": refusing}))
    return cache


def test_digits_are_the_1797_images_of_uci_in_a_stratified_split() -> None:
    digits = load_dataset("digits")
    assert (digits.train_samples, digits.test_samples, digits.inputs, digits.outputs) == (1437, 360, 64, 10)
    all_labels = np.concatenate([digits.train_y, digits.test_y])
    # Class counts of optdigits.tes as its documentation states them.
    assert np.bincount(all_labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert set(np.bincount(digits.test_y)) <= {35, 36, 37}


def test_digits_images_are_the_published_ones() -> None:
    digits = load_dataset("digits", scale="none")
    images = np.concatenate([digits.train_x, digits.test_x])
    assert images.min() == 0
    assert images.max() == 16
    assert images.sum() == 561718  # scikit-learn: load_digits().data.sum()


def test_the_split_of_digits_is_the_same_everywhere() -> None:
    digits = load_dataset("digits", scale="none")
    digest = hashlib.sha256(digits.test_x.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "c4a6437d004c678f8d5f893fb4f6f94e1b550c3ec7f363e232890c975c01cc0a"


def test_arrays_are_float32_rows_in_c_order_and_labels_int64() -> None:
    for dataset in (load_dataset("digits"), load_dataset((np.asfortranarray(X), Y.astype(np.uint8)))):
        for x in (dataset.train_x, dataset.test_x):
            assert x.dtype == np.float32
            assert x.flags.c_contiguous
        assert dataset.train_y.dtype == np.int64
        assert dataset.targets == "labels"


def test_unit_scale_divides_by_the_largest_possible_value() -> None:
    pixels = RNG.integers(0, 200, (10, 3)).astype(np.uint8)
    labels = np.arange(10) % 2
    assert np.array_equal(load_dataset((pixels, labels, pixels, labels)).train_x, pixels / np.float32(255))
    wide = load_dataset((X * 40 - 30, Y, X, Y)).train_x
    assert np.abs(wide).max() == 1
    inside = load_dataset((X, Y, X, Y)).train_x
    assert np.array_equal(inside, X.astype(np.float32))


def test_standard_scale_uses_the_training_samples_only() -> None:
    dataset = load_dataset((X * 7 + 3, Y, X + 100, Y), scale="standard")
    assert np.allclose(dataset.train_x.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(dataset.train_x.std(axis=0), 1, atol=1e-6)
    assert dataset.test_x.mean() > 10


def test_standard_scale_of_images_is_global() -> None:
    digits = load_dataset("digits", scale="standard")
    assert abs(digits.train_x.mean(dtype=np.float64)) < 1e-6
    assert digits.train_x.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert np.unique(digits.train_x[:, 0]).size == 1  # a pixel that never changes is not blown up


def test_standard_scale_of_a_constant_input_only_centres_it() -> None:
    x = np.column_stack([X[:, 0], np.full(30, 5.0)])
    assert np.array_equal(load_dataset((x, Y), scale="standard").train_x[:, 1], np.zeros(24))


def test_none_leaves_values_and_the_users_arrays_are_never_changed() -> None:
    before = X.astype(np.float32)
    mine = before.copy()
    dataset = load_dataset((mine, Y, mine, Y), scale="none")
    assert np.array_equal(dataset.train_x, before)
    load_dataset((mine, Y, mine, Y), scale="standard")
    assert np.array_equal(mine, before)


def test_npz_with_images_keeps_their_shape(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (12, 5, 4)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=Y[:12], x_test=images, y_test=Y[:12])
    dataset = load_dataset(tmp_path / "mine.npz")
    assert (dataset.name, dataset.image_shape, dataset.inputs) == ("mine", (5, 4), 20)
    assert load_dataset(str(tmp_path / "mine.npz")).train_x.shape == (12, 20)


def test_without_test_samples_a_stratified_fifth_is_set_apart_and_said() -> None:
    dataset = load_dataset((X, Y))
    assert np.bincount(dataset.test_y).tolist() == [2, 2, 2]
    assert dataset.train_samples == 24
    assert "6 of 30 samples were set apart" in dataset.note


def test_dense_targets_are_float32_with_one_column_per_output() -> None:
    dataset = load_dataset({"x_train": X, "y_train": X[:, :2] * 2})
    assert (dataset.targets, dataset.outputs, dataset.train_y.dtype) == ("dense", 2, np.float32)
    one_hot = load_dataset((X, np.eye(3, dtype=int)[Y]))
    assert (one_hot.targets, one_hot.outputs) == ("dense", 3)


def test_integer_labels_in_a_column_are_labels() -> None:
    assert np.array_equal(load_dataset((X, Y[:, None], X, Y)).train_y, Y)


def test_a_dataset_is_passed_through_unless_another_scale_is_asked_for() -> None:
    digits = load_dataset("digits")
    assert load_dataset(digits) is digits
    with pytest.raises(DatasetError, match="has scale 'unit'; load it again for 'none'"):
        load_dataset(digits, scale="none")


def test_describe_tells_data_apart_by_their_digest() -> None:
    one, same, other = (load_dataset((X + shift, Y), scale="none").describe() for shift in (0, 0, 0.5))
    assert one == same
    assert one["sha256"] != other["sha256"]


def test_mnist_files_are_read_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_mnist(tmp_path)
    explicit = load_dataset("mnist", data_dir=tmp_path)
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    assert explicit.train_x.shape == (20, 784)
    assert explicit.describe() == load_dataset("mnist").describe()


def test_real_mnist_and_fashion_have_the_published_class_counts(mnist_folder: Path) -> None:
    mnist = load_dataset("mnist", data_dir=mnist_folder)
    assert np.bincount(mnist.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (mnist.train_x.shape, mnist.test_x.shape, mnist.train_x.max()) == ((60000, 784), (10000, 784), 1)
    fashion = load_dataset("fashion-mnist", data_dir=mnist_folder)
    assert np.bincount(fashion.test_y).tolist() == [1000] * 10


def test_real_files_have_the_checksums_of_the_table(mnist_folder: Path) -> None:
    for name in ("mnist", "fashion-mnist"):
        for file in DATASETS[name].files:
            data = (mnist_folder / name / file.name).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)


def test_loading_mnist_needs_little_more_than_its_arrays(mnist_folder: Path) -> None:
    tracemalloc.start()
    load_dataset("mnist", mnist_folder, scale="standard")
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    # 220 MB of float32 and 55 MB of bytes; a float64 copy on the way would be 376 MB more.
    assert peak_mb < 300


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Serve a folder on this computer as the second mirror of mnist, with the checksums of its files."""
    servers: list[HTTPServer] = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    def start(folder: Path) -> None:
        servers.append(HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        content = [(name, (folder / name).read_bytes()) for name in NAMES]
        found = tuple(
            DataFile(name=name, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in content
        )
        mirrors = (*DATASETS["mnist"].mirrors[:1], f"http://127.0.0.1:{servers[-1].server_port}/")
        info = DATASETS["mnist"].model_copy(update={"files": found, "mirrors": mirrors})
        monkeypatch.setitem(DATASETS, "mnist", info)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_absent_files_are_downloaded_once_with_checksum(
    tmp_path: Path, serve: Callable[[Path], None], nowhere: Path
) -> None:
    folder = write_small_mnist(tmp_path) / "mnist"
    serve(folder)
    dataset = load_dataset("mnist")
    assert dataset.train_samples == 20
    assert locate(DATASETS["mnist"]) == nowhere / "neurosim" / "mnist"
    (folder / NAMES[0]).unlink()
    assert load_dataset("mnist").describe() == dataset.describe()


def test_a_download_with_another_checksum_is_refused(tmp_path: Path, serve: Callable[[Path], None]) -> None:
    folder = write_small_mnist(tmp_path) / "mnist"
    serve(folder)
    (folder / NAMES[1]).write_bytes(b"something else")
    with pytest.raises(DatasetError, match=f"{NAMES[1]} could not be downloaded .*wrong checksum"):
        load_dataset("mnist")


def test_no_network_gives_one_sentence_with_folder_files_and_variable(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DatasetError) as refusal:
        load_dataset("fashion-mnist")
    sentence = str(refusal.value)
    assert "\n" not in sentence
    for part in ("fashion-mnist/", "--data-dir", "NEUROSIM_DATA", *NAMES):
        assert part in sentence
    assert capfd.readouterr().err == ""


def test_a_data_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="--data-dir: .*absent is not a folder"):
        load_dataset("mnist", data_dir=tmp_path / "absent")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path / "absent"))
    with pytest.raises(DatasetError, match="NEUROSIM_DATA: .*absent is not a folder"):
        load_dataset("mnist")


def test_a_folder_with_some_of_the_files_names_the_missing_ones(tmp_path: Path) -> None:
    write_small_mnist(tmp_path)
    (tmp_path / "mnist" / NAMES[2]).unlink()
    with pytest.raises(DatasetError, match=f"{NAMES[2]} missing; put"):
        load_dataset("mnist", data_dir=tmp_path)


GOOD_IMAGES = gzip.compress(idx(np.zeros((20, 28, 28))))
DAMAGED = {
    "empty": (0, b"", "empty"),
    "gzip of nothing": (0, gzip.compress(b""), "empty"),
    "no gzip": (0, b"PK hello", "not a whole gzip file"),
    "cut gzip": (0, GOOD_IMAGES[: len(GOOD_IMAGES) // 2], "not a whole gzip file"),
    "wrong magic": (0, gzip.compress(idx(np.zeros(20))), "starts with 0x00000801; .* starts with 0x00000803"),
    "cut header": (0, gzip.compress(idx(np.zeros((20, 28, 28)))[:10]), "ends after 10 bytes, within its header of 16"),
    "too few bytes": (0, gzip.compress(idx(np.zeros((20, 28, 28)))[:-1]), "15695 bytes, .* promises 15696"),
    "too many bytes": (1, gzip.compress(idx(np.zeros(20)) + b"x"), "holds 29 bytes, but its header promises 28"),
    "absurd size": (1, gzip.compress(bytes((0, 0, 8, 1)) + b"\xff" * 4), "promises 4294967303"),
    "image shape": (0, gzip.compress(idx(np.zeros((20, 27, 28)))), "27 x 28 pixels, where 28 x 28"),
    "no samples": (0, gzip.compress(idx(np.zeros((0, 28, 28)))), "20 labels for 0 images"),
    "counts differ": (1, gzip.compress(idx(np.zeros(19))), "19 labels for 20 images"),
    "label range": (1, gzip.compress(idx(np.full(20, 11))), r"\[0\] is 11; labels are whole numbers from 0 to 9"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_idx_files_are_refused_by_name(tmp_path: Path, case: str) -> None:
    number, content, sentence = DAMAGED[case]
    write_small_mnist(tmp_path, **{f"file{number}": content})
    with pytest.raises(DatasetError, match=sentence) as refusal:
        load_dataset("mnist", data_dir=tmp_path)
    assert "mnist/" in str(refusal.value)


def test_idx_files_without_samples_are_refused(tmp_path: Path) -> None:
    none = {"file0": gzip.compress(idx(np.zeros((0, 28, 28)))), "file1": gzip.compress(idx(np.zeros(0)))}
    write_small_mnist(tmp_path, **none)
    with pytest.raises(DatasetError, match="no samples"):
        load_dataset("mnist", data_dir=tmp_path)


nan_x = X.copy()
nan_x[3, 2] = np.nan
WRONG_ARRAYS = {
    "nan": ((nan_x, Y), r"x_train\[3, 2\] is nan; every value must be a finite float32"),
    "inf in images": ((np.full((4, 2, 2), np.inf), [0, 1, 0, 1]), r"x_train\[0, 0, 0\] is inf"),
    "too large": ((X * 1e300, Y), "finite float32"),
    "text": ((np.array([["a"]]), [0]), "x_train: holds values of type <U1; inputs are real numbers"),
    "one axis": ((X[:, 0], Y), r"x_train: has shape \(30,\); inputs have the shape \[samples, inputs\]"),
    "no samples": ((X[:0], Y[:0]), "no samples"),
    "fewer labels": ((X, Y[:-1]), r"y_train: has shape \(29,\) for 30 samples"),
    "reals as labels": ((X, Y * 1.0), r"holds float64 values; labels are integers \(give y.astype\(int\)\)"),
    "negative": ((X, Y - 1), r"y_train\[0\] is -1; labels are whole numbers from 0 up"),
    "huge label": ((X, np.where(Y == 2, 10**6, Y)), "1000001 classes of 30 samples"),
    "one class": ((X, Y * 0), "every label is 0; at least two classes"),
    "test label": ((X, Y, X, Y + 1), r"y_test\[2\] is 3; labels are whole numbers from 0 to 2"),
    "test inputs": ((X, Y, X[:, :3], Y), r"x_test: has shape \(30, 3\), x_train \(30, 4\)"),
    "test targets": ((X, X, X, X[:, :2]), r"y_test: has shape \(30, 2\), y_train \(30, 4\)"),
    "dense nan": ((X, nan_x), r"y_train\[3, 2\] is nan"),
    "three arrays": ((X, Y, X), r"\(x, y\) or \(x_train, y_train, x_test, y_test\)"),
    "no pair": (X, r"\(x, y\) or \(x_train, y_train, x_test, y_test\)"),
    "too few": ((X[:2], [0, 1]), "2 samples are too few to set some apart"),
    "key": ({"x_train": X, "y_trian": Y}, "'y_train' is not among x_train, y_trian; did you mean 'y_trian'"),
    "half a test": ({"x_train": X, "y_train": Y, "x_test": X}, "'y_test' is not among"),
}


@pytest.mark.parametrize("case", WRONG_ARRAYS)
def test_arrays_that_cannot_be_trained_on_are_refused(case: str) -> None:
    source, sentence = WRONG_ARRAYS[case]
    with pytest.raises(DatasetError, match=sentence):
        load_dataset(source)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_damaged_npz_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"mine.npz: not a whole .npz file of numbers"):
        load_dataset(tmp_path / "mine.npz")


def test_npz_of_objects_a_single_array_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", x_train=np.array([{}, {}]), y_train=[0, 1])
    with pytest.raises(DatasetError, match="objects.npz: not a whole .npz file of numbers"):
        load_dataset(tmp_path / "objects.npz")
    with (tmp_path / "single.npz").open("wb") as stream:
        np.save(stream, X)
    with pytest.raises(DatasetError, match="single.npz: holds one array"):
        load_dataset(tmp_path / "single.npz")
    with pytest.raises(DatasetError, match=r"absent.npz: cannot be read \(No such file"):
        load_dataset(tmp_path / "absent.npz")


def test_an_unknown_name_gets_the_list_and_the_nearest_guess() -> None:
    with pytest.raises(DatasetError, match="mnist, fashion-mnist, cifar10 nor an .npz file.*; did you mean 'mnist'"):
        load_dataset("mnits")
    with pytest.raises(DatasetError, match="scale: 'units' is not one of unit, standard, none; did you mean 'unit'"):
        load_dataset("digits", scale="units")  # type: ignore[arg-type]


def test_validation_split_is_stratified_seeded_and_loses_nothing() -> None:
    digits = load_dataset("digits")
    split, again, other = (validation_split(digits, 0.1, seed) for seed in (3, 3, 4))
    assert split.validation_samples == 144
    assert split.train_samples == 1437 - 144
    assert set(np.bincount(split.validation_y)) <= {13, 14, 15}
    assert split.describe() == again.describe()
    assert split.describe() != other.describe()
    both = np.concatenate([split.train_x, split.validation_x])
    assert np.array_equal(np.sort(both, axis=0), np.sort(digits.train_x, axis=0))
    assert split.test_x is digits.test_x


def test_tuning_sees_validation_samples_in_place_of_test_samples() -> None:
    split = validation_split(load_dataset("digits"), 0.2)
    assert split.for_tuning.test_x is split.validation_x
    assert split.for_tuning.validation_samples == 0
    with pytest.raises(DatasetError, match="no validation samples to tune on"):
        _ = load_dataset("digits").for_tuning


def test_a_class_of_one_sample_stays_in_training() -> None:
    labels = np.array([0] * 10 + [1])
    split = validation_split(load_dataset((X[:11], labels, X[:11], labels)), 0.5)
    assert 1 in split.train_y
    assert 1 not in split.validation_y


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), 1e-9])
def test_validation_fractions_that_leave_a_side_empty_are_refused(fraction: float) -> None:
    with pytest.raises(DatasetError, match="validation: .*fraction"):
        validation_split(load_dataset("digits"), fraction)


def test_dense_targets_are_split_too() -> None:
    split = validation_split(load_dataset((X, X[:, :2], X, X[:, :2])), 0.2, seed=1)
    assert split.validation_y.shape == (6, 2)
    assert np.array_equal(split.validation_y, split.validation_x[:, :2])


def test_a_network_of_other_size_is_refused_with_the_way_out() -> None:
    digits = load_dataset("digits")
    check_fits(digits, dense([64, 100, 10]))
    with pytest.raises(DatasetError, match="takes 784 inputs, .* has 64; give --hidden 100,50, .* 64-100-50-10"):
        check_fits(digits, dense([784, 100, 50, 10]))
    with pytest.raises(DatasetError, match="has 5 outputs, but dataset 'digits' has 10 classes; give --network 64-10$"):
        check_fits(digits, dense([64, 5]))


def test_the_table_says_source_and_licence_of_every_data_set() -> None:
    for name, info in DATASETS.items():
        assert info.name == name
        assert info.licence
        assert "19" in info.source or "20" in info.source
        assert all(len(file.sha256) == 64 for file in info.files)
    assert (DATASETS["digits"].samples, DATASETS["mnist"].samples, DATASETS["mnist"].inputs) == (1797, 70000, 784)


def test_the_table_is_read_without_numba_pandas_scipy_simpy_matplotlib_or_pooch() -> None:
    script = (
        "import sys, neurosim.datasets;"
        "print([m for m in ('numba', 'pandas', 'scipy', 'simpy', 'matplotlib', 'pooch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
