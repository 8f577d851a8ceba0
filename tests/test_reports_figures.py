"""Figures: each says what it shows, of which chip, network and delivery, in which unit; nothing overlaps or is cut."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from reports_case import costs, crossing, history, summary

from neurosim.reports.figures import FIGURES, draw_figures
from neurosim.reports.results import Results
from neurosim.reports.style import rule_looks, settings

UNIT = re.compile(r"\([^()]+\)|^epochs$")


def many_rules() -> Results:
    """Return results with 14 rules, of which some are the user's own with long names."""
    names = [f"ssdfa-of-my-own-{n}" for n in range(12)]
    one, learned = costs(("ssdfa",)), history(("ssdfa",))
    more = pd.concat([costs(("bp", "bp-mirrored")), *(one.assign(rule=name) for name in names)], ignore_index=True)
    trained = pd.concat(
        [history(("bp",)), *(learned.assign(rule=name, test_loss=n) for n, name in enumerate(names))], ignore_index=True
    )
    return Results(trained, more, summary(network="a network of the user's own with a long name.toml"))


CASES = {
    "three rules": lambda: Results(history(), costs(), summary()),
    "one rule, seed and epoch": lambda: Results(history(("ssdfa",), 1, 1), costs(("ssdfa",)), summary(to_target={})),
    "many rules": many_rules,
}


def on_two_chips(results: Results) -> Results:
    """Return the results with costs of crossing from chip to chip."""
    return Results(results.history, crossing(results.costs), results.summary)


def drawn(name: str, results: Results) -> Figure:
    """Return a figure as it is laid out; that of borders for results that have some."""
    results = on_two_chips(results) if name == "borders" else results
    with settings():
        figure = FIGURES[name](results)
        assert figure is not None
        figure.draw_without_rendering()
    return figure


def tick_texts(axis: Axis) -> list[Text]:
    """Return the tick labels of an axis that are drawn: not those beyond its ends."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def text_boxes(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """Yield every title, label, tick label and legend with the box that it takes."""
    texts = [figure._suptitle, figure._supxlabel]  # type: ignore[attr-defined]
    legends = list(figure.legends)
    for ax in (ax for ax in figure.axes if ax.get_visible()):
        texts += [ax.title, ax.xaxis.label, ax.yaxis.label, *tick_texts(ax.xaxis), *tick_texts(ax.yaxis)]
        legends += [legend] if (legend := ax.get_legend()) else []
    for text in texts:
        if text is not None and text.get_visible() and text.get_text():
            yield text.get_text(), text.get_window_extent()
    for legend in legends:
        yield "legend", legend.get_window_extent()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_overlaps_another_or_leaves_the_figure(name: str, case: str) -> None:
    figure = drawn(name, CASES[case]())
    boxes = list(text_boxes(figure))
    for text, box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(width, height) < 1, (first, second)


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_has_a_label_with_its_unit(name: str) -> None:
    figure = drawn(name, CASES["three rules"]())
    for ax in (ax for ax in figure.axes if ax.get_visible()):
        rules = {tick.get_text() for tick in ax.get_yticklabels()} >= {"bp", "ssdfa"}
        labelled_below = any(label.get_visible() and label.get_text() for label in ax.get_xticklabels())
        if labelled_below:
            assert UNIT.search(ax.get_xlabel()), ax.get_xlabel()
        if not rules and ax.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            assert UNIT.search(ax.get_ylabel()), ax.get_ylabel()


@pytest.mark.parametrize("name", FIGURES)
def test_every_title_says_chip_network_and_delivery(name: str) -> None:
    figure = drawn(name, CASES["three rules"]())
    title = figure.get_suptitle()
    for said in ("tiny", "4-3-3-2", "multicast", "microbatch 2", "cores 1/1/1"):
        assert said in title


def test_figures_are_written_as_svg_and_png_and_the_users_settings_stay(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    paths = draw_figures(tmp_path, on_two_chips(CASES["three rules"]()))
    assert {path.name for path in paths} == {f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert dict(mpl.rcParams) == before


def test_the_same_results_give_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(FIGURES) - {"learning_joules", "energy"}:
        monkeypatch.delitem(FIGURES, name)
    first = [path.read_bytes() for path in draw_figures(tmp_path / "a", CASES["three rules"]())]
    again = [path.read_bytes() for path in draw_figures(tmp_path / "b", CASES["three rules"]())]
    assert first == again


def test_figures_for_which_a_run_holds_nothing_are_left_out_and_old_ones_removed(tmp_path: Path) -> None:
    (tmp_path / "alignment.svg").write_text("of an earlier run")
    closed = costs()[~costs()["quantity"].str.contains("critical_path|core_|waiting")]
    plain = history().drop(columns=[name for name in history() if "angle" in name] + ["joules", "bit_hops"])
    names = {path.stem for path in draw_figures(tmp_path, Results(plain, closed, summary()))}
    assert names == set(FIGURES) - {"alignment", "borders", "learning_joules", "core_states", "critical_path"}
    assert not (tmp_path / "alignment.svg").exists()


def test_a_run_that_diverged_is_drawn_with_what_there_is() -> None:
    lost = history().assign(train_accuracy=math.nan, train_loss=math.nan)
    lost.loc[lost["rule"] == "bp", "test_accuracy"] = math.nan
    figure = drawn("learning_epochs", Results(lost, costs(), summary()))
    assert len(figure.axes) == 2


def test_training_without_classes_draws_its_losses() -> None:
    frame = history().assign(train_accuracy=math.nan, test_accuracy=math.nan)
    figure = drawn("learning_seconds", Results(frame, costs(), summary()))
    assert [ax.get_ylabel() for ax in figure.axes] == ["training loss (mean per sample)", "test loss (mean per sample)"]


def test_mirrored_bp_has_its_own_curve_against_time_and_none_against_epochs() -> None:
    labels = {
        name: {line.get_label() for line in drawn(name, CASES["three rules"]()).axes[0].get_lines()}
        for name in ("learning_epochs", "learning_seconds")
    }
    assert labels == {"learning_epochs": {"bp", "ssdfa"}, "learning_seconds": {"bp", "bp-mirrored", "ssdfa"}}


def test_the_movement_of_a_rule_is_marked_at_its_value() -> None:
    results = CASES["three rules"]()
    panel = drawn("error_movement", results).axes[2]
    shown = [float(x) for x in panel.get_lines()[0].get_xdata()]  # type: ignore[union-attr]
    wanted = [results.of_sample(rule, "bit_hops", phase="error") for rule in ("bp", "ssdfa")]
    assert [shown[0], shown[2]] == wanted


def test_rules_differ_by_colour_dashes_or_marker() -> None:
    looks = rule_looks(["bp", "fa", "dfa", "sdfa", "ssdfa", "usf", "brsf", "frsf", *"abcdefghijkl"])
    assert len({(look.colour, look.dashes, look.marker) for look in looks.values()}) == len(looks)


def test_what_crosses_from_chip_to_chip_is_drawn_beside_the_rest_with_its_share() -> None:
    results, axes = on_two_chips(CASES["three rules"]()), drawn("borders", CASES["three rules"]()).axes
    for ax, names, unit in (
        (axes[0], ("bit_hops", "border_bit_hops"), 1.0),
        (axes[1], ("router_energy_pj", "link_energy_pj", "border_energy_pj"), 1e-12),
    ):
        values = [[results.of_sample(rule, name) * unit for name in names] for rule in results.rules]
        wholes = [value[0] if unit == 1.0 else sum(value) for value in values]
        widths = [patch.get_width() for patch in ax.patches[-len(values) :]]  # type: ignore[attr-defined]
        assert widths == pytest.approx([value[-1] for value in values], abs=0, rel=1e-12)
        shares = [100 * value[-1] / whole for value, whole in zip(values, wholes, strict=True)]
        assert [text.get_text() for text in ax.texts] == [f"{share:.1f} %" for share in shares]
