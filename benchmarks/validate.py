"""Why anyone should believe the numbers: every claim is run, against references whose data lie in the tree.

    python benchmarks/validate.py             the full run; writes docs/validation.md and its figures (50 minutes)
    python benchmarks/validate.py --brief learning    the same with only the quick part of a section (3 minutes)
    python benchmarks/validate.py --quick     what takes seconds: writes nothing, fails where an error has grown
    python benchmarks/validate.py --only network,counts
    python benchmarks/validate.py --keep FOLDER    trainings are kept there, and go on where they stopped

A section is a file in benchmarks/validation/ with a function validate(extent), and a row of SECTIONS. The exit status
is 1 where a value is further from its reference than its limit says.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from validation.section import Extent, Section, markdown, shown_error, shown_limit, text_of

SECTIONS = ("counts", "network", "von_neumann", "chips", "learning", "claims")
"""Modules of benchmarks/validation, in the order of the page."""

TREE = Path(__file__).parents[1]
PAGE = TREE / "docs" / "validation.md"
FIGURES = TREE / "docs" / "validation"


def main() -> None:
    """Run the sections that were asked for, print them, and after a full run write the page."""
    arguments = _arguments()
    brief = _sections(arguments.brief, "--brief")
    chosen = _sections(arguments.only, "--only") or list(SECTIONS)
    if arguments.keep and (arguments.quick or "learning" not in set(chosen) - set(brief)):
        sys.exit(f"--keep {arguments.keep}: nothing is trained in such a run; leave it out")
    sections: dict[str, Section] = {}
    with tempfile.TemporaryDirectory() as empty:
        for name in chosen:
            started = time.perf_counter()
            extent = Extent(arguments.quick or name in brief, arguments.keep or Path(empty))
            sections[name] = importlib.import_module(f"validation.{name}").validate(extent)
            _print(sections[name], time.perf_counter() - started)
    failed = [(name, row) for name, section in sections.items() for row in section.rows if not row.passes]
    if not arguments.quick and not arguments.only:
        write_page(sections, brief)
    for name, row in failed:
        print(f"FAILED: {name}: {row.what}: {shown_error(row)}, and at most {shown_limit(row)} passes")
    compared = sum(row.limit is not None for section in sections.values() for row in section.rows)
    print(f"{compared - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed or not compared else 0)


def _sections(names: str, option: str) -> list[str]:
    chosen = names.split(",") if names else []
    unknown = set(chosen) - set(SECTIONS)
    if unknown:
        sys.exit(f"{option} {','.join(sorted(unknown))}: sections are {', '.join(SECTIONS)}")
    return chosen


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only what takes seconds; write nothing")
    parser.add_argument("--only", default="", metavar="NAMES", help="sections, joined by commas; write nothing")
    parser.add_argument("--brief", default="", metavar="NAMES", help="sections of which only the quick part is run")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of trainings: go on with those of an earlier run")
    return parser.parse_args()


def _print(section: Section, seconds: float) -> None:
    print(f"== {section.title} ({seconds:.1f} s)")
    for row in section.rows:
        mark = "  " if row.passes else "!!"
        print(f"{mark} {row.what}: {row.ours:.6g} against {row.reference:.6g}: {shown_error(row)} ({shown_limit(row)})")


def write_page(sections: dict[str, Section], brief: list[str]) -> None:
    """Write docs/validation.md and its figures."""
    from neurosim.runs import collect_versions, write_text

    told = collect_versions()
    versions = ", ".join(f"{name} {told[name]}" for name in ("neurosim", "python", "numpy", "numba", "simpy"))
    head = text_of("head").format(date=time.strftime("%d %B %Y").lstrip("0"), versions=versions)
    if brief:
        left_out = ", ".join(sections[name].title for name in brief)
        head += f"\nOf these sections only the quick part was run, and what a full run adds is not shown: {left_out}.\n"
    FIGURES.mkdir(exist_ok=True)
    for section in sections.values():
        for name, (_, figure) in section.figures.items():
            figure.savefig(FIGURES / f"{name}.png", dpi=110)
    write_text(PAGE, "\n".join([head, *(markdown(section, FIGURES.name) for section in sections.values())]))


if __name__ == "__main__":
    main()
