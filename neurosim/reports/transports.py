"""Transports: what keeping a mirrored copy of the weights costs a step, out of the update phase it is booked in.

New weights are sent to mirrors after they are made, so their messages and writes are counted in the update phase. They
serve the error phase alone: without them a mirror could not stand in for the owner of the weights. Reports that show
the error phase by itself therefore add them to it, and say so. Gradients and new weights of filters that several cores
hold belong to the update of every rule and are not among them.
"""

from __future__ import annotations

from neurosim.counts import MESSAGE_COUNTS
from neurosim.reports.results import Machine, Results

_TRANSPORTED = (*MESSAGE_COUNTS, "mirror_writes", "channel_bits")


def has_transport(results: Results, rule: str) -> bool:
    """Return whether a rule sends new weights to mirrored copies of them."""
    return results.of_step(rule, "mirror_writes") > 0


def transport_count(results: Results, rule: str, quantity: str, *, machine: Machine | None = None) -> float:
    """Return what of a count of a step belongs to new weights for mirrors: 0 for a rule without."""
    if not has_transport(results, rule) or quantity not in _TRANSPORTED:
        return 0.0
    return results.of_step(rule, f"new_weights_{quantity}", phase="update", machine=machine)


def transport_energy_pj(results: Results, rule: str, *, machine: Machine | None = None) -> float:
    """Return the energy in pJ of a step's new weights: links, routers, writes of the mirrors, and the channel."""
    if not has_transport(results, rule):
        return 0.0
    return results.of_step(rule, "new_weights_pj", phase="update", machine=machine)
