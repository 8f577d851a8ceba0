"""``neurosim datasets``: the data sets that have a name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def show_datasets(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table or TOML.")] = False,
) -> None:
    """List the data sets, or print one as TOML."""
    from neurosim.cli.output import print_json, print_table, print_toml
    from neurosim.datasets.catalogue import DATASETS
    from neurosim.descriptions import to_toml
    from neurosim.errors import DatasetError, nearest_guess

    if name:
        info = DATASETS.get(name)
        if info is None:
            guess = nearest_guess(name, DATASETS)
            raise DatasetError(f"'{name}' is no data set with a name{guess}; there are {', '.join(DATASETS)}")
        if json:
            print_json(info.model_dump(mode="json"))
        else:
            print_toml(to_toml(info))
    elif json:
        print_json([info.model_dump(mode="json") for info in DATASETS.values()])
    else:
        columns = ["data set", "what", "inputs", "classes", "training", "test", "licence"]
        rows = [
            [info.name, info.title, info.inputs, info.classes, info.train_samples, info.test_samples, info.licence]
            for info in DATASETS.values()
        ]
        print_table("Data sets (or the path of your own .npz)", columns, rows)


def announce_download(name: str, data_dir: str | None) -> None:
    """Say on a terminal that a data set has to be downloaded first, and how large it is."""
    if not sys.stderr.isatty():
        return
    from neurosim.datasets import DATASETS, locate

    info = DATASETS.get(name)
    if info is not None and info.files and locate(info, data_dir) is None:
        print(f"downloading {name}, {info.size_bytes / 1e6:.0f} MB (once)", file=sys.stderr, flush=True)
