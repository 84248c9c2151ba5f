"""What a report knows of test images: their Bayes class probabilities (BCPs), and what the runs answered to them.

`truth_of` and `answers_of` read a dataset and the stored predictions; arrays are numpy from there on. Torch is loaded
with the dataset alone: digits are drawn again in half a second, which costs less than a copy of them would.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib.base.errors import InputError
from kdlib.measures.bcp_errors import PARTS, best_temperature, divergence, error_parts, tempered
from kdlib.store.runs import Run

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset

Floats = NDArray[np.float64]
Answers = dict[tuple[str, int], dict[str, Floats]]
"""Log-probabilities `(n, classes)` on the splits `val` and `test`, by group (or run) and seed."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Hold a dataset whose test images have class probabilities.

    `bcp` `(n, classes)` and `labels` `(n,)` are of the test images, `val_labels` of the validation images.
    """

    dataset: Dataset
    bcp: Floats
    labels: NDArray[np.int64]
    val_labels: NDArray[np.int64]

    @property
    def human(self) -> bool:
        """Say whether the probabilities are the shares of people's answers, not exact ones."""
        return str(self.dataset.bcp_source) == "human"

    @property
    def called(self) -> str:
        """Return what a page calls the probabilities."""
        return "answers of people" if self.human else "exact BCPs"

    def pictures(self, rows: list[int]) -> Floats:
        """Return test images as matplotlib shows them, `(n, height, width)` or `(n, height, width, 3)`."""
        import torch

        images = self.dataset.test.take(torch.tensor(rows)).numpy().astype(np.float64)
        return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


@functools.lru_cache(maxsize=8)
def _truth(name: str, root: str | None, image_size: int | None) -> Truth | None:
    from kdlib import data

    try:
        dataset = data.load(name, root, image_size)
    except InputError:  # its files are not here; the records of its runs may be
        return None
    if dataset.test.bcp is None:
        return None
    labels = dataset.test.labels.numpy(), dataset.val.labels.numpy()
    return Truth(dataset, dataset.test.bcp.numpy().astype(np.float64), *labels)


def truth_of(frame: pd.DataFrame) -> Truth | None:
    """Return the truth of a table's dataset, or None where the BCPs are not known or the data are not here."""
    first = frame.iloc[0]
    given = (first.get("data_root"), first.get("image_size"))
    root, size = (None if value is None or value != value else value for value in given)
    return _truth(str(first["dataset"]), root, None if size is None else int(size))


def answers_of(frame: pd.DataFrame, by: str = "group") -> Answers:
    """Return the stored predictions of a table's runs; records keep none."""
    out: Answers = {}
    for _, row in frame.sort_values("seed", kind="stable").iterrows():
        run = Run(str(row["run"]))
        if (run.path / "predictions.safetensors").is_file():
            kept = {split: values.double().numpy() for split, values in run.predictions().items()}
            out[str(row[by]), int(row["seed"])] = kept
    order = {str(group): place for place, group in enumerate(dict.fromkeys(frame[by]))}
    return dict(sorted(out.items(), key=lambda item: (order[item[0][0]], item[0][1])))


def first_of(answers: Answers) -> dict[str, Floats]:
    """Return the test answers of one network a group, that of its lowest seed."""
    out: dict[str, Floats] = {}
    for (group, _), kept in answers.items():
        out.setdefault(group, kept["test"])
    return out


def parts_of(truth: Truth, kept: dict[str, Floats]) -> Floats:
    """Return the parts of a run's divergence on every test image, `(n, 4)`, in nats."""
    return error_parts(truth.bcp, kept["test"])


def with_temperatures(frame: pd.DataFrame, truth: Truth, answers: Answers) -> pd.DataFrame:
    """Add `best_temperature`, fitted on validation labels, and `test_kl_to_bcp_tempered`, the test KL at it.

    A teacher that is temperature-scaled already has neither: a second fit would only compare roundings.
    """
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for key, kept in answers.items():
        best = best_temperature(kept["val"], truth.val_labels)
        found[key] = best, float(divergence(truth.bcp, tempered(kept["test"], best)).mean())
    none = (np.nan, np.nan)
    values = [
        none if row["teacher"] == "temperature_scaled" else found.get((str(row["group"]), int(row["seed"])), none)
        for _, row in frame.iterrows()
    ]
    fitted, distance = np.array(values).T
    return frame.assign(best_temperature=fitted, test_kl_to_bcp_tempered=distance)


def parts_table(truth: Truth, answers: Answers) -> pd.DataFrame:
    """Return a row a run: group, seed and the mean of each part in nats."""
    rows = []
    for (group, seed), kept in answers.items():
        means = parts_of(truth, kept).mean(axis=0).tolist()
        rows.append({"group": group, "seed": seed, **dict(zip(map(str, PARTS), means, strict=True))})
    return pd.DataFrame(rows)


def by_class(truth: Truth, answers: Answers) -> pd.DataFrame:
    """Return a row a run and a class of the BCPs' most probable class: mean KL(BCP ‖ teacher) in nats, as `kl`."""
    top = truth.bcp.argmax(axis=1)
    rows = []
    for (group, seed), kept in answers.items():
        each = divergence(truth.bcp, kept["test"])
        for k, name in enumerate(truth.dataset.classes):
            if (top == k).any():
                rows.append({"group": group, "seed": seed, "class": name, "kl": float(each[top == k].mean())})
    return pd.DataFrame(rows)


def examples(truth: Truth, log_probs: Floats) -> list[tuple[str, int]]:
    """Choose test images by rule, two of each sort, with the row of each.

    Easy: the BCPs are surest, among the images on which the network is surest. Ambiguous: the two largest BCPs are
    most alike, together above 0.9. Wrong: the network's KL is largest, among images whose largest BCP is above 0.9 and
    which it calls something else.
    """
    ordered = np.sort(truth.bcp, axis=1)
    two, first = ordered[:, -2], ordered[:, -1]
    named = log_probs.argmax(axis=1)
    right = truth.bcp[np.arange(len(named)), named] >= first
    scores = {
        "easy": np.where(right, first + log_probs.max(axis=1) * 1e-3, -np.inf),
        "ambiguous": np.where(first + two > 0.9, two - first, -np.inf),
        "wrong": np.where(~right & (first > 0.9), divergence(truth.bcp, log_probs), -np.inf),
    }
    out = []
    for name, score in scores.items():
        best = np.argsort(-score, kind="stable")[:2]
        out += [(name, int(row)) for row in best if np.isfinite(score[row])]
    return out


def probs(log_probs: Floats) -> Floats:
    """Return probabilities of log-probabilities kept in float16: rows sum to one again."""
    return np.exp(tempered(log_probs, 1.0))


def spread(first: dict[str, Floats], most: int) -> list[tuple[str, Floats]]:
    """Return at most `most` groups: the first, then the papers' Bayesian teachers and MCMI, then the others."""
    named = ("variational", "laplace", "mcmi", "temperature_scaled", "ensemble")
    groups = list(first)
    wanted = [groups[0], *(next((g for g in groups if g.startswith(name)), groups[0]) for name in named), *groups]
    return [(group, first[group]) for group in list(dict.fromkeys(wanted))[:most]]


def titles(truth: Truth, chosen: list[tuple[str, int]]) -> list[str]:
    """Return what each chosen image is an example of, with its label."""
    return [f"{sort}\n{truth.dataset.classes[truth.labels[row]]}" for sort, row in chosen]
