"""C13: a teacher's temperature alone raises its conditional mutual information (CMI). (No torch.)

A stored answer is tempered after the fact: softmax(log p / T) is softmax(z / T) for one network of logits z. So the
sweep needs no forward pass, and teachers of several networks, which temper each one, are left out.
"""

from __future__ import annotations

import pandas as pd

from kdlib.measures.cmi import ARRAYS, GRID
from kdlib.report import choice
from kdlib.report.claims.claim import MCMI, Claim, Effects
from kdlib.report.inference import Effect
from kdlib.study.rows import arrays_of

PLAIN = "deterministic"
COLUMNS = ["run", *ARRAYS]


def sweep(teachers: pd.DataFrame) -> pd.DataFrame:
    """Return the CMI of teachers at the temperatures of `GRID`: columns run, temperature, val_cmi and test_cmi.

    A teacher of which neither records nor the store have it is left out.
    """
    found = [part for run in map(str, teachers["run"]) if (part := _of(run)) is not None]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _of(run: str) -> pd.DataFrame | None:
    kept = arrays_of(run)
    found = [kept[name] for name in ARRAYS if name in kept and kept[name].shape == (len(GRID),)]
    return pd.DataFrame({"run": run, **dict(zip(ARRAYS, found, strict=True))}) if len(found) == len(ARRAYS) else None


def of_labels(frame: pd.DataFrame, labels: tuple[str, ...]) -> pd.DataFrame:
    """Return the sweeps of teachers of some labels, with `teacher_label` and `seed` beside each row."""
    own = frame[(frame["run_type"] == "teacher") & frame["teacher_label"].isin(labels)]
    own = own.drop_duplicates(["teacher_label", "seed"])
    return sweep(own).merge(own[["run", "teacher_label", "seed"]], on="run")


def best(table: pd.DataFrame, label: str = PLAIN) -> float | None:
    """Return the temperature above 1 of the highest mean validation CMI of a teacher, or None without one."""
    warm = table[(table["teacher_label"] == label) & (table["temperature"] > 1)]
    return None if warm.empty else float(str(warm.groupby("temperature")["val_cmi"].mean().idxmax()))


def effect(table: pd.DataFrame, label: str = PLAIN) -> Effect | None:
    """Return the test CMI at the best temperature above 1 minus that at T = 1, paired over seeds."""
    own = table[table["teacher_label"] == label]
    return choice.effect(own, best(table, label), 1.0, "test_cmi", "temperature")


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effect of the teachers labelled `deterministic`."""
    return {"T > 1": effect(of_labels(frame, (PLAIN,)))}


CLAIM = Claim(
    id="C13",
    text="A teacher's temperature alone raises its conditional mutual information.",
    source=MCMI,
    page="temperature",
    short="temperature alone raises the CMI",
    lead="The deterministic teacher's CMI at its best T above 1 against T = 1",
    published="The paper shows a rise.",
    measure="test CMI of the maximum-likelihood teacher at the T > 1 with the highest mean validation CMI, "
    "against its CMI at T = 1",
    unit="nats",
    smallest=0.01,
    treated=("T > 1",),
    baseline="T = 1",
    effects=effects,
)
