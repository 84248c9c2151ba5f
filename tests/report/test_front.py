"""The front page and the guideline say what the results say, and turn with them."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_page import UP, answer

from kdlib.report import front, goes_with, guideline, page
from kdlib.report.claims import CLAIMS
from kdlib.report.inference import paired
from kdlib.report.words import plain

SEEDS = range(6)
TEACHERS = ("variational", "inducing", "deterministic", "mse")
NOISE = [0.0004, -0.0003, 0.0001, -0.0002, 0.0003, -0.0003]


def column(gains: list[float], answers: tuple[Any, ...] = (), top: float = 0.05) -> Any:
    """Return a study in which teachers, nearest first, have students with these gains over labels, in parts of one."""
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        floor = 0.7 + 0.01 * seed
        same = {"run_type": "student", "framework": "kd", "omit_classes": "",
                "samples": 1, "student_temperature": 1.0, "kd_weight": 0.9,
                "temperature": 1.0, "seed": seed, "dataset": "digits"}  # fmt: skip
        for label, teacher, gain in (("floor", "one_hot", 0.0), ("ceiling", "exact_bcp", top)):
            rows.append({**same, "label": label, "teacher": teacher, "teacher_label": teacher,
                         "test_accuracy": floor + gain})  # fmt: skip
        for place, (teacher, gain) in enumerate(zip(TEACHERS, gains, strict=True)):
            near = 0.1 * (1 + place) + NOISE[seed]
            rows.append({"run_type": "teacher", "seed": seed, "label": teacher, "teacher_label": teacher,
                         "teacher": teacher, "dataset": "digits", "test_kl_to_bcp": near, "train_kl_to_bcp": near,
                         "test_kl_to_bcp_t1": near, "train_kl_to_bcp_t1": near})  # fmt: skip
            rows.append({**same, "label": f"distilled {teacher}", "teacher": teacher, "teacher_label": teacher,
                         "test_accuracy": floor + gain + NOISE[(seed + place) % 6]})  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["val_accuracy"] = frame["test_accuracy"]
    return SimpleNamespace(
        frame=frame.assign(run=[f"run-{place}" for place in frame.index]),
        dataset="digits",
        answers=answers,
        name="Digits",
        part=SimpleNamespace(waiting="", name="made"),
    )


def said(gains: list[float]) -> list[str]:
    """Return the answer of a study with these gains."""
    return front.sentences(front.pictured([column(gains)]))


def test_nearest_and_best_are_one_teacher_or_two() -> None:
    near, gain = said([0.04, 0.03, 0.02, 0.01])
    assert near.startswith("**The variational teacher estimates") and "−0.200 [−0.200, −0.200] nats" in near
    assert "are the same teacher's**, +4.0 points" in gain and "ρ = −1.00" in gain
    near, gain = said([0.01, 0.02, 0.03, 0.04])
    assert near.startswith("**The variational teacher estimates")
    assert "are those of the MSE teacher**, +4.0 points" in gain and "ρ = +1.00" in gain


def test_verdicts_are_counted() -> None:
    own = [0.04, 0.03, 0.02, 0.01]
    digits = column(own, (answer("C4", UP), answer("C7", None)))
    assert front.counted([digits]).endswith("fourteen claims** 1 holds, 1 was not measured on Digits.")
    photographs = column(own, (answer("C4", [-one for one in UP]), answer("C7", UP)))
    photographs.name = "CIFAR *100*"
    assert front.counted([digits, photographs]).endswith(r" on Digits; 1 holds, 1 does not hold on CIFAR \*100\*.")
    photographs.part.waiting = "2 of 5 seeds are there."
    assert front.counted([digits, photographs]) == front.counted([digits])


def test_what_the_control_does_too_has_a_star() -> None:
    """Where CMI's own part is surely below what would matter; not where it may be as large."""
    up, none = {"mcmi": paired(UP, [0.0] * 6)}, {"mcmi": paired(NOISE, [0.0] * 6)}
    for due, star in ((none, True), (up, False), ({}, False)):
        c8 = answer("C8", UP, guards={"mcmi": paired([0.0] * 6, NOISE)}, due=due)
        told = tuple(c8 if claim.id == "C8" else answer(claim.id, None) for claim in CLAIMS)
        table = front.table([column([0.04, 0.03, 0.02, 0.01], told)])
        assert (r"| supported\* |" in table) is star is ("without the CMI term" in table)


def test_what_a_study_is_called_means_nothing_in_markdown() -> None:
    """A title or a folder may look like HTML, a table's cell or a link: it is shown, and does nothing."""
    odd = "<b>a</b> | **b** `c` $d$ {doc}`e` [f](g) & \\h\n# i"
    assert page._markdown(plain(odd)).strip() == f"<p>{html.escape(' '.join(odd.split()), quote=False)}</p>"
    own = column([0.04, 0.03, 0.02, 0.01], tuple(answer(claim.id, None) for claim in CLAIMS))
    own.name, own.dataset = odd, f"folder:{odd}"
    heads, cells = (re.findall(rf"<{tag}>(.*?)</{tag}>", page._markdown(front.table([own]))) for tag in ("th", "td"))
    assert heads[2] == html.escape(" ".join(odd.split()), quote=False) and len(cells) == 3 * len(CLAIMS)
    assert "<b>" not in page._markdown(front.sentences(front.pictured([own]))[0])


def test_a_study_without_distances_has_no_picture() -> None:
    own = column([0.04, 0.03, 0.02, 0.01])
    own.frame = own.frame.drop(columns=[name for name in own.frame if "_kl_to_bcp" in name])
    assert front.pictured([own]) == []
    assert front.sentences([]) == []


def test_the_picture_has_a_floor_a_ceiling_and_a_mark_a_teacher() -> None:
    own = column([0.04, 0.03, 0.02, 0.01], top=0.06)
    found = front.ceiling(own)
    assert found is not None and found.mean == pytest.approx(0.06)
    drawn = front.picture(front.pictured([own]))
    (axes,) = drawn.axes
    assert axes.get_xlabel().startswith("KL(BCP ‖ teacher)") and axes.get_title(loc="left") == "digits, n = 6"
    assert {text.get_text() for text in axes.texts} == {"one-hot labels", "exact BCPs"}
    assert len(axes.containers) == len(TEACHERS)
    drawn.draw_without_rendering()
    whole, (width, height) = drawn.get_tightbbox(), drawn.get_size_inches()
    assert whole.x0 >= 0 and whole.y0 >= 0 and whole.x1 <= width and whole.y1 <= height, "nothing is cut off"


@pytest.mark.parametrize(
    ("gain", "said"),
    [(0.04, "Take the inducing teacher:"), (0.0225, "A well-trained deterministic teacher is enough:")],
)
def test_advice_on_the_teacher_follows_its_students(gain: float, said: str) -> None:
    lines = guideline.advice([column([0.01, gain, 0.02, 0.01])]).splitlines()
    assert lines[0].startswith(f"- **{said}**") and f"+{100 * (gain - 0.02):.2f}" in lines[0]


def test_what_may_pay_is_left_open() -> None:
    """The mean stays below half a point, the interval does not."""
    own = column([0.01, 0.024, 0.02, 0.01])
    taught = (own.frame["teacher_label"] == "inducing") & (own.frame["run_type"] == "student")
    own.frame.loc[taught, "test_accuracy"] += 0.006 * np.array([1, -1, 1, -1, 1, -1])
    own.frame["val_accuracy"] = own.frame["test_accuracy"]
    assert guideline.advice([own]).startswith("- **The inducing teacher may pay:** its students gain +0.4")


def test_no_advice_against_the_deterministic_teacher_where_it_is_best() -> None:
    lines = guideline.advice([column([0.01, 0.01, 0.02, 0.01])]).splitlines()
    assert lines[0].endswith("is enough:** no other teacher's students gain more.")


def test_advice_turns_with_a_verdict_and_goes_where_it_is_open() -> None:
    own = [0.01, 0.03, 0.02, 0.01]
    yes, no = (guideline.advice([column(own, (answer("C4", sign),))]) for sign in (UP, [-value for value in UP]))
    assert "(C4: +2.00" in yes and "(C4: −2.00" in no and yes.splitlines()[-1][:20] != no.splitlines()[-1][:20]
    for unsure in ([0.05, -0.04, 0.03, -0.05, 0.02, 0.01], None):
        assert "C4" not in guideline.advice([column(own, (answer("C4", unsure),))])


def test_advice_names_a_dataset_that_says_the_opposite() -> None:
    own, down = [0.01, 0.03, 0.02, 0.01], [-value for value in UP]
    digits, photographs = column(own, (answer("C4", UP),)), column(own, (answer("C4", down),))
    photographs.name = "Photographs"
    assert "On Photographs it is the other way: −2.00" in guideline.advice([digits, photographs])
    for same in (UP, None, [0.05, -0.04, 0.03, -0.05, 0.02, 0.01]):
        photographs.answers = (answer("C4", same),)
        assert guideline.advice([digits, photographs]) == guideline.advice([digits])


def test_gains_are_paired_with_the_floor_of_the_seed() -> None:
    rows = goes_with.teachers_and_gains(column([0.04, 0.03, 0.02, 0.01]).frame)
    assert rows.groupby("teacher_label")["gain"].mean()["variational"] == pytest.approx(0.04)
    assert rows.groupby("teacher_label")["gain"].std().max() < 0.001  # though floors differ by points


def test_photographs_stand_below_with_people_for_the_truth_once_every_seed_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(page, "show", shown.append)
    digits, photographs, unknown = (column([0.04, 0.03, 0.02, 0.01]) for _ in range(3))
    photographs.frame = photographs.frame[photographs.frame["teacher"] != "exact_bcp"].assign(dataset="cifar10")
    photographs.dataset = "cifar10"
    unknown.frame = unknown.frame.drop(columns=[name for name in unknown.frame if "_kl_to_bcp" in name])
    both = front.pictured([digits, unknown, photographs])
    assert [one.column for one in both] == [digits, photographs]
    drawn = front.picture(both)
    assert [one.get_xlabel()[:10] for one in drawn.axes] == ["KL(BCP ‖ t", "KL(people "]
    assert [len(one.texts) for one in drawn.axes] == [2, 1], "nobody knows the ceiling of photographs"
    near, gained = front.sentences(both)
    assert "On cifar10, by answers of people, it is the variational teacher: KL 0.100 nats, −0.200" in near
    assert "On cifar10 they are the same teacher's, +4.0 points. Over teachers trained apart on digits" in gained
    front.show(both)
    assert "exact BCPs on digits and the answers of people on cifar10" in shown[0] and "of exact probab" in shown[0]
    front.show(both[1:])
    assert "exact" not in shown[1] and "answers of people on cifar10" in shown[1]
    front.show(front.pictured([unknown]))
    assert len(shown) == 2
    photographs.part.waiting = "3 of 5 seeds are there; no verdict before the last."
    assert [one.column for one in front.pictured([digits, photographs])] == [digits]
