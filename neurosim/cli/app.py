"""The command ``neurosim``: its table of commands, and how errors become exit codes."""

from __future__ import annotations

import functools
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from neurosim.errors import NeurosimError

COMMANDS: dict[str, str] = {
    "chips": "chips:show_chips",
    "networks": "networks:show_networks",
    "rules": "rules:show_rules",
    "datasets": "datasets:show_datasets",
    "check": "check:check_files",
    "cost": "cost:show_cost",
    "train": "train:run_train",
    "compare": "compare:run_compare",
    "sweep": "sweep:run_sweep_command",
    "report": "report:write_reports",
}
"""Command -> file in this folder and its function: a new command is one file and one row."""

USER_ERROR = 2
INTERRUPTED = 130
OUTPUT_CLOSED = 1


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"neurosim {version('neurosim-chip')}")
    except PackageNotFoundError:
        typer.echo("neurosim, run from its source tree without being installed")
    raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train neural networks on a virtual neuromorphic chip, and say what that training costs."""


def _with_exit_codes(function: Callable[..., None]) -> Callable[..., None]:
    """Turn what the user can put right into one sentence and exit code 2, and an interrupt into 130."""

    @functools.wraps(function)
    def command(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except NeurosimError as error:
            print(f"neurosim: {error}", file=sys.stderr)
            raise typer.Exit(USER_ERROR) from None
        except KeyboardInterrupt:
            print("neurosim: interrupted before it was done", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    return command


def build() -> typer.Typer:
    """Return the program with every command of COMMANDS."""
    # Plain help and errors: rich would take longer to import than these commands take to run.
    app = typer.Typer(
        name="neurosim",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    for name, place in COMMANDS.items():
        module, function = place.split(":")
        command = getattr(importlib.import_module(f"neurosim.cli.{module}"), function)
        app.command(name)(_with_exit_codes(command))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``neurosim`` with the given arguments, or the process's own; leaves by SystemExit with its exit code.

    What it says goes to the standard output before it leaves: a full disk there is one sentence and exit code 2, a
    reader that has gone is no error of the user's and nothing is said.
    """
    _tolerate_narrow_encodings()
    try:
        try:
            typer.main.get_command(build()).main(args=arguments, prog_name="neurosim")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # a file, and not what was printed
            raise
        _close_output()
        if isinstance(error, BrokenPipeError):
            sys.exit(OUTPUT_CLOSED)
        reason = (error.strerror or str(error)).lower()
        print(f"neurosim: cannot write to the standard output: {reason}; send it elsewhere", file=sys.stderr)
        sys.exit(USER_ERROR)


def _tolerate_narrow_encodings() -> None:
    """Print a question mark where a terminal has no µ or ±, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_output() -> None:
    """Let what cannot be written go nowhere: Python would try it again when it leaves, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
