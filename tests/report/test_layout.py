"""A page answers first; what is folded away or in tabs is all there."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from kdlib.report import layout
from kdlib.report.claims import CLAIMS, Effect, paired
from kdlib.report.claims.words import QUESTIONS, WORDS
from kdlib.report.opening import sentence
from kdlib.report.sections import Section
from kdlib.report.verdicts import Answer


def answer(claim: str, values: list[float] | None, **more: object) -> Answer:
    """Return an answer whose every member has these differences."""
    (one,) = [each for each in CLAIMS if each.id == claim]
    effect = None if values is None else paired(values, [0.0] * len(values))
    return Answer(one, dict.fromkeys(one.treated, effect), **more)  # type: ignore[arg-type]


UP = [0.02, 0.021, 0.019, 0.022, 0.02, 0.018]


def test_every_claim_has_words_and_its_page_a_question() -> None:
    assert set(WORDS) == {claim.id for claim in CLAIMS}
    assert {words.page for words in WORDS.values()} == set(QUESTIONS)


def test_an_answer_turns_with_its_sign() -> None:
    up, down = sentence(answer("C4", UP)), sentence(answer("C4", [-value for value in UP]))
    assert "+2.00" in up and "The claim holds here." in up and "up to +4.27 points" in up and "n = 6" in up
    assert "−2.00" in down and "The claim does not hold here." in down


def test_an_interval_across_zero_and_few_pairs_are_said() -> None:
    across = sentence(answer("C4", [0.05, -0.04, 0.03, -0.05, 0.02, 0.01]))
    assert "The data leave it open." in across and "an interval that holds zero" in across
    few = sentence(answer("C4", UP[:3]))
    assert "The data leave it open." in few and "fewer than 5 pairs of seeds" in few


def test_a_failed_guard_and_a_missing_study_are_said() -> None:
    lost: dict[str, Effect] = {"mcmi": paired([-0.05] * 5 + [-0.051], [0.0] * 6)}
    said = sentence(answer("C8", UP, guards=lost))
    assert "The claim does not hold here." in said and "may have fallen too far" in said
    assert "No run here measures it." in sentence(answer("C4", None))
    waiting = sentence(answer("C4", UP, waiting="2 of 5 seeds are there; no verdict before the last."))
    assert "2 of 5 seeds are there" in waiting and "2.00" not in waiting


def test_a_large_family_is_said_by_its_ends() -> None:
    (c9,) = [claim for claim in CLAIMS if claim.id == "C9"]
    effects = {name: paired([value + k / 100 for value in UP], [0.0] * 6) for k, name in enumerate(c9.treated)}
    said = sentence(Answer(c9, effects))
    assert "+2.00" in said and "(KD)" in said and "+13.00" in said and "(HSAKD)" in said and "(AT)" not in said


def out(**data: str) -> SimpleNamespace:
    return SimpleNamespace(data={name.replace("_", "/"): text for name, text in data.items()})


def test_markdown_html_and_text_become_html() -> None:
    said = layout.as_html(out(text_markdown="**C4**: see [claims](../claims.md#rules) and [b](https://a.org/x.md)"))
    assert "<strong>C4</strong>" in said and 'href="../claims.html#rules"' in said and "https://a.org/x.md" in said
    assert layout.as_html(out(text_html="<b>1</b>", text_plain="x")) == "<b>1</b>"
    assert layout.as_html(out(text_plain="a < b")) == "<pre>a &lt; b</pre>"


def test_tabs_name_each_study_once_and_open_the_first() -> None:
    said = layout.tab_set([("A & b", "<p>1</p>"), ("C", "<p>2</p>")])
    assert said.count("checked=") == 1 and "A &amp; b" in said and said.index("<p>1</p>") < said.index("<p>2</p>")
    assert layout.fold("t", "") == "" and "<summary>t</summary>" in layout.fold("t", "x")


def test_the_study_that_decides_stands_first() -> None:
    parts = [Section(name, name, "", pd.DataFrame()) for name in ("cifar100", "digits", "quick")]
    assert layout.main_first(parts, "distillation")[0].name == "digits"
    assert [part.name for part in layout.main_first(parts, "nothing")] == [part.name for part in parts]
