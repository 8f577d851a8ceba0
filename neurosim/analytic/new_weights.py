"""What keeping mirrors up to date adds to the update phase of a step, apart from all else that is booked there."""

from __future__ import annotations

from neurosim.analytic.error_flows import mirrored_layers, new_weights_flow
from neurosim.analytic.traffic import flow_totals
from neurosim.counts import WORK_INDEX
from neurosim.schedules.layout import Layout
from neurosim.trace import CountTable, empty_counts


def count_new_weights(layout: Layout) -> CountTable:
    """Return the messages, writes and channel bits of new weights of a step; all 0 for a rule without mirrors."""
    table, grid = empty_counts(layout.depth), layout.grid
    signs = layout.rule.matrix == "sign"
    for layer in mirrored_layers(layout):
        following, row = layout.shape(layer + 1), table.row("update", layer + 1)
        # Tiles of one layer all read the whole filters of the next; of a dense layer each has its own columns.
        written = following.weights * (layout.cut(layer).tiles if following.convolves else 1)
        table.work[row, WORK_INDEX["mirror_writes", "sign" if signs else "weight"]] = written
        if layout.chip.behind_channel:
            table.work[row, WORK_INDEX["channel_bits", ""]] = written * (1 if signs else layout.chip.widths.weight_bits)
        flow = new_weights_flow(layout, grid, layer)
        table.traffic[row] = flow_totals(layout, grid, flow, layout.recipe.batch_size)
    return table
