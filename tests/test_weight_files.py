from contextlib import nullcontext

import numpy as np
import pytest

from neurosim.errors import DescriptionError, RunError
from neurosim.networks import dense
from neurosim.numerics import Memories
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.runs import replacing


def make(widths, seed=0):
    return Memories(dense(widths), RULES["bp"], Recipe(seed=seed))


def test_saved_weights_are_loaded_bit_for_bit(tmp_path):
    saved, loaded = make((6, 5, 4), 1), make((6, 5, 4), 2)
    saved.save_weights(tmp_path / "weights.npz")
    loaded.load_weights(tmp_path / "weights.npz")
    for a, b in zip(saved.weights + saved.biases, loaded.weights + loaded.biases, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]


def test_weights_of_another_width_name_the_layer_and_the_shapes(tmp_path):
    make((6, 5, 4)).save_weights(tmp_path / "weights.npz")
    with pytest.raises(DescriptionError, match=r"layer 1: W1 has shape \[5, 6\], but the network 6-7-4 needs \[7, 6\]"):
        make((6, 7, 4)).load_weights(tmp_path / "weights.npz")


def test_weights_of_another_depth_are_refused(tmp_path):
    make((6, 5, 4)).save_weights(tmp_path / "weights.npz")
    with pytest.raises(DescriptionError, match="a network of 3 layers has"):
        make((6, 5, 5, 4)).load_weights(tmp_path / "weights.npz")


def test_biases_of_another_shape_are_refused():
    memories = make((6, 5, 4))
    with pytest.raises(DescriptionError, match=r"layer 2: b2 has shape \[3\]"):
        memories.set_weights(memories.weights, [memories.biases[0], np.zeros(3)])


def test_a_missing_matrix_is_refused():
    memories = make((6, 5, 4))
    with pytest.raises(DescriptionError, match="1 matrices and 2 vectors"):
        memories.set_weights(memories.weights[:1], memories.biases)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DescriptionError, match=r"there is no file '.*none\.npz'"):
        make((6, 5, 4)).load_weights(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DescriptionError, match="not a readable"):
        make((6, 5, 4)).load_weights(tmp_path / "bad.npz")


def test_a_bare_array_is_refused(tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros(3))
    with pytest.raises(DescriptionError, match="not a readable"):
        make((6, 5, 4)).load_weights(tmp_path / "bare.npy")


def test_a_folder_that_cannot_be_made_is_a_run_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"weights\.npz: "):
        make((6, 5, 4)).save_weights(tmp_path / "file" / "weights.npz")


@pytest.mark.parametrize("nested", [False, True])
def test_a_failed_save_keeps_the_old_file_and_no_rest(tmp_path, monkeypatch, nested):
    memories, place = make((6, 5, 4)), tmp_path / "weights.npz"
    memories.save_weights(place)
    before = place.read_bytes()

    def half(file, **_):
        file.write(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(KeyboardInterrupt), replacing(place) if nested else nullcontext(place) as path:
        memories.save_weights(path)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]
    assert place.read_bytes() == before


def test_weights_are_saved_under_the_very_name_that_was_given(tmp_path):
    make((6, 5, 4)).save_weights(tmp_path / "weights")
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
