"""neurosim: train a neural network on a virtual neuromorphic chip, and say what that training costs.

The names below are resolved on first use (PEP 562), so that ``import neurosim`` costs nothing: a description needs no
compiler, a table no plotting.
"""

from importlib import import_module

_HOMES = {
    "neurosim.chips": ("Chip", "chip_names", "load_chip", "tile_chips"),
    "neurosim.networks": ("Conv", "Dense", "Flatten", "Network", "Pool", "dense", "load_network"),
    "neurosim.rules": ("RULES", "Feedback", "Rule", "load_rule"),
    "neurosim.recipes": ("Recipe",),
    "neurosim.datasets": ("load_dataset",),
    "neurosim.placement": ("place",),
    "neurosim.schedules": ("schedule",),
    "neurosim.engine": ("simulate",),
    "neurosim.analytic": ("predict_effort",),
    "neurosim.costs": ("price",),
    "neurosim.pipeline": ("cost",),
    "neurosim.sensitivity": ("vary_assumed",),
    "neurosim.training": ("train",),
    "neurosim.comparisons": ("compare",),
    "neurosim.sweeps": ("sweep",),
    "neurosim.errors": ("NeurosimError",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - the stub beside this file lists them


def __getattr__(name):
    if name not in _HOME_OF:
        raise AttributeError(f"module 'neurosim' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOME_OF])
