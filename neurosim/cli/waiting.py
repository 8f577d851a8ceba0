"""What a person sees while something takes long; silent where output goes to a file or a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def announce_compilation() -> None:
    """Say that kernels are compiled, where they have not been yet: it takes a while, once."""
    if not sys.stderr.isatty():
        return
    from neurosim.kernels import compiling_is_due

    if compiling_is_due():
        print("compiling kernels (once)", file=sys.stderr, flush=True)


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
