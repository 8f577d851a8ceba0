import numpy as np
import pytest

from neurosim.errors import DescriptionError, RunError
from neurosim.networks import dense
from neurosim.numerics import Memories
from neurosim.recipes import Recipe
from neurosim.rules import RULES


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


def test_a_folder_that_does_not_exist_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="cannot write"):
        make((6, 5, 4)).save_weights(tmp_path / "absent" / "weights.npz")
