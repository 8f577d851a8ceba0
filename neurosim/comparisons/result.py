"""What a comparison found: tables per rule, and the run folder they go to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim import runs
from neurosim.errors import DescriptionError
from neurosim.numerics import Memories
from neurosim.pipeline import Costs
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.training import reach_target

if TYPE_CHECKING:
    import pandas as pd


MAIN_COLUMNS = (
    "test_accuracy_percent",
    "seconds_per_epoch",
    "joules_per_sample",
    "bit_hops_per_sample",
    "memory_accesses_per_sample",
    "macs_per_sample",
)


PUBLISHED_COLUMNS = ("published_test_accuracy_percent", "published_epochs")

BORDER_COLUMNS = ("border_bit_hops_per_sample", "border_joules_per_sample")


@dataclass(frozen=True)
class RuleResult:
    """One rule of a comparison: its history over all seeds and its costs of a step on the chip."""

    rule: Rule
    recipe: Recipe
    history: pd.DataFrame
    step: Costs

    def __repr__(self) -> str:
        return f"<{self.rule.name}: {len(self.history)} rows of history; {self.step!r}>"

    @property
    def costs(self) -> pd.DataFrame:
        """The costs of a step as a tidy table: rule, phase, layer, quantity, unit, value."""
        return self.step.frame


@dataclass(frozen=True)
class Comparison:
    """Rules side by side: ``history`` (rule, seed, epoch, ...), ``costs`` (chip, delivery, rule, ...), ``summary``."""

    description: Mapping[str, Any]
    history: pd.DataFrame
    costs: pd.DataFrame
    summary: dict[str, Any]
    results: Mapping[str, RuleResult]
    weights: Mapping[str, Memories] = field(repr=False)

    def __getitem__(self, rule: str) -> RuleResult:
        if rule not in self.results:
            raise DescriptionError(f"rule {rule!r}: this comparison has {', '.join(self.results)}")
        return self.results[rule]

    def __repr__(self) -> str:
        where = f"{self.summary['network']} on {self.summary['chip']}, {self.summary['dataset']}"
        return f"<Comparison of {', '.join(self.results)}: {where}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    @property
    def table(self) -> pd.DataFrame:
        """Accuracy beside cycles, energy, bit-hops, memory accesses and MACs, a row per rule.

        Where the recipe is one with published results, also their test accuracy and its epochs; where there are several
        chips, the bit-hops and energy of what crosses from one to another.
        """
        several = any(result.step.chip.several_chips for result in self.results.values())
        first, *others = MAIN_COLUMNS
        published = PUBLISHED_COLUMNS if self.summary["published"] else ()
        columns = [first, *published, *others, *(BORDER_COLUMNS if several else ())]
        table = self.full_table.set_index("rule")[columns]
        cycles = {name: result.step.makespan_cycles for name, result in self.results.items()}
        table.insert(1 + len(published), "cycles_per_step", [cycles[name] for name in table.index])
        return table

    @property
    def full_table(self) -> pd.DataFrame:
        """Everything that is known of each rule, a row per rule: what table.csv holds."""
        from neurosim.reports import comparison_table

        return comparison_table(self.history, self.costs, self.summary)

    def to_accuracy(self, target: float) -> pd.DataFrame:
        """Return epochs, seconds, joules and bit-hops until a rule's mean test accuracy reaches ``target``, a fraction.

        Raises:
            DescriptionError: the target is not between 0 and 1.
        """
        import pandas as pd

        return pd.DataFrame(reach_target(self.history, target), dtype=float).T.rename_axis("rule")

    def report(self, out: str | os.PathLike[str] | None = None) -> Path:
        """Write a run folder (default: runs/compare-<n>) and return it: what ``write`` writes.

        Raises:
            RunError: the folder cannot be written, or holds something that is no run.
        """
        with runs.open_run(out, "compare") as folder:
            self.write(folder)
        return Path(folder)

    def write(self, folder: Path) -> None:
        """Write description, history, costs, summary, traces, weights, tables and figures into an open run folder."""
        from neurosim.reports import write_report

        runs.write_description(folder, self.description)
        runs.write_csv(folder / "history.csv", self.history)
        runs.write_csv(folder / "costs.csv", self.costs)
        runs.write_json(folder / "summary.json", self.summary)
        for name, result in self.results.items():
            if result.step.trace is not None:
                runs.write_npz(folder / f"trace_{name}.npz", result.step.trace.as_arrays())
        for name, memories in self.weights.items():
            with runs.replacing(folder / f"weights_{name}.npz") as path:
                memories.save_weights(path)
        write_report(folder, self.history, self.costs, self.summary)

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(float_format="{:.4g}".format)
        return html
