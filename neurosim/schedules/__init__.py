"""A training step as a graph of tasks and messages, in arrays."""

from neurosim.schedules.finest import finest_cycles
from neurosim.schedules.plan import Plan, check_countable, microbatch_times, schedule, step_microbatches
from neurosim.schedules.tasks import RESOURCES, TaskGroup, TaskTable
from neurosim.schedules.work import Microbatch

__all__ = [
    "RESOURCES",
    "Microbatch",
    "Plan",
    "TaskGroup",
    "TaskTable",
    "check_countable",
    "finest_cycles",
    "microbatch_times",
    "schedule",
    "step_microbatches",
]
