"""Single test images with their Bayes class probabilities (BCPs), and what networks of this store say of them.

Records keep no answers, so this shows runs made here. Torch is loaded with the dataset alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib.base.errors import InputError
from kdlib.measures.bcp_errors import PARTS, divergence, error_parts, tempered
from kdlib.report import page
from kdlib.report.draw import as_drawn
from kdlib.report.draw.examples import MOST, examples
from kdlib.report.theme import name_of
from kdlib.store.runs import Run

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset

Floats = NDArray[np.float64]


EXACT, PEOPLE = "exact BCPs", "answers of people"
"""What a page calls the probabilities that stand for the truth."""


def called(rows: pd.DataFrame) -> str:
    """Return what a page calls the probabilities that stand for the truth."""
    return EXACT if rows["dataset"].astype(str).str.startswith("digits").all() else PEOPLE


def dataset_of(rows: pd.DataFrame) -> Dataset | None:
    """Return the dataset of a table's rows; None where its files are not here or nobody knows its BCPs."""
    from kdlib import data

    first = rows.iloc[0]
    root, size = (None if pd.isna(value) else value for value in (first.get("data_root"), first.get("image_size")))
    try:
        found = data.load(str(first["dataset"]), root, None if size is None else int(size))
    except InputError:
        return None
    return found if found.test.bcp is not None else None


def chosen(bcp: Floats, log_probs: Floats) -> list[tuple[str, int]]:
    """Choose test images by rule, two of each sort, with the row of each.

    Easy: the BCPs are surest, among the images on which the network is surest. Ambiguous: the two largest BCPs are
    most alike, together above 0.9. Wrong: the network's KL is largest, among images whose largest BCP is above 0.9 and
    which it calls something else.
    """
    ordered = np.sort(bcp, axis=1)
    two, first = ordered[:, -2], ordered[:, -1]
    named = log_probs.argmax(axis=1)
    right = bcp[np.arange(len(named)), named] >= first
    scores = {
        "easy": np.where(right, first + log_probs.max(axis=1) * 1e-3, -np.inf),
        "ambiguous": np.where(first + two > 0.9, two - first, -np.inf),
        "wrong": np.where(~right & (first > 0.9), divergence(bcp, log_probs), -np.inf),
    }
    best = [
        (name, int(row), score[row]) for name, score in scores.items() for row in np.argsort(-score, kind="stable")[:2]
    ]
    return [(name, row) for name, row, score in best if np.isfinite(score)]


def show(rows: pd.DataFrame, key: str) -> None:
    """Show images beside true and estimated distributions, and what errors are due to, of teachers in this store.

    Args:
        rows: teachers of one dataset.
        key: makes the figure's name unique on its page.
    """
    import torch

    answers: dict[str, Floats] = {}
    for row in rows.drop_duplicates("teacher_label").itertuples():
        if (run := Run(str(row.run))).finished:
            answers[str(row.teacher_label)] = tempered(run.predictions()["test"].double().numpy(), 1.0)
    dataset = dataset_of(rows) if answers else None
    if dataset is None or dataset.test.bcp is None:
        return
    bcp = dataset.test.bcp.numpy().astype(np.float64)
    some = chosen(bcp, next(iter(answers.values())))
    places = [row for _, row in some]
    pixels = dataset.test.take(torch.tensor(places)).numpy().astype(np.float64)
    titles = [f"{sort}\n{dataset.classes[int(dataset.test.labels[row])]}" for sort, row in some]
    estimates = {label: np.exp(values[places]) for label, values in list(answers.items())[:MOST]}
    page.figure(
        examples(as_drawn(pixels), titles, (called(rows), bcp[places]), estimates, dataset.classes),
        f"examples {key}",
        f"Test images with the {called(rows)} (first row) and what one network of each teacher says, in percent; "
        "a line marks the largest of a row, above each image stands its label. Chosen by rule for the first "
        "teacher: two of which the truth is surest, two whose two likeliest classes are most alike, two clear ones "
        "that it gets wrong.",
        f"{len(places)} images, each beside a table of percentages: a row a distribution, a column a class.",
        photographs=True,
    )
    errs = {name_of(label): error_parts(bcp, values).mean(axis=0) for label, values in answers.items()}
    page.table(
        pd.DataFrame.from_dict(errs, orient="index", columns=[str(part) for part in PARTS]).reset_index(names=""),
        f"What the distance to the {called(rows)} is due to, nats: means over test images of one network each",
    )
