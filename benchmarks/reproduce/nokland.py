"""A published MNIST table, BP against FA and DFA in networks of one to seven hidden layers: the recipe of DFA's author.

A. Nokland, "Direct Feedback Alignment Provides Learning in Deep Neural Networks", NeurIPS 2016, arXiv 1609.01596: tanh,
sigmoid outputs with binary cross-entropy, RMSprop at 1e-4 (decay 0.99), batches of 64, inputs in [0, 1], 300 epochs.
Weights and biases begin at zero under FA and DFA, at U(+-1/sqrt(fan_in)) under BP; B is U(+-1/sqrt(n_l)) of DFA and
U(+-1/sqrt(fan_in)) of FA; the error is yhat - y, not divided by the batch. That is in the author's code
(github.com/anokland/dfa-torch); the test errors of the table are remembered and not confirmed.

    python benchmarks/reproduce/nokland.py [--epochs 10] [--seeds 3] [--networks 1x800 2x800 7x240 3x800]
                                           [--out FOLDER] [--data-dir FOLDER]

The last-layer baseline runs beside the three rules. With one hidden layer FA and DFA are the same rule with the same B,
trained once. An epoch of a rule takes 1 to 9 s on one core: 10 epochs of everything about half an hour, 300 of 1x800
more than one. Every epoch ends with a checkpoint: the same command goes on where it stopped, with more --epochs too.
Writes history.csv, table.csv, table.md, test_error.png and angles.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from curve_figures import draw_angles, draw_errors
from curves import Curve, summarise, train_all, write_table
from matplotlib.figure import Figure

import neurosim as ns
from neurosim.comparisons.published import NOKLAND, NOKLAND_RECIPE
from neurosim.datasets import Dataset, Preparation, prepare
from neurosim.recipes import Recipe

NETWORKS = ("1x800", "2x800", "7x240", "3x800")
"""Hidden layers, in the order in which they are trained."""

RULES = ("bp", "fa", "dfa", "last-layer")
ZERO_WEIGHTS = ("fa", "dfa")
ANGLED = ("fa", "dfa")
"""Rules whose angles to BP are drawn."""


Errors = dict[tuple[str, str], float]
"""Test errors in percent by (network, rule)."""


def published_errors() -> Errors:
    """Return the published test errors, which are remembered and not confirmed."""
    widths = {ns.load_network(f"784-{network}-10").widths: network for network in NETWORKS}
    return {
        (widths[ns.load_network(table.network).widths], result.rule.name): 100 - result.test_accuracy_percent
        for table in NOKLAND
        for result in table.results
    }


def curves(networks: Sequence[str], seeds: int, epochs: int, data: Dataset) -> Iterator[Curve]:
    """Yield what is trained: of every network all seeds of all rules, network by network."""
    for hidden in networks:
        network = ns.load_network(f"{data.inputs}-{hidden}-{data.outputs}")
        for seed in range(seeds):
            for rule in RULES:
                if rule == "fa" and network.depth == 2:
                    continue
                init = "zero" if rule in ZERO_WEIGHTS else "uniform"
                recipe = Recipe(**NOKLAND_RECIPE, init=init, epochs=epochs, seed=seed)
                yield Curve(hidden, network, ns.load_rule(rule), recipe)


def with_fa(history: pd.DataFrame) -> pd.DataFrame:
    """Add FA to networks with one hidden layer, where it is DFA: the same rule and, by their scale, the same B."""
    single = history["network"].str.startswith("1x") & (history["rule"] == "dfa")
    whole = pd.concat([history, history[single].assign(rule="fa")], ignore_index=True)
    order = [list(dict.fromkeys(history["network"])), list(RULES)]
    places = whole["network"].map(order[0].index) * len(RULES) + whole["rule"].map(order[1].index)
    return whole.loc[places.sort_values(kind="stable").index].reset_index(drop=True)


def table(history: pd.DataFrame, published: Errors) -> pd.DataFrame:
    """Return test errors in percent, mean and spread over the seeds, beside the published ones."""
    found = summarise(with_fa(history))
    keys = list(zip(found["network"], found["rule"], strict=True))
    found["published_percent"] = [published.get(key) for key in keys]
    found["difference_points"] = found["test_error_percent"] - found["published_percent"]
    return found


def draw(history: pd.DataFrame, published: Errors) -> dict[str, Figure]:
    """Draw test error and angles over the epochs, by file name."""
    seeds = history["seed"].nunique()
    dotted = " (dotted: published, after 300 epochs)" if published else ""
    errors = draw_errors(with_fa(history), published, f"Nokland's recipe: test error, mean of {seeds} seeds{dotted}")
    what = f"Nokland's recipe: angles to back-propagation, mean of {seeds} seeds"
    return {"test_error": errors, "angles": draw_angles(with_fa(history), ANGLED, what)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help=f"default: {' '.join(NETWORKS)}")
    parser.add_argument("--dataset", default="mnist", help="a name or an .npz file")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("runs/nokland"))
    options = parser.parse_args(arguments)
    data = prepare(options.dataset, options.data_dir, Preparation(), 0)
    history = train_all(curves(options.networks, options.seeds, options.epochs, data), data, options.out)
    published = published_errors() if data.name == "mnist" else {}
    write_table(options.out, table(history, published))
    for name, figure in draw(history, published).items():
        figure.savefig(options.out / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
