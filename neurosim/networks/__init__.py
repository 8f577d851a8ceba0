"""Networks: what is trained."""

from neurosim.networks.network import NETWORKS, Activation, Dense, Network, dense, hidden, load_network

__all__ = ["NETWORKS", "Activation", "Dense", "Network", "dense", "hidden", "load_network"]
