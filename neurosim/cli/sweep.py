"""``neurosim sweep``: core counts, chips, and any other parameter."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli import options as o

if TYPE_CHECKING:
    from neurosim.recipes import Recipe
    from neurosim.sweeps import Planned, Run, Sweep, SweepResult

INTERRUPTED = 130
MOST_ANNOUNCED = 10
"""Points that are named one by one as taking long."""


def run_sweep_command(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A sweep as a TOML file.")] = None,
    network: Annotated[str, typer.Option("--network", metavar="SPEC", help="Networks, joined by commas.")] = "",
    rules: o.RulesOption = "",
    chip: o.ChipOption = "",
    cores: Annotated[str, typer.Option("--cores", metavar="N,...", help="Core counts to scale the chip to.")] = "",
    chips: Annotated[str, typer.Option("--chips", metavar="N,...", help="Numbers of chips beside each other.")] = "",
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE,...", help="Any field of network, rule, chip or recipe: its values."),
    ] = [],  # noqa: B006 - typer copies it
    zip: Annotated[bool, typer.Option("--zip", help="Values side by side, not in all combinations.")] = False,
    weak: Annotated[bool, typer.Option("--weak", help="The network grows with the cores.")] = False,
    memory: Annotated[
        str,
        typer.Option("--memory", metavar="HOW", help="Of a core as their number changes: scaled, fixed, unlimited."),
    ] = "",
    together: Annotated[bool, typer.Option("--together", help="Rules share slices and microbatch.")] = False,
    no_von_neumann: Annotated[bool, typer.Option("--no-von-neumann", help="Leave that machine's line out.")] = False,
    fidelity: Annotated[str, typer.Option("--fidelity", metavar="LEVEL", help="event or analytic.")] = "",
    per: Annotated[str, typer.Option("--per", metavar="WHAT", help="sample, step or epoch.")] = "",
    samples: Annotated[int | None, typer.Option("--samples", metavar="N", help="Samples of an epoch (60000).")] = None,
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="NAME", help="Train every point on it too; without, points are costed.")
    ] = "",
    data_dir: o.DataDirOption = "",
    scale: o.ScaleOption = "",
    whiten: o.WhitenOption = "",
    whiten_epsilon: o.WhitenEpsilonOption = None,
    augment: o.AugmentOption = "",
    subset: o.SubsetOption = None,
    validation: o.ValidationOption = 0.0,
    epochs: o.EpochsOption = None,
    batch_size: o.BatchSizeOption = None,
    lr: o.LrOption = None,
    optimizer: o.OptimizerOption = "",
    activation: o.ActivationOption = "",
    loss: o.LossOption = "",
    reduction: o.ReductionOption = "",
    init: o.InitOption = "",
    microbatch: o.MicrobatchOption = "",
    delivery: o.DeliveryOption = "",
    overlap: o.OverlapOption = "",
    seed: o.SeedOption = None,
    out: o.OutOption = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on in --out: compute what is missing.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: failed points again too.")
    ] = False,
    shard: Annotated[str, typer.Option("--shard", metavar="I/N", help="Only every N-th point, from the I-th.")] = "",
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="P", help="Processes of this machine (as many as processors).")
    ] = None,
    scheduler: Annotated[
        str, typer.Option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster with this scheduler.")
    ] = "",
    json: o.JsonOption = False,
) -> None:
    """Cost, or train, every combination of networks, rules, core counts, chips and any other field."""
    recipe = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "optimizer": optimizer, "loss": loss,
        "reduction": reduction, "init": init, "microbatch": microbatch, "delivery": delivery, "overlap": overlap,
        "seed": seed,
    }  # fmt: skip
    learning = {
        "dataset": dataset, "scale": scale, "whiten": whiten, "whiten_epsilon": whiten_epsilon, "augment": augment,
        "subset": subset, "validation": validation or None,
    }  # fmt: skip
    asked = {
        "networks": _names(network), "rules": _names(rules), "chip": chip, "cores": _counts("cores", cores),
        "chips": _counts("chips", chips), "memory": memory, "fidelity": fidelity, "per": per, "samples": samples,
        "zip": zip or None, "weak": weak or None, "together": together or None,
        "von_neumann": False if no_von_neumann else None, "set": _axes(settings, _given(recipe)),
        "recipe": _given(recipe), "learning": _given(learning),
    }  # fmt: skip
    goes_on = out and (resume or (shard and (Path(out) / "sweep.toml").is_file()))
    sweep = _describe(file, Path(out) if goes_on else None, _given(asked), activation)
    _execute(sweep, data_dir, out, _how(shard, processes, scheduler, resume, retry_failed), json)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value not in ("", None, [], {})}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _counts(option: str, text: str) -> list[Any]:
    """Return the numbers of ``1,4,16``; ``1e3`` is one too."""
    from neurosim.descriptions import parse_value
    from neurosim.errors import DescriptionError

    if not text:
        return []
    values = [parse_value(part) for part in text.split(",")]
    for value, part in zip(values, text.split(","), strict=True):
        if not isinstance(value, int | float):
            raise DescriptionError(f"--{option} {text}: '{part.strip()}' is no number; write counts such as 1,4,16")
    return values


def _axes(settings: list[str], recipe: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the axes of ``--set KEY=VALUE,VALUE`` texts."""
    from neurosim.errors import DescriptionError
    from neurosim.sweeps import split_values

    axes: dict[str, list[str]] = {}
    for text in settings:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise DescriptionError(f"--set {text}: write KEY=VALUE,VALUE, such as chip.noc.flit_bits=32,64")
        if not values or "" in split_values(values):
            raise DescriptionError(f"--set {text}: an axis needs values, none of them empty")
        name = key.removeprefix("recipe.").removeprefix("training.")
        if key in axes or name in recipe:
            other = f"--{name.replace('_', '-')} {recipe[name]}" if name in recipe else "another --set"
            raise DescriptionError(f"--set {key}: is given by {other} as well; give one")
        axes[key] = split_values(values)
    return axes


def _describe(file: Path | None, kept: Path | None, asked: dict[str, Any], activation: str) -> Sweep:
    """Return the sweep of a file with the options over it; or the one that a folder holds, if nothing is asked for."""
    from neurosim.descriptions import read_toml
    from neurosim.errors import DescriptionError
    from neurosim.networks import load_network
    from neurosim.settings import parse_settings
    from neurosim.sweeps import flat_axes, make_sweep, read_sweep, sweep_file

    if kept is not None and file is None and not asked and not activation:
        return read_sweep(sweep_file(kept))
    data = {} if file is None else read_toml(file)
    for table in ("set", "learning", "recipe"):
        if not isinstance(data.get(table, {}), dict):
            raise DescriptionError(f"{file}.{table}: {data[table]!r}: must be a table of keys")
    recipe = asked.pop("recipe", {})
    if "networks" in asked:
        data.pop("network", None)
    if "learning" in asked:
        asked["learning"] = {**data.get("learning", {}), **asked["learning"]}
        if "dataset" not in asked["learning"]:
            raise DescriptionError(f"--{next(iter(asked['learning']))}: has no effect without --dataset")
    data["set"] = _without(flat_axes(data.get("set", {})), recipe, asked.get("set", {})) | asked.pop("set", {})
    data |= asked
    if recipe:
        texts = [f"{name}={value}" for name, value in {**data.get("recipe", {}), **recipe}.items()]
        data["recipe"] = parse_settings(texts).recipe(_default_recipe()).model_dump(exclude_unset=True)
    named = data.pop("networks", data.pop("network", []))
    networks = named if isinstance(named, list) else [named]
    if not networks:
        raise DescriptionError("--network: name one, such as 784-800-800-10")
    data["networks"] = (
        [load_network(one, activation=activation or None) for one in networks] if activation else networks
    )
    return make_sweep(data, "sweep" if file is None else file.stem)


def _without(axes: Mapping[str, Any], recipe: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes of a file whose fields no option of the command line gives."""
    from neurosim.settings import field_of

    given = {f"recipe.{name}" for name in recipe} | {field_of(key) for key in settings}
    return {key: values for key, values in axes.items() if field_of(key) not in given}


def _default_recipe() -> Recipe:
    from neurosim.recipes import Recipe

    return Recipe()


def _how(shard: str, processes: int | None, scheduler: str, resume: bool, retry: bool) -> Run:
    """Return where and how much is run."""
    from neurosim.errors import DescriptionError
    from neurosim.sweeps import Run, parse_shard

    if scheduler and processes is not None:
        raise DescriptionError("--processes: is for this machine; leave it away with --scheduler")
    if retry and not resume:
        raise DescriptionError("--retry-failed: goes with --resume")
    part = parse_shard(shard) if shard else None
    return Run(scheduler=scheduler, processes=processes, shard=part, resume=resume, retry=retry)


def _execute(sweep: Sweep, data_dir: str, out: str, run: Run, json: bool) -> None:
    from dataclasses import replace

    from neurosim.cli.waiting import announce_compilation, progress_bars
    from neurosim.errors import DescriptionError
    from neurosim.sweeps import SweepInterrupted, load_sweep, plan_sweep, run_sweep

    # A batch system ends jobs so: what is finished is kept, and the table made, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    if (run.resume or run.shard is not None) and not out:
        raise DescriptionError("--out: name the folder of the sweep that goes on or that shards share")
    planned = plan_sweep(sweep, data_dir or None)
    _announce(planned)
    announce_compilation()
    try:
        with progress_bars() as progress:
            result = run_sweep(planned, replace(run, progress=progress), out=out or None, keep=True)
    except SweepInterrupted as stop:
        told = f"interrupted: {stop.done} of {stop.wanted} are done and kept; go on with"
        how = "--resume" if run.shard is None else f"--shard {run.shard.number}/{run.shard.count}"
        how += f" --scheduler {run.scheduler}" if run.scheduler else ""
        print(f"neurosim: {told} neurosim sweep --out {stop.folder} {how}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    assert result.folder is not None
    result = load_sweep(result.folder)  # other shards may have ended in the meantime
    result.report()
    if json:
        _print_json(result)
    else:
        _print_result(result)


def _announce(planned: Planned) -> None:
    """Say what is scaled, and which points would take long, before anything runs."""
    from neurosim.sweeps import long_points

    counts = {}
    for point in planned.points:
        if "cores" in point.coordinates and point.machine == "chip":
            counts[point.coordinates["cores"]] = point.chip
    changed = [f"{asked} -> {chip.grid[0]} x {chip.grid[1]}" for asked, chip in counts.items()]
    grids = f"; cores -> grid: {', '.join(changed)}" if changed else ""
    print(f"{len(planned.points)} points{grids}", file=sys.stderr)
    found = long_points(planned.jobs)
    for point, effort in found[:MOST_ANNOUNCED]:
        about = f"{effort.crossings:.2g} link crossings, about {effort.seconds / 60:.0f} min"
        print(f"predicted to take long: {point.place}: {about}", file=sys.stderr)
    if len(found) > MOST_ANNOUNCED:
        print(f"predicted to take long: {len(found) - MOST_ANNOUNCED} more points", file=sys.stderr)
    if found:
        print("--fidelity analytic gives their counts, and a bound of their time, at once", file=sys.stderr)


def _print_result(result: SweepResult) -> None:
    from neurosim.cli.output import print_table
    from neurosim.reports.sweep_text import MOST_LINES, sweep_rows
    from neurosim.sweeps.measure import UNFIT

    headings, rows = sweep_rows(result.results)
    print_table(f"{len(rows)} points", headings, rows[:MOST_LINES])
    if len(rows) > MOST_LINES:
        print(f"{len(rows) - MOST_LINES} more points are in {result.folder}/sweep.csv")
    problems = {status: number for status, number in result.statuses.items() if status != "ok"}
    if problems:
        print("not measured: " + ", ".join(f"{number} ({status})" for status, number in problems.items()))
    if UNFIT in problems and result.sweep.cores and result.sweep.memory != "unlimited":
        print("--memory unlimited leaves the memories' capacity unchecked; more chips or a smaller network may fit")
    print(f"folder: {result.folder}")


def _print_json(result: SweepResult) -> None:
    import json

    from neurosim.cli.output import print_json

    points = json.loads(result.table.to_json(orient="records"))
    print_json({"out": str(result.folder), "statuses": result.statuses, "points": points})
