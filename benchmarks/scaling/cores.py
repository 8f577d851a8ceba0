"""Strong scaling: one training step of the same network on more and more cores, under several rules.

    python benchmarks/scaling/cores.py [FOLDER]

The chip's total memory stays what it was: the more cores, the smaller and cheaper each one's memories. Change the lines
in capitals; the table is printed, and table and figures are left in FOLDER (default: runs/scaling-cores).
"""

import sys

import neurosim as ns

NETWORK = "784-800-800-10"
RULES = ["bp", "bp-mirrored", "fa", "dfa", "ssdfa"]
CORES = [1, 4, 16, 64, 256, 1024]
BATCH_SIZE = 200


def main(folder: str = "runs/scaling-cores") -> None:
    result = ns.sweep(NETWORK, rules=RULES, chip="mesh64", cores=CORES, batch_size=BATCH_SIZE)
    for path in result.report(folder):
        print(path)
    print(result.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
