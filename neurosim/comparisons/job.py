"""A comparison on its way: what it checks first, and how it places, costs and trains its rules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neurosim.chips import Chip, load_chip
from neurosim.comparisons.published import Trained, find_published, near_published
from neurosim.comparisons.result import Comparison, RuleResult
from neurosim.datasets import Dataset, check_fits
from neurosim.descriptions import override
from neurosim.errors import DescriptionError, NeurosimError
from neurosim.feedback import draw_feedback, unused_outputs
from neurosim.networks import Network
from neurosim.numerics import Memories
from neurosim.pipeline import Costs, cost_placed, merge_recipe
from neurosim.placement import Placement, place_together
from neurosim.recipes import Recipe, check_recipe
from neurosim.rules import RULES, Rule, check_rule
from neurosim.training import (
    FIRST_DELIVERIES,
    EpochCost,
    describe_weights,
    divergence,
    epoch_cost,
    run_training,
    spent_after,
    summarise_steps,
    tune_learning_rate,
)

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""Called with a label, how much is done and how much is wanted."""

SHARED_FIELDS = (
    "batch_size",
    "microbatch",
    "delivery",
    "overlap",
    "window",
    "optimizer",
    "epochs",
    "targets",
    "dtype",
    "seed",
    "sampling",
)
"""What all rules of a comparison have in common: otherwise it would compare recipes or placements, not rules."""


@dataclass
class Job:
    """Rules to compare on one network, chip, recipe and data set.

    After ``check``, ``recipes`` holds the recipe of every rule that is costed, and ``placements`` by seed its place.
    """

    network: Network
    rules: list[Rule]
    chip: Chip
    recipe: Recipe
    data: Dataset
    seeds: int
    rule_settings: Mapping[str, Mapping[str, Any]]
    weights: str | os.PathLike[str] | None
    measure_angles: bool
    progress: Progress
    notes: list[str] = field(default_factory=list)
    tuned: dict[str, dict[float, float]] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    placements: dict[int, list[tuple[Rule, Placement]]] = field(default_factory=dict)
    epoch_costs: dict[tuple[str, int], EpochCost] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what cannot be done before anything is done, and settle each rule's recipe."""
        names = [rule.name for rule in self.rules]
        doubled = {name for name in names if names.count(name) > 1}
        if not names or doubled:
            raise DescriptionError(f"rules: {', '.join(sorted(doubled)) or 'none'} given; name every rule once")
        unknown = set(self.rule_settings) - set(names)
        if unknown:
            raise DescriptionError(f"settings for rule {sorted(unknown)[0]!r}: compared are {', '.join(names)}")
        check_fits(self.data, self.network)
        for rule in self.rules:
            self.recipes[rule.name] = self._recipe_of(rule)
            check_recipe(self.recipes[rule.name], self.chip)
            self.notes += check_rule(self.network, rule, self.recipes[rule.name])
        for rule in self.costed_rules():
            self.recipes.setdefault(rule.name, self.recipes["bp"] if rule.name == "bp-mirrored" else self.recipe)
        self._place_seeds()
        if self.weights is not None:
            Memories(self.network, self.rules[0], self.recipes[self.rules[0].name]).load_weights(self.weights)
        if self.data.note:
            self.notes.append(self.data.note)
        if self.network.depth == 2 and {"fa", "dfa"} <= set(names):
            self.notes.append("With one hidden layer fa and dfa are the same rule.")
        self._note_unused_outputs()
        self._note_near_published()

    def _recipe_of(self, rule: Rule) -> Recipe:
        own = dict(self.rule_settings.get(rule.name, {}))
        shared = sorted(set(own) & set(SHARED_FIELDS))
        if shared:
            raise DescriptionError(
                f"{rule.name}:{shared[0]}: all rules of a comparison share it; set it for all, without '{rule.name}:'"
            )
        recipe = merge_recipe(self.recipe, own)
        if recipe.init != "zero":
            return recipe
        try:
            check_rule(self.network, rule, recipe)
        except NeurosimError as error:
            if "init" in own:
                raise
            self.notes.append(f"{rule.name} starts from uniform weights, not zero ones ({error}).")
            return merge_recipe(recipe, {"init": "uniform"})
        return recipe

    def _note_unused_outputs(self) -> None:
        for rule in self.rules:
            if rule.sparse:
                drawn = draw_feedback(self.network, rule, seed=self.recipe.seed)
                for layer, outputs in enumerate(unused_outputs(self.network, rule, drawn), start=1):
                    if outputs:
                        named = ", ".join(str(output) for output in outputs)
                        self.notes.append(f"{rule.name}: outputs {named} feed no neuron of layer {layer}.")

    def _note_near_published(self) -> None:
        """Say what rules lack to stand beside a published result of this network and data."""
        trained = Trained(self.network, self.data, self.weights)
        lacking: dict[str, list[str]] = {}
        for rule in self.rules:
            if find_published(trained, rule, self.recipes[rule.name]) is None:
                near = near_published(trained, rule, self.recipes[rule.name])
                lacking.setdefault(near or "", []).append(rule.name)
        lacking.pop("", None)
        self.notes += [f"{', '.join(names)}: published accuracies are of {near}." for near, names in lacking.items()]

    def tune(self) -> None:
        """Pick every rule's learning rate on the validation split."""
        for number, rule in enumerate(self.rules):
            self.progress(f"tuning {rule.name}", number, len(self.rules))
            recipe = self.recipes[rule.name]
            best, found = tune_learning_rate(self.network, rule, recipe, self.data, weights=self.weights)
            self.tuned[rule.name] = found
            self.recipes[rule.name] = merge_recipe(recipe, {"lr": best})
        if self._borrows("bp-mirrored"):
            self.recipes["bp-mirrored"] = self.recipes["bp"]

    def run(self, target_accuracy: float) -> Comparison:
        """Cost every rule, train every rule with every seed, and put it together."""
        import pandas as pd

        steps = {
            rule.name: cost_placed(self.network, rule, placement, self.recipes[rule.name], log_rows=FIRST_DELIVERIES)
            for rule, placement in self.placements[self.recipe.seed]
        }
        histories, memories = self._train()
        history = pd.concat(histories, ignore_index=True)
        costs = self._all_costs(steps)
        results = {
            name: RuleResult(step.rule, self.recipes[name], _of_rule(history, name), step)
            for name, step in steps.items()
        }
        summary = self._summary(steps, history, target_accuracy)
        return Comparison(self._description(target_accuracy), history, costs, summary, results, memories)

    def costed_rules(self) -> list[Rule]:
        """The compared rules, and beside bp its other variant."""
        names = [rule.name for rule in self.rules]
        both = []
        for rule in self.rules:
            both.append(rule)
            if rule == RULES["bp"] and "bp-mirrored" not in names:
                both.append(RULES["bp-mirrored"])
        return both

    def _borrows(self, name: str) -> bool:
        """Whether a rule is costed beside another whose training it shares."""
        return name in self.recipes and all(rule.name != name for rule in self.rules)

    def _place_seeds(self) -> None:
        """Place every rule; a sparse rule's connections, and so its traffic, differ from seed to seed.

        Slices do not depend on the seed, and the microbatch is that of the first.
        """
        first = self.recipe.seed
        self.placements[first] = self._place(self.chip, self.recipe)
        if not any(rule.sparse for rule in self.rules):
            return
        microbatch = self.placements[first][0][1].microbatch
        for seed in range(first + 1, first + self.seeds):
            recipe = merge_recipe(self.recipe, {"seed": seed, "microbatch": microbatch})
            self.placements[seed] = self._place(self.chip, recipe)

    def _place(self, chip: Chip, recipe: Recipe) -> list[tuple[Rule, Placement]]:
        rules = self.costed_rules()
        return list(zip(rules, place_together(self.network, rules, chip, recipe), strict=True))

    def _train(self) -> tuple[list[pd.DataFrame], dict[str, Memories]]:
        """Train every rule with every seed; the weights of the first seed are kept."""
        histories: list[pd.DataFrame] = []
        kept: dict[str, Memories] = {}
        total = self.recipe.epochs
        for rule in self.rules:
            for seed in range(self.recipe.seed, self.recipe.seed + self.seeds):
                memories = Memories(self.network, rule, merge_recipe(self.recipes[rule.name], {"seed": seed}))
                if self.weights is not None:
                    memories.load_weights(self.weights)
                kept.setdefault(rule.name, memories)
                done = _announce(self.progress, f"{rule.name}, seed {seed}", total)
                cost = self._epoch_cost(rule.name, seed)
                frame = run_training(memories, self.data, cost, measure_angles=self.measure_angles, after_epoch=done)
                diverged = divergence(frame)
                if diverged:
                    self.notes.append(f"{rule.name}, seed {seed}: {diverged}.")
                histories.append(frame.assign(rule=rule.name, seed=seed))
                if rule.name == "bp" and self._borrows("bp-mirrored"):
                    other = _recosted(frame, self._epoch_cost("bp-mirrored", seed))
                    histories.append(other.assign(rule="bp-mirrored", seed=seed))
        return histories, kept

    def _epoch_cost(self, name: str, seed: int) -> EpochCost:
        """What an epoch costs; only a sparse rule's depends on the seed."""
        rules = {rule.name: rule for rule in self.costed_rules()}
        own = seed if rules[name].sparse else self.recipe.seed
        if (name, own) not in self.epoch_costs:
            placement = next(placement for rule, placement in self.placements[own] if rule.name == name)
            self.epoch_costs[name, own] = epoch_cost(
                self.network, rules[name], placement, self.recipes[name], self.data.train_samples
            )
        return self.epoch_costs[name, own]

    def _all_costs(self, steps: Mapping[str, Costs]) -> pd.DataFrame:
        """Costs of a step on the chip under both deliveries, and on a von Neumann machine of the same technology."""
        import pandas as pd

        frames = [step.labelled_frame for step in steps.values()]
        other = {"delivery": "unicast" if self.recipe.delivery == "multicast" else "multicast"}
        for name, step in steps.items():
            recipe = merge_recipe(self.recipes[name], other)
            frames.append(cost_placed(self.network, step.rule, step.placement, recipe).labelled_frame)
        if not self.chip.behind_channel:
            frames += self._von_neumann_frames()
        return pd.concat(frames, ignore_index=True)

    def _von_neumann_frames(self) -> Iterator[pd.DataFrame]:
        """Costs on a von Neumann machine: nothing survives in its cache between layers, and the compulsory bound.

        The truth lies between the two, so both are shown.
        """
        machine = load_chip("von_neumann")
        label = machine.name if machine.name != self.chip.name else f"{machine.name} (as shipped)"
        for reuse, name in (("layer", label), ("ideal", f"{label} (reuse ideal)")):
            chip = override(machine, "channel.reuse", reuse)
            for rule, placement in self._place(chip, merge_recipe(self.recipe, {"microbatch": "auto"})):
                recipe = merge_recipe(self.recipes[rule.name], {"microbatch": "auto"})
                yield cost_placed(self.network, rule, placement, recipe).labelled_frame.assign(chip=name)

    def _summary(self, steps: Mapping[str, Costs], history: pd.DataFrame, target: float) -> dict[str, Any]:
        return summarise_steps(steps, self.data, history, target) | {
            "lr": {name: recipe.lr for name, recipe in self.recipes.items()},
            "init": {name: recipe.init for name, recipe in self.recipes.items()},
            "tuned": {
                name: [{"lr": lr, "validation_accuracy": accuracy} for lr, accuracy in found.items()]
                for name, found in self.tuned.items()
            },
            "published": self._published(),
            "notes": self.notes,
        }

    def _published(self) -> dict[str, Any]:
        """The published result of each rule whose recipe is a known one."""
        trained = Trained(self.network, self.data, self.weights)
        rules = {rule.name: rule for rule in self.costed_rules()}
        found = {name: find_published(trained, rule, self.recipes[name]) for name, rule in rules.items()}
        return {name: match.describe() for name, match in found.items() if match}

    def _description(self, target_accuracy: float) -> dict[str, Any]:
        return {
            "what": "compare",
            "network": self.network.model_dump(),
            "chip": self.chip.model_dump(),
            "recipe": self.recipe.model_dump(),
            "rules": {rule.name: rule.model_dump() for rule in self.rules},
            "rule_recipes": {name: recipe.model_dump() for name, recipe in self.recipes.items()},
            "dataset": self.data.describe(),
            "weights": describe_weights(self.weights),
            "tuned": bool(self.tuned),
            "target_accuracy": target_accuracy,
            "seeds": list(range(self.recipe.seed, self.recipe.seed + self.seeds)),
        }


def _of_rule(history: pd.DataFrame, name: str) -> pd.DataFrame:
    return history[history["rule"] == name].reset_index(drop=True)


def _announce(progress: Progress, label: str, total: int) -> Callable[[int], None]:
    def after_epoch(epoch: int) -> None:
        progress(label, epoch, total)

    return after_epoch


def _recosted(frame: pd.DataFrame, cost: EpochCost) -> pd.DataFrame:
    """The same learning curve, paid for in another way."""
    spent = [spent_after(epoch, cost) for epoch in frame["epoch"].tolist()]
    return frame.assign(**{name: [row[name] for row in spent] for name in spent[0]})
