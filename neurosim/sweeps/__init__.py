"""sweep(): the same measurement at every point of some axes, on this machine or a cluster, losing none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from neurosim.chips import Chip
from neurosim.errors import DescriptionError
from neurosim.networks import Network
from neurosim.pipeline import merge_recipe
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.sweeps.description import (
    DEFAULT_CHIP,
    DEFAULT_RULES,
    Axis,
    Learning,
    Sweep,
    flat_axes,
    make_sweep,
    read_sweep,
    split_values,
    value_text,
)
from neurosim.sweeps.folder import Shard, is_sweep, parse_shard, sweep_file
from neurosim.sweeps.forecast import long_points
from neurosim.sweeps.points import expand
from neurosim.sweeps.result import SweepResult, load_sweep
from neurosim.sweeps.run import Planned, Progress, Run, SweepInterrupted, plan_sweep, run_sweep

__all__ = [
    "Axis",
    "Learning",
    "Planned",
    "Run",
    "Shard",
    "Sweep",
    "SweepInterrupted",
    "SweepResult",
    "expand",
    "flat_axes",
    "is_sweep",
    "load_sweep",
    "long_points",
    "make_sweep",
    "parse_shard",
    "plan_sweep",
    "read_sweep",
    "run_sweep",
    "split_values",
    "sweep",
    "sweep_file",
    "value_text",
]


def sweep(
    network: str | os.PathLike[str] | Network | Sequence[str | os.PathLike[str] | Network],
    *,
    rules: str | Rule | Sequence[str | os.PathLike[str] | Rule] = DEFAULT_RULES,
    chip: str | os.PathLike[str] | Chip = DEFAULT_CHIP,
    cores: int | Sequence[int] = (),
    chips: int | Sequence[int] = (),
    axes: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    zip: bool = False,
    weak: bool = False,
    memory: str | None = None,
    together: bool = False,
    von_neumann: bool = True,
    fidelity: str = "event",
    per: str = "step",
    samples: int | None = None,
    dataset: str | None = None,
    preparation: Mapping[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    processes: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress = lambda label, done, wanted: None,
    **settings: Any,
) -> SweepResult:
    """Cost (with ``dataset``: and train) every combination of networks, rules, cores, chips and ``axes``.

    ``cores`` scales the chip, ``chips`` puts several of it beside each other; ``axes`` are fields of network, rule,
    chip or recipe as ``--set`` names them, and their values (``{"chip.noc.flit_bits": [32, 64]}``); ``settings``
    are fields of the recipe. ``Sweep`` says what ``zip`` to ``samples`` do. ``preparation`` are fields of
    ``neurosim.datasets.Preparation``.

    Points run on ``executor``, any that speaks ``concurrent.futures``; by default in as many ``processes`` of this
    machine as it has processors. With ``out`` every finished point is kept in that folder at once; with ``resume`` the
    same sweep goes on there.

    Raises:
        NeurosimError: an axis, a value or the data cannot be; nothing has run then. What a single point cannot do is in
            its row.
    """
    learning = None if dataset is None else {**(preparation or {}), "dataset": dataset}
    for name, value in (("preparation", preparation), ("data_dir", data_dir)):
        if dataset is None and value:
            raise DescriptionError(f"{name}: has no effect without a dataset")
    asked: dict[str, Any] = {
        "networks": network, "rules": rules.split(",") if isinstance(rules, str) else rules, "chip": chip,
        "recipe": merge_recipe(recipe, settings), "set": axes or {}, "zip": zip, "weak": weak, "memory": memory,
        "together": together, "von_neumann": von_neumann, "fidelity": fidelity, "per": per, "samples": samples,
        "learning": learning, "cores": cores, "chips": chips,
    }  # fmt: skip
    for name in ("cores", "chips"):
        if isinstance(asked[name], tuple) and not asked[name]:
            del asked[name]
    planned = plan_sweep(make_sweep(asked), data_dir)
    how = Run(executor=executor, processes=processes, resume=resume, progress=progress)
    return run_sweep(planned, how, out=out)
