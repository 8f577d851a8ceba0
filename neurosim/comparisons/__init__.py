"""compare(): several rules trained on the same data and costed on the same chip, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from neurosim.arguments import checked_count, checked_fraction, checked_list, checked_path
from neurosim.chips import Chip, load_chip
from neurosim.comparisons.job import Job, Progress
from neurosim.comparisons.result import Comparison, RuleResult
from neurosim.datasets import Preparation, prepare
from neurosim.errors import DescriptionError
from neurosim.networks import Network
from neurosim.pipeline import merge_recipe
from neurosim.recipes import Recipe
from neurosim.rules import Rule, load_rule
from neurosim.training import check_target, prepare_network, reach_target, with_targets

__all__ = ["Comparison", "RuleResult", "compare", "reach_target"]

DEFAULT_RULES = ("bp", "fa", "dfa", "sdfa", "ssdfa")


def compare(
    network: str | os.PathLike[str] | Network | None = None,
    *,
    rules: str | Sequence[str | os.PathLike[str] | Rule] = DEFAULT_RULES,
    chip: str | os.PathLike[str] | Chip = "mesh64",
    dataset: Any = "digits",
    seeds: int = 3,
    recipe: Recipe | None = None,
    hidden_layers: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    scale: str | None = None,
    whiten: str | None = None,
    whiten_epsilon: float | None = None,
    subset: int | None = None,
    validation: float = 0.0,
    augment: str | Sequence[str] = (),
    weights: str | os.PathLike[str] | None = None,
    target_accuracy: float = 0.97,
    tune: bool = False,
    rule_settings: Mapping[str, Mapping[str, Any]] | None = None,
    measure_angles: bool = True,
    progress: Progress = lambda label, done, total: None,
    **settings: Any,
) -> Comparison:
    """Train and cost ``rules`` side by side: the same data, samples in the same order, chip, slices and microbatch.

    ``dataset`` and what is done to it are given as to ``train``, and drawn by the recipe's seed once for all seeds.
    ``seeds`` is how many seeds, counted from the recipe's; ``settings`` are fields of the recipe, ``rule_settings``
    some for one rule (``{"dfa": {"lr": 0.3}}``); ``tune`` first picks each rule's learning rate on the validation
    split. bp is trained once and costed both ways: partial sums at the owner, and mirrored weights (bp-mirrored).

    Raises:
        NeurosimError: what was asked for does not exist, fit or match.
    """
    seeds = checked_count("seeds", seeds)
    check_target(target_accuracy)
    validation = checked_fraction("validation", validation, below_1=True)
    if weights is not None:
        checked_path("weights", weights)
    if tune and not (validation or getattr(dataset, "validation_samples", 0)):
        raise DescriptionError("tune: needs samples to judge by that are no test samples; add --validation 0.1")
    merged = merge_recipe(recipe, settings)
    preparation = Preparation(scale, whiten, whiten_epsilon, subset, validation, augment)
    data = prepare(dataset, data_dir, preparation, merged.seed)
    job = Job(
        network=prepare_network(network, hidden_layers, data),
        rules=[
            load_rule(rule) for rule in checked_list("rules", rules.split(",") if isinstance(rules, str) else rules)
        ],
        chip=load_chip(chip),
        recipe=with_targets(merged, data, recipe, settings),
        data=data,
        seeds=seeds,
        rule_settings=rule_settings or {},
        weights=weights,
        measure_angles=measure_angles,
        progress=progress,
    )
    job.check()
    if tune:
        job.tune()
    return job.run(target_accuracy)
