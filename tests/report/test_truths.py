"""Single images beside their truth, and what a network's distance to it is due to."""

from __future__ import annotations

import re

import numpy as np
import pytest

from kdlib.report import truths
from kdlib.study.rows import table


def test_images_are_chosen_by_rule() -> None:
    bcp = np.array([[0.99, 0.01, 0], [0.95, 0.05, 0], [0.48, 0.47, 0.05], [0.4, 0.3, 0.3], [0.92, 0.05, 0.03]])
    says = np.log([[0.98, 0.01, 0.01], [0.9, 0.05, 0.05], [0.5, 0.4, 0.1], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1]])
    found: dict[str, list[int]] = {"easy": [], "ambiguous": [], "wrong": []}
    for sort, row in truths.chosen(bcp, says):
        found[sort].append(row)
    assert found["easy"] == [0, 1] and found["wrong"] == [4]
    assert found["ambiguous"][0] == 2 and 3 not in found["ambiguous"], "its two likeliest are not nearly all of it"


def test_parts_of_the_distance_add_up_to_it(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("IPython.display.display", lambda one: shown.append(str(one.data)))
    rows = table(study)
    teachers = rows[(rows["run_type"] == "teacher") & (rows["seed"] == 0)]
    truths.show(teachers, "k")
    figure, parts = shown
    assert "exact BCPs" in figure and "Chosen by rule" in figure
    sums = [sum(map(float, re.findall(r">([\d.]+)</td>", row))) for row in parts.split("<tr>")[2:]]
    assert sums == pytest.approx(teachers["test_kl_to_bcp"].to_numpy(), abs=5e-4)


def test_without_answers_nothing_is_shown(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.display.display", None)
    rows = table(study)
    truths.show(rows[rows["run_type"] == "teacher"].assign(run="nobody"), "k")
