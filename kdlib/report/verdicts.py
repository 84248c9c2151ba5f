"""The claims page: what each study says of each claim, on each of its datasets. (No torch, but to draw digits.)

`SOURCES` names the function that measures each claim; `columns` asks them all. How it is shown: `verdict_tables`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.report import (
    bcp_tables,
    cam_pages,
    cmi_by_temperature,
    cmi_gain,
    fewshot,
    framework_gains,
    grid,
    noise,
    samples,
    zeroshot,
)
from kdlib.report.claims import CLAIMS, Claim, Effect, Judgement, Verdict, judge, needed, overall
from kdlib.report.claims.choice import against_control, entering
from kdlib.report.claims.words import claims_of
from kdlib.report.plots.style import name_of
from kdlib.report.sections import Section, waits_for
from kdlib.report.synthetic import report as synthetic
from kdlib.report.verdict_tables import differences, interval
from kdlib.runs import studies
from kdlib.runs.notebook import given_names
from kdlib.study.labels import labels, study_of
from kdlib.study.rows import found

PAGE = "claims"
MIXTURE = "gaussian_mixture"
"""The dataset of synthetic experiments; they count for each of their study's datasets."""
APART = ("cifar10h",)
"""Images that only students which learn from people see: no dataset that claims are judged on."""

Effects = dict[str, dict[str, Effect | None]]


def of_synthetic(frame: pd.DataFrame) -> Effects:
    """Return the effects of C1 and C2, of a study's first experiment with hidden layers."""
    rows = frame[frame["run_type"] == RunType.SYNTHETIC]
    rows = rows[rows["layers"] > 0] if len(rows) else rows
    for _, part in synthetic.experiments(rows) if len(rows) else ():
        return synthetic.effects(synthetic.outcomes(part))
    return {"C1": {"exact_bcp": None}, "C2": {"noisy_bcp": None}}


SOURCES: dict[str, Callable[[pd.DataFrame], Effects]] = {
    "C1": of_synthetic,
    "C2": of_synthetic,
    "C3": bcp_tables.effects,
    "C4": grid.effects,
    "C5": grid.effects,
    "C6": samples.effects,
    "C7": fewshot.effects,
    "C8": cmi_gain.effects,
    "C9": framework_gains.effects,
    "C10": cam_pages.effects,
    "C11": fewshot.effects,
    "C12": zeroshot.effects,
    "C13": cmi_by_temperature.effects,
    "C14": bcp_tables.effects,
}
"""Which function measures a claim: treated − baseline by member, for a study's rows on one dataset."""


@dataclass(frozen=True)
class Answer:
    """Hold what one dataset says of one claim."""

    claim: Claim
    measured: Mapping[str, Effect | None]
    """Treated − baseline as it is, by member of the family."""
    guards: Mapping[str, Effect] = field(default_factory=dict)
    note: str = ""
    """Why nothing was measured, or what stands beside; no verdict rests on it."""
    due: Mapping[str, Effect] = field(default_factory=dict)
    """What of an effect of MCMI is due to CMI, MCMI minus its control, by member; no verdict rests on it."""
    waiting: str = ""
    """How many of the planned seeds are there, while some are missing: then nothing is shown or judged."""

    @property
    def judged(self) -> list[Judgement]:
        """Return the verdict on each member, corrected over the family."""
        if self.waiting:
            return [Judgement(member, None, math.nan, Verdict.UNFINISHED) for member in self.measured]
        return judge(self.claim, self.measured, self.guards)

    @property
    def verdict(self) -> Verdict:
        """Return the single answer."""
        return overall(one.verdict for one in self.judged)

    def needed(self, one: Judgement) -> int | None:
        """Return the seeds that a verdict on a member would need at the spread seen; None where nothing is open."""
        family = sum(effect is not None for effect in self.measured.values())
        return needed(self.claim, one, family, self.guards.get(one.member))


@dataclass(frozen=True)
class Column:
    """Hold what one study says on one of its datasets."""

    part: Section
    """The study, with all its rows."""
    dataset: str
    alone: bool
    """Whether the study has no other dataset."""
    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        """Return the study's title, with the dataset where it takes one to tell columns apart."""
        return self.part.title if self.alone else f"{self.part.title}: {self.dataset}"


def columns(only: str = "", of: Collection[str] | None = None) -> list[Column]:
    """Return what every study that lists the page says, the study with most runs first.

    Args:
        only: studies joined by `+`; all that have runs or records by default.
        of: claims; all of them by default.

    Raises:
        InputError: a study does not exist, or papermill was given a name that is no parameter.
    """
    known, injected = given_names()
    for name in injected:
        if name not in known:
            raise InputError(f"{name} is no parameter of this report: allowed are {', '.join(sorted(known))}.")
    out = []
    for name in only.split("+") if only else studies.names():
        study = study_of(name)
        if PAGE not in study.reports or ((study.scratch or study.sample) and not only):
            continue
        wanted = labels(study)
        frame = found(wanted, study.folder_name)
        waiting = waits_for(study, set(frame["run"]))
        part = Section(study.name, study.title, study.about, frame, len(wanted) - len(frame), waiting)
        judged = datasets(frame) if len(frame) else []
        asked = ((each, answers(rows, each, waiting, of)) for each, rows in judged)
        out += [Column(part, each, len(judged) == 1, said) for each, said in asked]
    return sorted(out, key=lambda column: -len(column.part.frame))


def decided(page: str, only: str = "") -> Column | None:
    """Return what the study that decides on a page says of the claims of that page; None where it has no runs.

    Args:
        page: its name.
        only: studies joined by `+`, of which the first that lists the page then decides.
    """
    names = only.split("+") if only else [n for n in studies.names() if study_of(n).role.get(page) == "main"]
    found = columns("+".join(names), claims_of(page)) if names else []
    return found[0] if found else None


def datasets(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the datasets on which a study's claims are judged, with their rows and those of synthetic experiments."""
    drawn = frame["run_type"] == RunType.SYNTHETIC
    rows = frame[~drawn & ~noise.swept(frame) & ~frame["dataset"].isin(APART)]
    names = list(dict.fromkeys(rows["dataset"])) or ([MIXTURE] if drawn.any() else [])
    return [(str(name), pd.concat([rows[rows["dataset"] == name], frame[drawn]])) for name in names]


def answers(
    frame: pd.DataFrame, dataset: str, waiting: str = "", of: Collection[str] | None = None
) -> tuple[Answer, ...]:
    """Return the answer to every claim, or to those named.

    Args:
        frame: a study's rows on one dataset, and its synthetic experiments.
        dataset: its name.
        waiting: what `waits_for` says; synthetic experiments hold all their seeds in one run and wait for none.
        of: claims; all of them by default.
    """
    asked = [claim for claim in CLAIMS if of is None or claim.id in of]
    if waiting:
        own = answers(frame[frame["run_type"] == RunType.SYNTHETIC], dataset, of=of)
        unfinished = (Answer(claim, dict.fromkeys(claim.treated), note=waiting, waiting=waiting) for claim in asked)
        return tuple(
            one if SOURCES[one.claim.id] is of_synthetic else late for one, late in zip(own, unfinished, strict=True)
        )
    trained = frame[frame["run_type"] != RunType.SYNTHETIC]
    all_effects: Effects = {}
    for measure in dict.fromkeys(SOURCES[claim.id] for claim in asked):
        if measure is of_synthetic or len(trained):
            all_effects |= measure(frame if measure is of_synthetic else trained)
    said = notes(trained, dataset) if len(trained) else {}
    guards = {"C8": cmi_gain.guards(trained)} if len(trained) else {}
    due = due_to_cmi(trained) if len(trained) else {}
    return tuple(
        Answer(
            claim,
            all_effects.get(claim.id) or dict.fromkeys(claim.treated),
            guards.get(claim.id, {}),
            said.get(claim.id, ""),
            due.get(claim.id, {}),
        )
        for claim in asked
    )


PEOPLE = "The answers of people to the full-size photographs (CIFAR-10H) stand in for the BCPs."
MEMBERS = {"as trained": "MCMI", "best temperature": "MCMI at the best temperature of each"}
"""How the members of C14 are called beside other teachers."""
OF_MCMI = ("C7", "C8", "C9", "C11", "C12", "C14")
"""Claims that set MCMI against the deterministic teacher."""


def due_to_cmi(frame: pd.DataFrame) -> dict[str, dict[str, Effect]]:
    """Return by claim and member what MCMI gains over its control, the same fine-tuning without CMI.

    Args:
        frame: a study's rows on one dataset, without synthetic experiments.
    """
    rows = against_control(frame)
    if rows.empty:
        return {}
    return {name: {m: one for m, one in SOURCES[name](rows)[name].items() if one is not None} for name in OF_MCMI}


def notes(frame: pd.DataFrame, dataset: str) -> dict[str, str]:
    """Say by claim what stands beside its verdict.

    Test NLL where nobody knows the BCPs or people's answers stand in for them, how many frameworks were run, the effect
    at a T that was chosen without a look at the omitted class, and MCMI of other parents.

    Args:
        frame: a study's rows on one dataset, without synthetic experiments.
        dataset: its name.
    """
    said = {}
    teachers = bcp_tables.of_one_network(entering(frame))
    if not dataset.startswith("digits") and len(teachers):
        known = bcp_tables.has(teachers, "test_kl_to_bcp")
        why = PEOPLE if known else f"Not measurable here: nobody knows the BCPs of {dataset}."
        for claim, ones in bcp_tables.effects(frame, "test_nll").items():
            lines = differences({MEMBERS.get(n, name_of(n)): e for n, e in ones.items()}, "nats")
            said[claim] = why + (f" Beside it, test NLL minus the deterministic teacher's: {lines}." if lines else "")
    frameworks = framework_gains.effects(frame)["C9"]
    if 0 < (ran := sum(one is not None for one in frameworks.values())) < len(frameworks):
        said["C9"] = f"{ran} of {len(frameworks)} run."
    if (strict := zeroshot.effects(frame, zeroshot.STRICT)["C12"]["mcmi"]) is not None:
        said["C12"] = f"With T chosen on validation images of the kept classes alone: {interval(strict, 'accuracy')}."
    for pair, (cmi, accuracy) in cmi_gain.others(frame).items():
        both = differences({"CMI": cmi}, "nats"), differences({"accuracy": accuracy}, "accuracy")
        said["C8"] = f"{said.get('C8', '')} Beside it, {name_of(pair)}: {', '.join(filter(None, both))}.".strip()
    return said
