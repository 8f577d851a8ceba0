"""simulate(): when everything in a plan happens. SimPy runs the cores, the network kernel moves the messages."""

from neurosim.engine.run import simulate

__all__ = ["simulate"]
