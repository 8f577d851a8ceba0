"""Options that several commands share, and how they become descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neurosim.datasets import Dataset
    from neurosim.networks import Network
    from neurosim.recipes import Recipe
    from neurosim.settings import Settings

NetworkOption = Annotated[
    str,
    typer.Option(
        "--network", metavar="SPEC", help="Network: 784-800-10, 784-7x240-10, a name such as lenet, or a TOML file."
    ),
]
HiddenOption = Annotated[
    str, typer.Option("--hidden", metavar="WIDTHS", help="Hidden layers 800,800; both ends come from the data set.")
]
RuleOption = Annotated[str, typer.Option("--rule", metavar="RULE", help="Learning rule: a name or a TOML file.")]
RulesOption = Annotated[str, typer.Option("--rules", metavar="RULES", help="Learning rules, joined by commas.")]
ChipOption = Annotated[str, typer.Option("--chip", metavar="CHIP", help="Chip: a name or a TOML file.")]
DatasetOption = Annotated[
    str, typer.Option("--dataset", metavar="NAME", help="Data set: a name, or an .npz file of your own.")
]
DataDirOption = Annotated[
    str, typer.Option("--data-dir", metavar="FOLDER", help="Folder that holds the data sets (or NEUROSIM_DATA).")
]
ScaleOption = Annotated[str, typer.Option("--scale", metavar="SCALE", help="unit, standard or none.")]
WhitenOption = Annotated[str, typer.Option("--whiten", metavar="HOW", help="zca or none.")]
WhitenEpsilonOption = Annotated[
    float | None,
    typer.Option("--whiten-epsilon", metavar="SHARE", help="Added to every variance, a share of their mean (0.1)."),
]
AugmentOption = Annotated[
    str, typer.Option("--augment", metavar="HOW", help="Of training images: crop, flip or crop,flip.")
]
SubsetOption = Annotated[int | None, typer.Option("--subset", metavar="N", help="Train on N of the training samples.")]
ValidationOption = Annotated[
    float, typer.Option("--validation", metavar="FRACTION", help="Fraction of the training samples set apart.")
]
WeightsOption = Annotated[str, typer.Option("--weights", metavar="FILE", help="Weights (.npz) to start from.")]
OutOption = Annotated[str, typer.Option("--out", metavar="FOLDER", help="Run folder (default: runs/<what>-<n>).")]
SetOption = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Any field of network, rule, chip or recipe; dfa:lr=0.3 for one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BatchSizeOption = Annotated[int | None, typer.Option("--batch-size", metavar="N", help="Samples of a step.")]
LrOption = Annotated[float | None, typer.Option("--lr", metavar="RATE", help="Learning rate.")]
OptimizerOption = Annotated[str, typer.Option("--optimizer", metavar="NAME", help="sgd, momentum, rmsprop or adam.")]
ActivationOption = Annotated[
    str, typer.Option("--activation", metavar="NAME", help="Of all hidden layers: tanh, sigmoid, relu or linear.")
]
LossOption = Annotated[str, typer.Option("--loss", metavar="NAME", help="softmax, sigmoid or squared.")]
ReductionOption = Annotated[str, typer.Option("--reduction", metavar="NAME", help="mean or sum over the batch.")]
InitOption = Annotated[str, typer.Option("--init", metavar="NAME", help="Initial weights: uniform, normal or zero.")]
MicrobatchOption = Annotated[str, typer.Option("--microbatch", metavar="M", help="Samples at once, or auto.")]
DeliveryOption = Annotated[str, typer.Option("--delivery", metavar="HOW", help="multicast or unicast.")]
OverlapOption = Annotated[str, typer.Option("--overlap", metavar="HOW", help="none or exact.")]
TargetOption = Annotated[
    float, typer.Option("--target-accuracy", metavar="FRACTION", help="Cost is also given until this test accuracy.")
]
EpochsOption = Annotated[int | None, typer.Option("--epochs", metavar="E", help="Epochs.")]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="S", help="Seed of weights, feedback and order.")]


def read_settings(texts: list[str], **options: Any) -> Settings:
    """Return the settings of ``--set`` texts and of the options that were given, which are recipe fields by name."""
    from neurosim.errors import DescriptionError
    from neurosim.settings import parse_settings

    given = {name: value for name, value in options.items() if value not in ("", None)}
    settings = parse_settings(texts)
    taken = {key for key, _ in settings.parts["recipe"]}
    for name, value in given.items():
        if name in taken:
            raise DescriptionError(f"--set {name}: is given by --{name.replace('_', '-')} {value} as well; give one")
        settings.parts["recipe"].append((name, str(value)))
    return settings


def make_recipe(settings: Settings) -> Recipe:
    """Return the default recipe with the settings."""
    from neurosim.recipes import Recipe

    return settings.recipe(Recipe())


def load_data(dataset: str, data_dir: str, seed: int, **preparation: Any) -> Dataset:
    """Return a data set prepared by the options that were given, which are fields of Preparation by name."""
    from neurosim.cli.datasets import announce_download
    from neurosim.datasets import Preparation, prepare

    given = {name: value for name, value in preparation.items() if value not in ("", None)}
    announce_download(dataset, data_dir or None)
    return prepare(dataset, data_dir or None, Preparation(**given), seed)


def make_network(network: str, activation: str, settings: Settings) -> Network:
    """Return the network that was named, with ``--activation`` and the settings."""
    from neurosim.errors import DescriptionError
    from neurosim.networks import load_network

    if not network:
        raise DescriptionError("--network: name one, such as 784-800-10, or give --hidden with a data set")
    return settings.network(load_network(network, activation=activation or None))


def make_data_network(network: str, hidden: str, activation: str, settings: Settings, data: Dataset) -> Network:
    """Return the network that was named, or the one of ``--hidden`` between the two ends of the data set."""
    from neurosim.networks import load_network
    from neurosim.training import prepare_network

    found = prepare_network(network or None, hidden or None, data)
    return settings.network(load_network(found, activation=activation or None))
