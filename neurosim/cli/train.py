"""``neurosim train``: one rule on one chip."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from neurosim.cli import options as o


def run_train(
    network: o.NetworkOption = "",
    hidden: o.HiddenOption = "",
    rule: o.RuleOption = "bp",
    chip: o.ChipOption = "mesh64",
    dataset: o.DatasetOption = "digits",
    data_dir: o.DataDirOption = "",
    scale: o.ScaleOption = "",
    whiten: o.WhitenOption = "",
    whiten_epsilon: o.WhitenEpsilonOption = None,
    augment: o.AugmentOption = "",
    subset: o.SubsetOption = None,
    validation: o.ValidationOption = 0.0,
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
    target_accuracy: o.TargetOption = 0.97,
    trace: Annotated[str, typer.Option("--trace", metavar="WHICH", help="Messages kept: first or full.")] = "first",
    out: o.OutOption = "",
    json: o.JsonOption = False,
) -> None:
    """Train a network under one rule and say what that costs on a chip."""
    from neurosim import runs
    from neurosim.chips import load_chip
    from neurosim.cli.output import print_json
    from neurosim.cli.waiting import announce_compilation, progress_bars
    from neurosim.errors import DescriptionError
    from neurosim.rules import load_rule
    from neurosim.settings import check_rule_names
    from neurosim.training import check_target, train
    from neurosim.training.folder import write_training

    if trace not in ("first", "full"):
        raise DescriptionError(f"--trace {trace}: allowed are first and full")
    check_target(target_accuracy)
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
    chosen = found.rule(load_rule(rule))
    check_rule_names(found, [chosen.name])
    recipe = o.make_recipe(found)
    recipe = recipe.model_copy(update=found.recipe_of_rule(chosen.name, recipe))
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
    with runs.open_run(out or None, "train") as folder:
        announce_compilation()
        with progress_bars() as progress:
            trained = train(
                built,
                rule=chosen,
                chip=machine,
                dataset=data,
                recipe=recipe,
                weights=weights or None,
                full_trace=trace == "full",
                after_epoch=lambda epoch: progress(chosen.name, epoch, recipe.epochs),
            )
        summary = write_training(folder, trained, target_accuracy)
    if json:
        print_json(summary | {"out": str(folder)})
    else:
        print_training(summary, str(folder))


def print_training(summary: dict[str, Any], folder: str) -> None:
    """Print what a training came to, in a few lines."""
    from neurosim.units import human

    print(
        f"{summary['network']} under {summary['rule']} on {summary['chip']}, {summary['dataset']}, "
        f"{summary['epochs']} epochs of {summary['samples_per_epoch']} samples:"
    )
    if math.isfinite(summary["test_accuracy"]):
        print(f"accuracy: train {summary['train_accuracy']:.2%}, test {summary['test_accuracy']:.2%}")
    print(f"loss: train {summary['train_loss']:.4g}, test {summary['test_loss']:.4g}")
    spent = f"{human(summary['seconds_per_epoch'], 'seconds')} and {human(summary['joules_per_epoch'], 'joules')}"
    print(f"an epoch takes {spent} on the chip, {summary['delivery']}")
    print(f"microbatch {summary['microbatch']}, cores per layer {summary['cores_per_layer']}")
    target = summary["to_target"][summary["rule"]]
    wanted = f"{summary['target_accuracy']:.1%} test accuracy"
    if not math.isfinite(summary["test_accuracy"]):
        print("accuracy does not apply to targets that are no classes")
    elif target["epochs"] is None:
        print(f"{wanted} was not reached")
    else:
        spent = f"{human(target['seconds'], 'seconds')}, {human(target['joules'], 'joules')}"
        print(f"{wanted} after {target['epochs']:.0f} epochs: {spent}")
    for note in summary["notes"]:
        print(note)
    print(f"run folder: {folder}")
