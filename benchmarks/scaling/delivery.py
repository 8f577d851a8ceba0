"""Unicast against multicast: what copies cost each rule, on more and more cores.

    python benchmarks/scaling/delivery.py [FOLDER]

Change the lines in capitals; the table is printed, and table and figures are left in FOLDER (default:
runs/scaling-delivery).
"""

import sys

import neurosim as ns

NETWORK = "784-800-800-10"
RULES = ["bp", "fa", "dfa", "ssdfa"]
CORES = [16, 64, 256]
DELIVERY = ["unicast", "multicast"]
BATCH_SIZE = 200


def main(folder: str = "runs/scaling-delivery") -> None:
    result = ns.sweep(
        NETWORK, rules=RULES, chip="mesh64", cores=CORES, axes={"delivery": DELIVERY}, batch_size=BATCH_SIZE
    )
    for path in result.report(folder):
        print(path)
    print(result.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
