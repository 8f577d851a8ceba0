"""Training: the pipeline in a loop."""

from neurosim.training.folder import check_target, reach_target, summarise_steps
from neurosim.training.loop import EpochCost, divergence, learning_rate, minibatches, run_training, spent_after
from neurosim.training.train import (
    FIRST_DELIVERIES,
    Training,
    describe_weights,
    epoch_cost,
    prepare_network,
    train,
    tune_learning_rate,
    with_targets,
)

__all__ = [
    "check_target",
    "reach_target",
    "summarise_steps",
    "FIRST_DELIVERIES",
    "describe_weights",
    "divergence",
    "with_targets",
    "EpochCost",
    "Training",
    "epoch_cost",
    "learning_rate",
    "minibatches",
    "prepare_network",
    "run_training",
    "spent_after",
    "train",
    "tune_learning_rate",
]
