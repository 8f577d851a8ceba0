"""What a person sees while something takes long; silent where output goes to a file or a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurosim.analytic import Effort


def announce_compilation() -> None:
    """Say that kernels are compiled, where they have not been yet: it takes a while, once."""
    if not sys.stderr.isatty():
        return
    from neurosim.kernels import compiling_is_due

    if compiling_is_due():
        print("compiling kernels (once)", file=sys.stderr, flush=True)


def effort_announcer() -> Callable[[Effort], None] | None:
    """Return what announces a simulation's effort; None where nobody sees it, and so need not be predicted."""
    return announce_effort if sys.stderr.isatty() else None


def announce_effort(effort: Effort) -> None:
    """Say before a long simulation how long it may take, and what would not."""
    from neurosim.analytic import LONG_SECONDS
    from neurosim.units import human

    if effort.seconds <= LONG_SECONDS:
        return
    flits = f", {human(effort.flits)} flits through routers" if effort.flits else ""
    print(
        f"simulating {'up to ' if effort.repeats else ''}{human(effort.crossings)} link crossings{flits}, about "
        f"{_spoken(effort.seconds)}; --fidelity analytic gives the counts and a bound of the time at once",
        file=sys.stderr,
        flush=True,
    )


def _spoken(seconds: float) -> str:
    """A duration of more than a minute as text."""
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    return f"{seconds / 3600:.0f} hours"


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (label, done, wanted) that keeps a bar per label on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda label, done, wanted: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """How many are done in a second, or a minute where that is below one."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed or 0.0
            return Text(f"{speed:.1f}/s" if speed >= 1 else f"{60 * speed:.1f}/min" if speed else "")

    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, object] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def update(label: str, done: int, wanted: int) -> None:
            if label not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, visible=False)  # type: ignore[arg-type]
                tasks[label] = bars.add_task(label, total=wanted)
            bars.update(tasks[label], completed=done)  # type: ignore[arg-type]

        yield update
