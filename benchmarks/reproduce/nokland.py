"""Nokland's MNIST table: BP, FA and DFA on 1x800, 2x800, 3x800 and 7x240 tanh units, and the last-layer baseline.

    python benchmarks/reproduce/nokland.py [--epochs 300] [--seeds 3] [--networks 1x800,2x800] [--out FOLDER]

The recipe of A. Nokland, "Direct feedback alignment provides learning in deep neural networks", NeurIPS 2016
(arXiv 1609.01596), as in its author's code: RMSprop at 1e-4, batches of 64, sigmoid outputs with binary cross-entropy,
inputs in [0, 1]; FA and DFA start from zero weights, BP from U(+-1/sqrt(fan_in)); B is U(+-1/sqrt(n_l)), FA's
U(+-1/sqrt(fan_in)). The published test errors are remembered, not confirmed. FA on 784-500-10 with the default recipe
is trained beside them: its angle was read off a plot of M. Akrout et al., "Deep learning without weight transport",
NeurIPS 2019.

Every training is kept in FOLDER as soon as it is done; those that are there are not trained again. Prints the test
errors, mean and spread over the seeds, beside the published ones, and draws errors and angles over the epochs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import pandas as pd

import neurosim as ns
from neurosim.reports.style import new_figure, rule_looks, save, settings

PUBLISHED = {
    "1x800": {"bp": 1.59, "fa": 1.68, "dfa": 1.68},
    "2x800": {"bp": 1.60, "fa": 1.64, "dfa": 1.74},
    "3x800": {"bp": 1.75, "fa": 1.66, "dfa": 1.70},
    "7x240": {"bp": 2.16, "fa": 2.20, "dfa": 2.32},
}
"""Test error in percent after 300 epochs; remembered, not confirmed."""

RULES = ("bp", "fa", "dfa", "last-layer")
AKROUT = "500"
RECIPE = {"batch_size": 64, "optimizer": "rmsprop", "lr": 1e-4, "loss": "sigmoid"}


def train(network: str, rule: str, seed: int, epochs: int, data_dir: str | None) -> pd.DataFrame:
    """Train one rule with one seed and return its history."""
    recipe = {} if network == AKROUT else RECIPE | {"init": "zero" if rule in ("fa", "dfa") else "uniform"}
    trained = ns.train(
        f"784-{network}-10", rule=rule, dataset="mnist", data_dir=data_dir, epochs=epochs, seed=seed, **recipe
    )
    return trained.history.assign(network=network, rule=rule, seed=seed)


def trained(out: Path, network: str, rule: str, seed: int, epochs: int, data_dir: str | None) -> pd.DataFrame:
    """Return a history that is kept in ``out``, or train and keep it."""
    path = out / f"{network}_{rule}_{seed}_{epochs}.csv"
    if not path.is_file():
        history = train(network, rule, seed, epochs, data_dir)
        temporary = path.with_suffix(".tmp")
        history.to_csv(temporary, index=False)
        temporary.replace(path)
    return pd.read_csv(path)


def table(histories: pd.DataFrame) -> pd.DataFrame:
    """Return mean and spread (largest minus smallest) of the last test errors in percent, beside the published."""
    last = histories[histories["epoch"] == histories["epoch"].max()]
    rows = []
    for (network, rule), mine in last.groupby(["network", "rule"], sort=False):
        errors = 100 * (1 - mine["test_accuracy"])
        published = PUBLISHED.get(network, {}).get(rule)
        spread = errors.max() - errors.min()
        rows.append((network, rule, len(mine), round(errors.mean(), 2), round(spread, 2), published))
    return pd.DataFrame(rows, columns=["network", "rule", "seeds", "test error %", "spread", "published %"])


def draw(histories: pd.DataFrame, out: Path) -> None:
    """Draw test errors and the angles of the first hidden layer's gradient over the epochs."""
    networks = [network for network in dict.fromkeys(histories["network"]) if network != AKROUT]
    with settings():
        figure = new_figure(3.2 * len(networks) + 0.8, 6.4)
        axes = figure.subplots(2, len(networks), squeeze=False, sharex=True, sharey="row")
        for column, network in enumerate(networks):
            mine = histories[histories["network"] == network]
            looks = rule_looks(RULES)
            for rule, rows in mine.groupby("rule", sort=False):
                means = rows.groupby("epoch")[["test_accuracy", "gradient_angle_deg_1"]].mean()
                style = {"color": looks[rule].colour, "linestyle": looks[rule].dashes, "label": rule}
                axes[0][column].plot(means.index, 100 * (1 - means["test_accuracy"]), **style)
                if rule in ("fa", "dfa"):
                    axes[1][column].plot(means.index, means["gradient_angle_deg_1"], **style)
            axes[0][column].set_title(network)
            axes[0][column].set_yscale("log")
            axes[0][column].set_ylim(1, 30)
            axes[1][column].set_xlabel("epochs")
            for ax in axes[:, column]:
                ax.grid()
        axes[0][0].set_ylabel("test error (%)")
        axes[1][0].set_ylabel("gradient of layer 1 to BP's (degrees)")
        figure.legend(handles=axes[0][0].get_legend_handles_labels()[0], loc="outside lower center", ncols=4)
        figure.suptitle("MNIST, Nokland's recipe: mean of the seeds", fontsize=10.5)
        save(figure, out / "nokland")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", default=",".join([*PUBLISHED, AKROUT]))
    parser.add_argument("--out", type=Path, default=Path("runs/nokland"))
    parser.add_argument("--data-dir", default=None)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    histories = []
    for network in arguments.networks.split(","):
        for rule in RULES if network != AKROUT else ("fa",):
            for seed in range(arguments.seeds):
                histories.append(trained(arguments.out, network, rule, seed, arguments.epochs, arguments.data_dir))
                last = histories[-1].iloc[-1]
                print(f"{network} {rule} seed {seed}: {100 * (1 - last['test_accuracy']):.2f} %", flush=True)
    everything = pd.concat(histories, ignore_index=True)
    print(table(everything).to_string(index=False))
    everything.to_csv(arguments.out / "history.csv", index=False)
    draw(everything, arguments.out)


if __name__ == "__main__":
    main()
