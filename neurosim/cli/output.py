"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PIPE_COLUMNS = 200
"""Width of a table that goes to a file or a pipe, where nobody's window cuts it off."""


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns whose values are all numbers are set to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body = [tuple(row) for row in rows]
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        numeric = all(isinstance(row[number], int | float) for row in body)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(str(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False).print(table)


def print_json(data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print data as standard JSON: NaN and infinities are null."""
    from neurosim.runs import json_text

    print(json_text(data))


def print_toml(text: str) -> None:
    """Print TOML as it is, to be copied into a file."""
    print(text.rstrip())
