"""Every example in the README and the documentation runs, and what was added up by hand is what the program says."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import neurosim as ns
from neurosim.analytic import count_step
from neurosim.counts import COUNT_NAMES, kind_bits, words_per_value
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.placement import place, with_connections
from neurosim.schedules.channel import Product, tiled_operand_bits
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import RESOURCES, total
from neurosim.trace import CORE_STATES, TRAFFIC_INDEX

TREE = Path(__file__).parents[1]
PAGES = [TREE / "README.md", *sorted((TREE / "docs").glob("*.md"))]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(TREE)}
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
SMALLER = {'"784-800-800-10"': '"64-12-12-10"', '"mnist"': '"digits"', "epochs=5": "epochs=1", "seeds=3": "seeds=2"}
"""What the README's example is run with: the same lines, on a network and data that take seconds."""

# Running the examples. A fenced block is run by its language: `python` is executed, with doctests where it holds >>>;
# `toml` whose first line is `# name.toml` becomes that file; `console` lines with $ are commands, the others what they
# print. A page's blocks share their names and one working folder. `text` is not run.


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], text.count("\n", 0, match.start()) + 1) for match in found]


def run_page(page: Path) -> int:
    """Run a page's examples in the working folder and return how many there were."""
    names: dict[str, Any] = {"__name__": page.stem}
    ran = 0
    for block in blocks(page):
        place = f"{page.name}:{block.line}"
        if block.language == "python":
            run_python(block.text, names, place)
        elif block.language == "console":
            run_console(block.text, place)
        elif block.language == "toml" and (named := re.match(r"# (\S+\.toml)\n", block.text)):
            Path(named[1]).write_text(block.text, encoding="utf-8")
        else:
            assert block.language in ("text", "toml"), f"{place}: a block of '{block.language}' is not run"
            continue
        ran += 1
    return ran


def run_python(text: str, names: dict[str, Any], place: str) -> None:
    """Execute a block, or hold its doctests against what they print."""
    if ">>>" not in text:
        exec(compile(text, place, "exec"), names)
        return
    examples = doctest.DocTestParser().get_doctest(text, names, place, place, 0)
    examples.globs = names
    printed: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=FLAGS).run(examples, out=printed.append, clear_globs=False)
    assert outcome.failed == 0, "".join(printed)


def run_console(text: str, place: str) -> None:
    """Run the commands of a block and compare what they print, where the page shows it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n\s*", "", part).partition("\n")
        program, *arguments = shlex.split(command, comments=True)
        assert program == "neurosim", f"{place}: {command}"
        call = [sys.executable, "-m", "neurosim", *arguments]
        result = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False, env=ENVIRONMENT)
        assert result.returncode == (2 if shown.startswith("neurosim: ") else 0), f"{place}: {result.stderr}"
        printed = result.stdout + result.stderr
        fits = not shown.strip() or doctest.OutputChecker().check_output(shown, printed, FLAGS)
        assert fits, f"{place}: {command}\nprinted:\n{printed}\nshown:\n{shown}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, workplace):
    run_page(page)


def test_the_examples_of_the_readme_run_on_a_smaller_network(workplace):
    text = (TREE / "README.md").read_text(encoding="utf-8")
    for large, small in SMALLER.items():
        text = text.replace(large, small)
    Path("README.md").write_text(text, encoding="utf-8")
    assert run_page(Path("README.md")) >= 2


@pytest.mark.parametrize("name", ["tutorial", "add_a_rule", "add_a_chip", "commands", "README"])
def test_a_page_that_promises_examples_has_them(name):
    page = next(page for page in PAGES if page.stem == name)
    assert {"python", "console"} & {block.language for block in blocks(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_to_files(page):
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [target for target in linked if not (page.parent / target).exists()]


def test_every_documented_option_exists():
    text = (TREE / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    for section in sections:
        named = re.match(r"`?neurosim (\w+)", section)
        if named is None:
            continue
        call = [sys.executable, "-m", "neurosim", named[1], "--help"]
        offered = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True, env=ENVIRONMENT).stdout
        wanted = set(re.findall(r"--[a-z][a-z-]+", section))
        assert {option for option in wanted if option not in offered} == set(), named[1]


# The tutorial's numbers, added up by hand, against the program's.


def tables(page: str, *columns: str) -> list[list[dict[str, str]]]:
    """Return the tables of a documentation page whose first columns have these headings, as rows by heading."""
    lines = (TREE / "docs" / page).read_text(encoding="utf-8").split("\n")
    found: list[list[dict[str, str]]] = []
    for number, line in enumerate(lines):
        if line.startswith("| ---"):
            headings = cells(lines[number - 1])
            rows = []
            while lines[number + 1 + len(rows)].startswith("|"):
                rows.append(dict(zip(headings, cells(lines[number + 1 + len(rows)]), strict=True)))
            if tuple(headings[: len(columns)]) == columns:
                found.append(rows)
    assert found, f"{page}: no table with the columns {columns}"
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.fixture(scope="module")
def steps():
    """Return the tutorial's two steps, in the order in which it shows them."""
    return [ns.cost("4-3-3-2", rule=rule, chip="tiny", batch_size=4, optimizer="sgd") for rule in ("dfa", "bp")]


def check_counts(cost, rows):
    for row in rows:
        place = None if row["phase"] == "total" else [cost.trace.counts.row(row["phase"], int(row["layer"]))]
        for name in list(row)[2:]:
            assert int(row[name]) == cost.trace.counts.count(name, place), (row["phase"], row["layer"], name)


def test_the_counts_added_up_by_hand_are_those_simulated(steps):
    for cost, rows in zip(steps, tables("tutorial.md", "phase", "layer"), strict=True):
        check_counts(cost, rows)


def test_the_memories_added_up_by_hand_are_those_placed(steps):
    for cost, rows in zip(steps, tables("tutorial.md", "core", "memory", "how"), strict=True):
        bits = {"synapse": cost.placement.synapse_bits, "neuron": cost.placement.neuron_bits}
        assert [int(row["bits"]) for row in rows] == [bits[row["memory"]][int(row["core"])] for row in rows]


def task_row(cost, name, part):
    """Return a task's core, lane cycles, operations, words and cycles under the headings of the tutorial."""
    kind, layer = name.split()
    group = next(g for g in cost.plan.tasks.groups if (g.kind, g.layer) == (kind, int(layer)))
    batches = cost.plan.microbatches()
    work = cost.plan.tasks.work(batches[-1 if part == "last" else 0])
    core, bits = cost.chip.core, kind_bits(cost.chip.widths.model_dump(), cost.network.widths[-1])
    counts = work.counts[group.first]
    words = {
        memory: int(counts @ words_per_value(f"{memory}_memory", getattr(core, f"{memory}_memory").word_bits, bits))
        for memory in ("neuron", "synapse")
    }
    return {
        "core": int(cost.plan.tasks.core[group.first]),
        "lane cycles": int(work.resource_cycles[group.first, RESOURCES.index("macs")]),
        "operations": int(total(work.counts, "elementwise_ops")[group.first]),
        "neuron words": words["neuron"],
        "synapse words": words["synapse"],
        "cycles": int(work.durations[group.first]),
    }


def test_the_durations_added_up_by_hand_are_those_of_the_tasks(steps):
    for cost, rows in zip(steps, tables("tutorial.md", "task", "core", "lane cycles"), strict=True):
        for row in rows:
            name, _, part = row.pop("task").partition(", ")
            assert {key: int(value) for key, value in row.items()} == task_row(cost, name, part), name


def test_the_timeline_drawn_by_hand_is_the_one_simulated(steps):
    for cost, rows in zip(steps, tables("tutorial.md", "task", "core", "start, first"), strict=True):
        groups = cost.plan.tasks.groups
        for part, timeline in zip(("first", "last"), cost.trace.timelines, strict=True):
            ran = {}
            for task, start, end in zip(timeline.task, timeline.start_cycle, timeline.end_cycle, strict=True):
                group = next(g for g in groups if g.first <= task < g.first + g.count)
                ran[f"{group.kind} {group.layer}"] = int(cost.plan.tasks.core[task]), int(start), int(end)
            by_hand = {r["task"]: (int(r["core"]), int(r[f"start, {part}"]), int(r[f"end, {part}"])) for r in rows}
            assert by_hand == {name: ran[name] for name in by_hand}, part


def test_every_task_of_the_first_timeline_is_in_the_table(steps):
    rows = tables("tutorial.md", "task", "core", "start, first")[0]
    assert len(rows) == len(steps[0].plan.tasks)


def test_the_messages_added_up_by_hand_are_those_delivered(steps):
    (rows,) = tables("tutorial.md", "carries", "from", "to")
    sent = {group.payload: group for group in steps[0].trace.groups if group.messages}
    assert list(sent) == [row["carries"] for row in rows]
    for row in rows:
        group, flits = sent[row["carries"]], int(row["flits"])
        assert group.messages == 2
        assert group.payload_bits == 2 * int(row["payload bits"])
        assert group.flit_hops == 2 * flits * int(row["links"])
        assert group.latency_sum_cycles == 2 * (int(row["delivered"]) - int(row["enters"]))


def test_the_traffic_added_up_by_hand_is_that_simulated(steps):
    (rows,) = tables("tutorial.md", "count", "how", "value")
    assert {row["count"] for row in rows} < set(TRAFFIC_INDEX)
    assert {row["count"]: int(row["value"]) for row in rows} == {r["count"]: steps[0].counts[r["count"]] for r in rows}


def test_the_energy_added_up_by_hand_is_that_priced(steps):
    (rows,) = tables("tutorial.md", "component", "count")
    by_hand = {row["component"]: float(row["pJ"]) for row in rows}
    assert by_hand == {name: pj for name, pj in steps[0].energy_pj.items() if pj}
    assert all(float(r["value"]) * float(r["pJ each"]) == float(r["pJ"]) for r in rows if r["value"])


def test_what_the_cores_did_by_hand_is_what_the_trace_says(steps):
    (rows,) = tables("tutorial.md", "core", "computing")
    by_hand = [[int(row[state]) for state in CORE_STATES] for row in rows]
    assert by_hand == steps[0].trace.core_cycles.tolist()


# The tables of the cost model against the tables of the program.


def test_the_cost_model_names_every_count_with_its_unit():
    rows = [row for table in tables("cost_model.md", "count", "unit") for row in table]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row["count"])}
    assert documented == set(COUNT_NAMES)


def test_the_optimizers_of_the_cost_model_are_those_of_the_program():
    (rows,) = tables("cost_model.md", "optimizer")
    by_hand = {row["optimizer"].strip("`"): (int(row["state words s"]), int(row["operations w"])) for row in rows}
    assert by_hand == {name: (row.state_words, row.operations) for name, row in OPTIMIZERS.items()}


def test_the_check_rows_of_the_cost_model_are_what_the_program_counts():
    (rows,) = tables("cost_model.md", "rule", "macs", "elementwise_ops")
    network, recipe = ns.load_network("784-800-800-10"), ns.Recipe(batch_size=200, microbatch=20, optimizer="sgd")
    for row in rows:
        rule = ns.load_rule(row.pop("rule").strip("`"))
        placement = place(network, rule, ns.load_chip("mesh64"), recipe)
        assert placement.cores_per_layer == [31, 32, 1]
        if rule.sparse:
            each = (np.arange(800) % 10)[:, None]
            placement = with_connections(placement, {1: each, 2: each})
        found = count_step(Layout(network, rule, placement, recipe, forward_only=False), recipe.batch_size)
        assert {name: int(value) for name, value in row.items()} == {name: found.count(name) for name in row}, rule.name


def test_the_macs_of_convolutions_in_the_cost_model_are_what_the_program_counts():
    (rows,) = tables("cost_model.md", "lenet under")
    for row in rows:
        for rule in re.findall(r"`([\w-]+)`", row["lenet under"]):
            phases = ns.cost("lenet", rule=rule, batch_size=1, fidelity="analytic").phases
            by_hand = {phase: int(row[phase]) for phase in ("forward", "error", "update")}
            assert by_hand == {phase: phases[phase]["macs"] for phase in by_hand}, rule


def test_the_cache_example_of_the_cost_model_is_what_the_program_tiles():
    (rows,) = tables("cost_model.md", "cache", "operands")
    channel = ns.load_chip("von_neumann").channel
    for row in rows:
        cache = channel.model_copy(update={"cache_bytes": int(row["cache"].split()[0]) * 1024})
        bits = tiled_operand_bits(Product(200, 784, 800, 200 * 784, 784 * 800), 16, 16, 32, cache)
        assert f"{bits / 8e6:.2f} MB" == row["operands"]


# The design page against the tree.


def test_the_design_page_names_the_layers_that_are_checked():
    settings = (TREE / "setup.cfg").read_text(encoding="utf-8")
    layers = re.search(r"contract:layers\].*?^layers =\n(.*?)\n\n", settings, re.MULTILINE | re.DOTALL)
    assert layers is not None
    shown = next(block.text for block in blocks(TREE / "docs" / "design.md") if block.text.startswith("__main__"))
    assert [line.strip() for line in shown.strip().split("\n")] == [line.strip() for line in layers[1].split("\n")]


def test_the_design_page_names_every_module():
    text = (TREE / "docs" / "design.md").read_text(encoding="utf-8")
    package = TREE / "neurosim"
    modules = {p.stem for p in package.glob("*.py")} | {p.parent.name for p in package.glob("*/__init__.py")}
    missing = {name for name in modules if f"`{name}" not in text and not name.startswith("__")}
    assert missing == set()
