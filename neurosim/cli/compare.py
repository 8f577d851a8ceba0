"""``neurosim compare``: rules trained and costed side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli import options as o

if TYPE_CHECKING:
    from neurosim.recipes import Recipe
    from neurosim.rules import Rule
    from neurosim.settings import Settings

DEFAULT_RULES = "bp,fa,dfa,sdfa,ssdfa"


def run_compare(
    network: o.NetworkOption = "",
    hidden: o.HiddenOption = "",
    rules: o.RulesOption = DEFAULT_RULES,
    chip: o.ChipOption = "mesh64",
    dataset: o.DatasetOption = "digits",
    data_dir: o.DataDirOption = "",
    scale: o.ScaleOption = "",
    whiten: o.WhitenOption = "",
    whiten_epsilon: o.WhitenEpsilonOption = None,
    augment: o.AugmentOption = "",
    subset: o.SubsetOption = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="K", help="How many seeds, counted from --seed.")] = 3,
    validation: o.ValidationOption = 0.0,
    target_accuracy: o.TargetOption = 0.97,
    tune: Annotated[
        bool, typer.Option("--tune", help="Pick each rule's learning rate on the validation split.")
    ] = False,
    weights: o.WeightsOption = "",
    epochs: o.EpochsOption = None,
    batch_size: o.BatchSizeOption = None,
    lr: o.LrOption = None,
    optimizer: o.OptimizerOption = "",
    activation: o.ActivationOption = "",
    loss: o.LossOption = "",
    reduction: o.ReductionOption = "",
    init: o.InitOption = "",
    microbatch: o.MicrobatchOption = "",
    delivery: o.DeliveryOption = "",
    overlap: o.OverlapOption = "",
    seed: o.SeedOption = None,
    settings: o.SetOption = [],  # noqa: B006 - typer copies it
    out: o.OutOption = "",
    json: o.JsonOption = False,
) -> None:
    """Train and cost several rules side by side, and write the report."""
    from neurosim import runs
    from neurosim.chips import load_chip
    from neurosim.cli.output import print_json
    from neurosim.cli.waiting import announce_compilation, progress_bars
    from neurosim.comparisons import compare
    from neurosim.reports import print_table
    from neurosim.settings import check_rule_names

    found = o.read_settings(
        settings,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        loss=loss,
        reduction=reduction,
        init=init,
        microbatch=microbatch,
        delivery=delivery,
        overlap=overlap,
        seed=seed,
    )
    chosen = load_rules(rules, found)
    names = [rule.name for rule in chosen]
    check_rule_names(found, names)
    recipe = o.make_recipe(found)
    machine = found.chip(load_chip(chip))
    data = o.load_data(
        dataset,
        data_dir,
        recipe.seed,
        scale=scale,
        whiten=whiten,
        whiten_epsilon=whiten_epsilon,
        subset=subset,
        validation=validation,
        augment=augment,
    )
    built = o.make_data_network(network, hidden, activation, found, data)
    with runs.open_run(out or None, "compare") as folder:
        announce_compilation()
        with progress_bars() as progress:
            comparison = compare(
                built,
                rules=chosen,
                chip=machine,
                dataset=data,
                seeds=seeds,
                recipe=recipe,
                weights=weights or None,
                target_accuracy=target_accuracy,
                tune=tune,
                rule_settings=own_settings(names, found, recipe),
                progress=progress,
            )
        comparison.write(folder)
    if json:
        print_json(comparison.summary | {"table": records(comparison.table), "out": str(folder)})
    else:
        print_table(comparison.history, comparison.costs, comparison.summary)
        print(f"run folder: {folder}")


def load_rules(text: str, settings: Settings) -> list[Rule]:
    """Return the rules of a comma-separated list, with their settings."""
    from neurosim.rules import load_rule

    return [settings.rule(load_rule(name.strip())) for name in text.split(",") if name.strip()]


def own_settings(names: list[str], settings: Settings, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the recipe fields that single rules set, by rule."""
    own = {name: settings.recipe_of_rule(name, recipe) for name in names}
    return {name: fields for name, fields in own.items() if fields}


def records(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, NaN as None."""
    import json

    rows: list[dict[str, Any]] = json.loads(table.reset_index().to_json(orient="records"))
    return rows
