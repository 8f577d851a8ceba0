"""The numerics: the cores' memories, and the phases of a training step on any part of a layer.

``Memories`` holds everything; ``run_step`` launches each phase once per layer, ``run_task`` on one core's part.
"""

from neurosim.numerics.alignment import Alignment, measure_alignment
from neurosim.numerics.memories import Memories, Score
from neurosim.numerics.threads import single_blas_thread

__all__ = ["Alignment", "Memories", "Score", "measure_alignment", "single_blas_thread"]
