"""A training step as a graph of tasks and messages, in arrays."""

from neurosim.schedules.finest import finest_cycles
from neurosim.schedules.plan import (
    LONGEST_PERIOD,
    MOST_STEPS,
    Plan,
    check_countable,
    largest_count,
    microbatch_slots,
    microbatch_times,
    schedule,
    step_microbatches,
)
from neurosim.schedules.tasks import RESOURCES, TaskGroup, TaskTable
from neurosim.schedules.work import Microbatch

__all__ = [
    "LONGEST_PERIOD",
    "MOST_STEPS",
    "RESOURCES",
    "Microbatch",
    "Plan",
    "TaskGroup",
    "TaskTable",
    "check_countable",
    "finest_cycles",
    "largest_count",
    "microbatch_slots",
    "microbatch_times",
    "schedule",
    "step_microbatches",
]
