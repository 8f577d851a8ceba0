"""Transports: what keeping a mirrored copy of the weights costs a step, read out of the update phase it is booked in.

New weights are sent after they are made, so their messages and writes are counted in the update phase. They serve the
error phase alone: without them a mirror could not stand in for the owner of the weights. Reports that show the error
phase by itself therefore add them to it, and say so.
"""

from __future__ import annotations

import math

from neurosim.counts import MESSAGE_COUNTS
from neurosim.reports.results import Machine, Results

_CARRIED = ("link", "router")


def has_transport(results: Results, rule: str) -> bool:
    """Return whether a rule sends new weights to mirrored copies of them."""
    return results.of_step(rule, "mirror_writes") > 0


def transport_count(results: Results, rule: str, quantity: str, *, machine: Machine | None = None) -> float:
    """Return what of a count of a step belongs to new weights: 0 for a rule without mirrors.

    No other rule sends messages in its update phase, so all of them are the transport's.
    """
    if not has_transport(results, rule):
        return 0.0
    if quantity == "mirror_writes" or quantity in MESSAGE_COUNTS:
        return results.of_step(rule, quantity, phase="update", machine=machine)
    if quantity == "channel_bits":
        return _channel_bits(results, rule, machine)
    return 0.0


def transport_energy_pj(results: Results, rule: str, *, machine: Machine | None = None) -> float:
    """Return the energy in pJ of a step's new weights: links, routers, writes of the mirrors, and the channel.

    The lowest layer that learns is mirrored nowhere, and all that a layer's update does in the synapse memory grows
    with its weights; what another layer's update spends there beyond its share is the writing of its mirrors.
    """
    if not has_transport(results, rule):
        return 0.0
    energy = sum(results.of_step(rule, f"{name}_energy_pj", phase="update", machine=machine) for name in _CARRIED)
    bits = results.of_step(rule, "channel_bits", phase="update", machine=machine)
    if bits > 0:
        pj_per_bit = results.of_step(rule, "channel_energy_pj", phase="update", machine=machine) / bits
        energy += pj_per_bit * _channel_bits(results, rule, machine)
    return energy + _writing_pj(results, rule, machine)


def _writing_pj(results: Results, rule: str, machine: Machine | None) -> float:
    spent = results.of_layers(rule, "synapse_memory_energy_pj", phase="update", machine=machine)
    writes = results.of_layers(rule, "synapse_writes", phase="update", machine=machine)
    mirrored = results.of_layers(rule, "mirror_writes", phase="update", machine=machine)
    plain = [layer for layer in spent if writes[layer] > 0 and not mirrored[layer]]
    if not plain:
        return math.nan
    pj_per_weight = spent[plain[0]] / writes[plain[0]]
    return math.fsum(spent[layer] - pj_per_weight * writes[layer] for layer in spent if mirrored[layer])


def _channel_bits(results: Results, rule: str, machine: Machine | None) -> float:
    """Mirrors that were written, in bits, where the memories lie behind a channel; else 0."""
    if not results.of_step(rule, "channel_bits", phase="update", machine=machine) > 0:
        return 0.0
    macs = results.of_layers(rule, "macs", phase="forward", machine=machine)
    reads = results.of_layers(rule, "mirror_reads", phase="error", machine=machine)
    weights = sum(macs[layer + 1] / results.batch_size for layer, count in reads.items() if count > 0)
    bits_per_weight = results.of_step(rule, "stored_mirror_bits", machine=machine) / weights
    return bits_per_weight * results.of_step(rule, "mirror_writes", phase="update", machine=machine)
