"""A study that fills the page of a claim has the runs that the claim compares."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdlib.measures.cmi import ARRAYS, GRID
from kdlib.report.claims import CLAIMS, answers, c05, c13
from kdlib.report.claims.claim import BAYES
from kdlib.report.sections import datasets_of
from kdlib.runs import studies
from kdlib.runs.plans import Plan
from kdlib.study import records
from kdlib.study.labels import labels, plans_of

STUDIES = [name for name in studies.names() if name.startswith(("digits", "cifar")) and "choosing" not in name]
MEASURED = [name for name in records.frame("digits") if name.startswith(("test_", "val_", "cam_"))]
UNKNOWN = {"cifar100": {"C3", "C14"}}
"""Datasets whose Bayes class probabilities nobody knows, and the claims that rest on them."""
BY_STEPS = {"C7", "C11"}
"""Decided by MCMI's protocol, which the study of the other paper does not follow."""


def drawn(*names: object) -> float:
    """Return a number that stands in for a measure of a run, from 0.4 to 0.6."""
    return 0.4 + 0.2 * zlib.crc32(repr(names).encode()) / 2**32


def row(planned: Plan, about: Any) -> dict[str, Any]:
    record, dataset = planned.record, getattr(planned.config, "dataset", "gaussian_mixture")
    known = [name for name in MEASURED if "bcp" not in name or dataset not in UNKNOWN]
    return {**record["config"], "run": planned.name, "run_type": record["run_type"], "dataset": dataset,
            "teacher": record["role"].removeprefix("from-").removeprefix("of-"), "source": "record", **about.columns,
            **{name: drawn(planned.name, name) for name in known}}  # fmt: skip


def past(students: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame([{"run": run, "step": epoch, "val_accuracy": drawn(run, epoch)}
                         for run in students["run"] for epoch in range(50)])  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_what_a_study_shows_is_what_its_runs_measure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = studies.load(name)
    said = labels(study)
    rows = pd.DataFrame([row(one, said[one.name]) for one in {p.name: p for _, p in plans_of(study)}.values()])
    monkeypatch.setattr(c05, "histories", past)
    grid = np.asarray(GRID)
    monkeypatch.setattr(c13, "arrays_of", lambda run: {**dict.fromkeys(ARRAYS, grid + drawn(run)), ARRAYS[0]: grid})
    (dataset,) = datasets_of(rows)
    own = rows[(rows["dataset"] == dataset) & ~rows["label"].str.startswith("noise")]
    found = {one.claim.id: one for one in answers.answers(own, dataset)}
    planned = {one.seed for one in said.values() if one.seed is not None}
    for claim in CLAIMS:
        if claim.page not in study.reports or claim.page == "synthetic" or claim.id in UNKNOWN.get(dataset, ()):
            continue
        if (claim.source == BAYES and "variational" not in study.teaching) or (
            claim.id == "C5" and dataset != "digits"
        ):
            continue
        if claim.id in BY_STEPS and {one["match"] for _, one in own[own["fraction"] < 1].iterrows()} == {"epochs"}:
            continue
        effects = [one for one in found[claim.id].measured.values() if one]
        assert effects, f"{name} fills the page {claim.page} and measures nothing of {claim.id}"
        assert {one.n for one in effects} == {len(planned)}, f"{claim.id} has not all seeds"
