"""Say by how much the event level's makespan of a training step is off from the flit level's, and what that takes.

    python benchmarks/speed/training_flit.py [--chips mesh64,mesh1024] [--rules bp,bp-mirrored,fa,dfa,ssdfa]

One step of ``--network`` for every chip, delivery and rule, without overlap, at both levels; their counts must be
equal.
"""

from __future__ import annotations

import argparse
import sys
import time

from neurosim import Recipe, load_chip, load_network, load_rule, place, schedule, simulate


def compare(network: str, rule: str, chip: str, recipe: Recipe) -> str:
    """Return a row: cycles of both levels, the event level's error, seconds of both."""
    found, machine = load_network(network), load_chip(chip)
    placement = place(found, load_rule(rule), machine, recipe)
    plan = schedule(found, load_rule(rule), placement, recipe)
    traces, seconds = [], []
    for level in ("event", "flit"):
        started = time.perf_counter()
        traces.append(simulate(plan, machine, network=level))
        seconds.append(time.perf_counter() - started)
    event, flit = traces
    assert event.counts.counts() == flit.counts.counts()
    error = 100 * (event.makespan_cycles / flit.makespan_cycles - 1)
    return (
        f"{chip:15} {recipe.delivery:10} {rule:12}{event.makespan_cycles:14}{flit.makespan_cycles:14}{error:8.2f}"
        f"{seconds[0]:9.2f}{seconds[1]:9.2f}"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="784-800-800-10")
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--chips", default="mesh64,mesh1024")
    parser.add_argument("--rules", default="bp,bp-mirrored,fa,dfa,ssdfa")
    given = parser.parse_args()
    print("chip            delivery   rule          event_cycles   flit_cycles error_%  event_s   flit_s")
    for chip in given.chips.split(","):
        for delivery in ("multicast", "unicast"):
            for rule in given.rules.split(","):
                recipe = Recipe(batch_size=given.batch_size, delivery=delivery)
                print(compare(given.network, rule, chip, recipe), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
