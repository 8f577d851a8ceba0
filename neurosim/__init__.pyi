from neurosim.analytic import predict_effort as predict_effort
from neurosim.chips import Chip as Chip
from neurosim.chips import chip_names as chip_names
from neurosim.chips import load_chip as load_chip
from neurosim.comparisons import compare as compare
from neurosim.costs import price as price
from neurosim.datasets import load_dataset as load_dataset
from neurosim.engine import simulate as simulate
from neurosim.errors import NeurosimError as NeurosimError
from neurosim.networks import Conv as Conv
from neurosim.networks import Dense as Dense
from neurosim.networks import Flatten as Flatten
from neurosim.networks import Network as Network
from neurosim.networks import Pool as Pool
from neurosim.networks import dense as dense
from neurosim.networks import load_network as load_network
from neurosim.pipeline import cost as cost
from neurosim.placement import place as place
from neurosim.recipes import Recipe as Recipe
from neurosim.rules import RULES as RULES
from neurosim.rules import Feedback as Feedback
from neurosim.rules import Rule as Rule
from neurosim.rules import load_rule as load_rule
from neurosim.schedules import schedule as schedule
from neurosim.training import train as train

__all__: list[str]
