"""The errors a user of neurosim may meet: each says the place, the value, what is allowed and a way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeurosimError(Exception):
    """Anything the user can put right; the command line prints it as one sentence and exits with code 2."""


class DescriptionError(NeurosimError):
    """A chip, network, rule or recipe that is written wrongly or asks for what does not exist."""


class PlacementError(NeurosimError):
    """A network that does not fit on the chip."""


class SimulationError(NeurosimError):
    """A simulation that cannot go on: a plan and a chip that do not belong together, or a limit that was passed."""


class DatasetError(NeurosimError):
    """Data that are absent, damaged, or do not match the network."""


class RunError(NeurosimError):
    """A run folder that cannot be written, read or locked."""


def nearest_guess(wrong: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the allowed name closest to ``wrong``, or an empty string."""
    matches = difflib.get_close_matches(wrong, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""
