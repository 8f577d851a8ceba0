import subprocess
import sys
from pathlib import Path

import pytest

import neurosim

HEAVY = ("numba", "pandas", "scipy", "simpy", "matplotlib")
LIGHT = [
    "import neurosim",
    "import neurosim.chips, neurosim.rules, neurosim.recipes, neurosim.networks.network, neurosim.units",
    "import neurosim; neurosim.load_chip('tiny'); neurosim.load_rule('dfa'); neurosim.load_network('4-3-2')",
    "import neurosim.cli.app; neurosim.cli.app.build()",
    "import neurosim; neurosim.cost('4-3-2', fidelity='analytic').as_dict()",
]


@pytest.mark.parametrize("statement", LIGHT)
def test_descriptions_import_no_compiler_simulator_or_plots(statement):
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_neurosim_does_not_even_import_pydantic():
    code = "import neurosim, sys; print('pydantic' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", neurosim.__all__)
def test_every_public_name_can_be_used(name):
    assert getattr(neurosim, name) is not None
    assert name in dir(neurosim)


def test_the_stub_lists_the_same_names():
    stub = Path(neurosim.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    listed = [line.rpartition(" as ")[2] for line in stub.splitlines() if " as " in line]
    assert sorted(listed) == neurosim.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'neurosim' has no attribute 'bogus'"):
        neurosim.bogus  # noqa: B018
