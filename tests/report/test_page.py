"""A page answers first; what is folded away or in tabs is all there, and a figure carries the rows it draws."""

from __future__ import annotations

import base64
import io
import re
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdlib.base.errors import InputError
from kdlib.report import page
from kdlib.report.claims import CLAIMS
from kdlib.report.claims.answers import Answer
from kdlib.report.claims.sentences import sentence
from kdlib.report.draw import dots, files, heat
from kdlib.report.draw.curves import curves
from kdlib.report.draw.examples import examples
from kdlib.report.draw.maps import map_grid
from kdlib.report.inference import Effect, mean_interval, paired
from kdlib.report.sections import Part
from kdlib.report.words import with_interval

UP = [0.02, 0.021, 0.019, 0.022, 0.02, 0.018]


def answer(claim: str, values: list[float] | None, **more: Any) -> Answer:
    """Return an answer whose every member has these differences."""
    (one,) = [each for each in CLAIMS if each.id == claim]
    effect = None if values is None else paired(values, [0.0] * len(values))
    return Answer(one, dict.fromkeys(one.treated, effect), **more)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a test displays, as HTML or Markdown."""
    out: list[str] = []
    monkeypatch.setattr("IPython.display.display", lambda one: out.append(str(one.data)))
    return out


def test_an_answer_turns_with_its_sign() -> None:
    up, down = sentence(answer("C4", UP)), sentence(answer("C4", [-value for value in UP]))
    assert up.startswith("**Bayesian teachers' students are better (C4): holds here.**")
    assert "+2.00" in up and "up to +4.27 points" in up and "n = 6; 0.5 points would matter" in up
    assert "−2.00" in down and "(C4): does not hold here." in down


def test_members_that_differ_are_told_apart() -> None:
    (c4,) = [claim for claim in CLAIMS if claim.id == "C4"]
    zero = [0.0] * 6
    said = sentence(Answer(c4, {"variational": paired(UP, zero), "laplace": paired(zero, UP)}))
    assert "points (supported); Laplace −2.00" in said and "points (not supported)" in said
    assert "(supported)" not in sentence(answer("C4", UP))


def test_an_interval_across_zero_and_few_pairs_are_said() -> None:
    across = sentence(answer("C4", [0.05, -0.04, 0.03, -0.05, 0.02, 0.01]))
    assert "is left open" in across and "an interval that holds zero" in across
    few = sentence(answer("C4", UP[:3]))
    assert "is left open" in few and "fewer than 5 pairs of seeds" in few


def test_a_failed_guard_and_a_missing_study_are_said() -> None:
    lost: dict[str, Effect] = {"mcmi": paired([-0.05] * 5 + [-0.051], [0.0] * 6)}
    said = sentence(answer("C8", UP, guards=lost))
    assert "does not hold here" in said and "may have fallen too far" in said
    assert "was not measured here" in sentence(answer("C4", None))
    waiting = sentence(answer("C4", None, waiting="2 of 5 seeds are there; no verdict before the last."))
    assert "waits for the last planned seed" in waiting and "2 of 5 seeds are there" in waiting


def test_what_else_may_lie_behind_an_effect_is_said() -> None:
    assert "Note: it is the weather." in sentence(answer("C4", UP, limit="it is the weather"))


def test_what_is_due_to_cmi_is_said_of_whom() -> None:
    (c9,) = [claim for claim in CLAIMS if claim.id == "C9"]
    gain = paired(UP, [0.0] * 6)
    assert "Of it, due to CMI: +2.00" in sentence(Answer(c9, {"kd": gain}, due={"kd": gain}))
    assert "Of it, due to CMI: KD +2.00" in sentence(Answer(c9, {"kd": gain, "crd": gain}, due={"kd": gain}))


def test_a_study_that_does_not_decide_answers_in_its_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "of_page", lambda *_: SimpleNamespace(answers=(answer("C4", UP), answer("C5", None))))
    rows = pd.DataFrame({"label": ["a"]})
    said = page._answered("distillation", Part("b", "Second", "", rows))
    assert "(C4): holds here" in said and "(C5)" not in said, "what it did not measure it does not answer"
    silent = [Part("a", "First", "", rows, decides=True), Part("c", "Chosen runs", "", rows, chosen=True)]
    assert [page._answered("distillation", part) for part in silent] == ["", ""]
    assert page._answered("", Part("b", "Second", "", rows)) == ""


def test_a_large_family_is_said_by_its_ends() -> None:
    (c9,) = [claim for claim in CLAIMS if claim.id == "C9"]
    effects = {name: paired([value + k / 100 for value in UP], [0.0] * 6) for k, name in enumerate(c9.treated)}
    said = sentence(Answer(c9, effects))
    assert "+2.00" in said and "(KD)" in said and "+13.00" in said and "(HSAKD)" in said and "(AT)" not in said


def test_a_page_opens_with_its_question_and_says_where_nothing_ran(shown: list[str]) -> None:
    page.opening("What <now>?", "bcp", [])
    assert "What &lt;now&gt;?" in shown[0] and "No study has filled this page" in shown[0]
    chosen = Part("chosen", "Chosen runs", "", pd.DataFrame({"label": ["a"]}))
    page.opening("What?", "bcp", [chosen], said=["**One.** Two."])
    assert "<strong>One.</strong> Two." in shown[1] and "No study" not in shown[1], "chosen runs decide no claim"
    assert all("reading.html" in one for one in shown)


def test_a_figure_carries_its_rows_and_its_words(shown: list[str]) -> None:
    rows = pd.DataFrame({"teacher_label": ["mcmi", "mcmi"], "seed": [0, 1], "test_accuracy": [0.5, 0.7]})
    page.figure(dots(rows, "test_accuracy"), "Gains of A", "See <this>.", 'a "row"', rows)
    (said,) = shown
    assert 'id="gains-of-a"' in said and "See &lt;this&gt;." in said and 'alt="a &quot;row&quot;"' in said
    (link,) = re.findall(r'download="gains-of-a.csv" href="data:text/csv;base64,([^"]+)"', said)
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(base64.b64decode(link))), rows)
    with pytest.raises(InputError, match="lacks a caption or a description"):
        page.figure(dots(rows, "test_accuracy"), "x", "said", " ")


def test_a_figure_is_the_same_bytes_each_time() -> None:
    rows = pd.DataFrame({"teacher_label": ["mcmi", "laplace"] * 3, "seed": [0, 0, 1, 1, 2, 2], "test_nll": range(6)})
    drawn = dots(rows, "test_nll")
    assert files.png(drawn) == files.png(drawn) == files.png(dots(rows, "test_nll"))
    assert files.svg(drawn) == files.svg(drawn) and len(files.png(drawn)) < len(files.png(drawn, photographs=True))


def test_a_class_may_be_called_anything_in_a_figure() -> None:
    """A dollar begins no formula, and a script that no font here has is drawn without a warning."""
    names = ["$\\foo$ b", "猫", "100 % {x} _y_", "<b>"]
    shares = np.full((4, 4), 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for drawn in (
            map_grid(np.zeros((4, 8, 8)), names, {"mcmi": np.zeros((4, 8, 8))}),
            examples(np.zeros((4, 8, 8)), names, ("exact BCPs", shares), {"mcmi": shares}, names),
            heat(pd.DataFrame(shares, names, names), {names[0]: names[1]}, "share"),
        ):
            assert files.png(drawn).startswith(b"\x89PNG") and files.svg(drawn)


def test_ticks_of_logarithms_are_numbers() -> None:
    rows = pd.DataFrame(
        {"who": ["a", "a", "b", "b"], "step": [1, 2, 1, 2], "seed": 0, "distance": [1.0, 1e-4, 1.0, 1e-6]}
    )
    (axes,) = curves(rows, "step", ["distance"], "who", logs=("distance",)).axes
    axes.figure.draw_without_rendering()
    ticks = [tick for tick in axes.get_yticklabels() if tick.get_text()]
    assert ticks and all(tick.get_window_extent().width < 60 for tick in ticks), "as text a formula is longer"


def out(**data: str) -> SimpleNamespace:
    return SimpleNamespace(data={name.replace("_", "/"): text for name, text in data.items()})


def test_markdown_html_and_text_become_html() -> None:
    said = page.AS_HTML["text/markdown"]("**C4**: see [claims](../claims.md#rules) and [b](https://a.org/x.md)")
    assert "<strong>C4</strong>" in said and 'href="../claims.html#rules"' in said and "https://a.org/x.md" in said
    assert page.AS_HTML["text/html"]("<b>1</b>") == "<b>1</b>"
    assert page.AS_HTML["text/plain"]("a < b") == "<pre>a &lt; b</pre>"


def test_tabs_name_each_study_once_and_open_the_first() -> None:
    said = page._tab_set([("A & b", "<p>1</p>"), ("C", "<p>2</p>")])
    assert said.count("checked=") == 1 and "A &amp; b" in said and said.index("<p>1</p>") < said.index("<p>2</p>")
    assert page._fold("t", "") == "" and "<summary>t</summary>" in page._fold("t", "x")


def test_tables_escape_and_scroll(shown: list[str]) -> None:
    page.table(pd.DataFrame({"a_b": ["<x>"], "n": [1.23456]}), "Title & more")
    assert "&lt;x&gt;" in shown[0] and "a b" in shown[0] and "1.2346" in shown[0] and "Title &amp; more" in shown[0]
    assert 'class="wide-table" tabindex="0"' in shown[0]


def test_means_are_written_with_half_their_interval() -> None:
    values = pd.Series([70.0, 72.0, 71.0])
    assert with_interval(values) == f"71.0 ± {mean_interval(values).high - 71:.1f}"
    assert with_interval(pd.Series([0.5, 0.7])) == f"0.600 ± {mean_interval([0.5, 0.7]).high - 0.6:.3f}"
    assert with_interval(pd.Series([-5.0, -9.0])).startswith("−7.0 ± 25.4")
    assert [with_interval(pd.Series(one, dtype=float)) for one in ([], [0.1234], [71.23])] == ["–", "0.123", "71.2"]
    rows = pd.DataFrame({"teacher_label": ["mcmi"] * 3 + ["one_hot"] * 3, "seed": [0, 1, 2] * 2,
                         "test_accuracy": [0.70, 0.72, 0.71] * 2, "test_kl_to_teacher": [1.0] * 3 + [None] * 3,
                         "test_ece": [None] * 6})  # fmt: skip
    means = page.means(rows, ["test_accuracy", "test_kl_to_teacher", "test_ece", "absent"])
    assert list(means[""]) == ["MCMI", "one-hot"] and list(means["n"]) == [3, 3] and means.shape[1] == 4
    assert means.iloc[0, 2] == with_interval(values) and means.iloc[1, 3] == "–", (
        "labels have no teacher to be far from"
    )


def test_the_best_is_named_with_the_deterministic_one() -> None:
    rows = pd.DataFrame({"teacher_label": ["mcmi"] * 3 + ["deterministic"] * 3 + ["mse"] * 3, "seed": [0, 1, 2] * 3,
                         "test_nll": [0.5, 0.6, 0.7, 0.75, 0.85, 0.95, 1.0, 1.1, 1.2]})  # fmt: skip
    assert page.best(rows, "test_nll").startswith("**MCMI is best.** Test NLL (nats): MCMI 0.600 ± ")
    said = page.best(rows, "test_nll", lowest=False)
    assert said.startswith("**MSE is best.**") and "deterministic 0.850" in said and said.endswith("(n = 3).")
    unsure = rows.assign(test_nll=[0.5, 0.6, 0.7, 0.1, 0.9, 0.9, 1.0, 1.1, 1.2])
    assert page.best(unsure, "test_nll").startswith("**MCMI is best on average, not surely.** Test NLL")
    assert page.stated(rows.iloc[:0], "test_nll") == ""
