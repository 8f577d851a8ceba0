"""Narrow values: what a step costs where activations, errors and weights have fewer bits.

    python benchmarks/scaling/bits.py [FOLDER]

Widths enter in words, so in time, memory, traffic and energy; the energies of a MAC, an operation and a word stay those
of the chip's 16 bits. The training itself stays in floating point, so nothing is said here of accuracy. Change the
lines in capitals; the table is printed, and table and figures are left in FOLDER (default: runs/scaling-bits).
"""

import sys

import neurosim as ns

NETWORK = "784-800-800-10"
RULES = ["bp", "fa", "dfa", "ssdfa"]
BITS = [4, 8, 16, 32]
WIDTHS = ["weight_bits", "activation_bits", "error_bits", "feedback_bits"]
BATCH_SIZE = 200


def main(folder: str = "runs/scaling-bits") -> None:
    axes = {f"chip.widths.{name}": BITS for name in WIDTHS}
    result = ns.sweep(NETWORK, rules=RULES, chip="mesh64", axes=axes, zip=True, batch_size=BATCH_SIZE)
    for path in result.report(folder):
        print(path)
    print(result.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
