"""Networks: what is trained."""

from neurosim.networks.conv import Conv
from neurosim.networks.dense import Activation, Dense
from neurosim.networks.geometry import Axis, LayerShape, Map, PoolShape, dense_shape
from neurosim.networks.network import NETWORKS, Network, dense, hidden, load_network
from neurosim.networks.pool import Flatten, Pool

__all__ = [
    "NETWORKS",
    "Activation",
    "Axis",
    "Conv",
    "Dense",
    "Flatten",
    "LayerShape",
    "Map",
    "Network",
    "Pool",
    "PoolShape",
    "dense",
    "dense_shape",
    "hidden",
    "load_network",
]
