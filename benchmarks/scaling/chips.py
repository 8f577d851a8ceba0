"""Adding chips adds neurons and synapses: a network too large for one chip on several, and what crossing costs.

    python benchmarks/scaling/chips.py [FOLDER]

Change the lines in capitals; the table is printed, and table and figures are left in FOLDER (default:
runs/scaling-chips). A number of chips on which the network does not fit is a row that says so.
"""

import sys

import neurosim as ns

NETWORK = "784-3x3000-10"
RULES = ["bp", "bp-mirrored", "fa", "dfa", "ssdfa"]
CHIPS = [1, 2, 4, 8, 16]
BATCH_SIZE = 64


def main(folder: str = "runs/scaling-chips") -> None:
    result = ns.sweep(NETWORK, rules=RULES, chip="mesh64", chips=CHIPS, batch_size=BATCH_SIZE, optimizer="sgd")
    for path in result.report(folder):
        print(path)
    print(result.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
