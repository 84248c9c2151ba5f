"""What each study says of each claim. (No torch.)"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pandas as pd

from kdlib.base.config import RunType
from kdlib.report.choice import against_control
from kdlib.report.claims import CLAIMS
from kdlib.report.claims.claim import BAYES, Claim, Effects
from kdlib.report.claims.rules import Judgement, Verdict, judge, needed, overall
from kdlib.report.claims.teachers import dose, weaker
from kdlib.report.sections import Part, datasets_of, parts_of, swept
from kdlib.study.rows import without_empty

PAGE = "claims"
MIXTURE = "gaussian_mixture"
"""The dataset of synthetic experiments; they count for each of their study's datasets."""


@dataclass(frozen=True)
class Answer:
    """Hold what one dataset says of one claim."""

    claim: Claim
    measured: Effects
    """Treated − baseline as it is, by member of the family."""
    guards: Effects = field(default_factory=dict)
    note: str = ""
    """Why nothing was measured, or what stands beside; no verdict rests on it."""
    limit: str = ""
    """What else may lie behind the effects; no verdict rests on it."""
    due: Effects = field(default_factory=dict)
    """What of an effect of MCMI is due to CMI, MCMI minus its control, by member; no verdict rests on it."""
    waiting: str = ""
    """How many of the planned seeds are there, while some are missing: then nothing is shown or judged."""

    @property
    def says(self) -> bool:
        """Say whether anything was measured, or waits for planned seeds."""
        return bool(self.waiting) or any(self.measured.values())

    @functools.cached_property
    def judged(self) -> list[Judgement]:
        """Return the verdict on each member, corrected over the family."""
        if self.waiting:
            return [Judgement(member, None, math.nan, Verdict.UNFINISHED) for member in self.measured]
        return judge(self.claim, self.measured, self.guards)

    @property
    def verdict(self) -> Verdict:
        """Return the single answer."""
        return overall(one.verdict for one in self.judged)

    @property
    def without_cmi(self) -> bool:
        """Say whether what is supported of MCMI is its control's doing: CMI's own part is surely below what matters."""
        due = [one.in_units(self.claim.smallest) for one in self.due.values() if one]
        return self.verdict is Verdict.SUPPORTED and bool(due) and all(one.high < 1 for one in due)

    def needed(self, one: Judgement) -> int | None:
        """Return the seeds that a verdict on a member would need at the spread seen; None where nothing is open."""
        family = sum(effect is not None for effect in self.measured.values())
        return needed(self.claim, one, family, self.guards.get(one.member))


@dataclass(frozen=True, eq=False)
class Column:
    """Hold what one study says on one of its datasets."""

    part: Part
    dataset: str
    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        """Return the study's title, with the dataset where it has several."""
        return self.part.title

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """Return the study's rows on the dataset, without synthetic experiments."""
        return self.part.frame[self.part.frame["dataset"] == self.dataset]


def columns(only: str = "") -> list[Column]:
    """Return what every study that lists the page says, the study with most runs first.

    Args:
        only: studies joined by `+`; all that have runs or records by default.

    Raises:
        InputError: a study does not exist, or papermill was given a name that is no parameter.
    """
    return sorted(map(column_of, parts_of(PAGE, only)), key=lambda column: -len(column.part.frame))


def column_of(part: Part, of: Collection[str] | None = None) -> Column:
    """Return what a study says on a part's dataset, of all claims or of those named."""
    frame, dataset = part.frame, next(iter(datasets_of(part.frame)), MIXTURE)
    rows = frame[((frame["dataset"] == dataset) & ~swept(frame)) | (frame["run_type"] == RunType.SYNTHETIC)]
    return Column(part, dataset, answers(rows, dataset, part.waiting, of))


def decided(page: str, parts: Sequence[Part]) -> Column | None:
    """Return what the study that decides on a page says of the claims of that page; None where it has no runs.

    Args:
        page: its name.
        parts: of the page; runs chosen by hand decide nothing, nor does a study that is not the page's first.
    """
    return of_page(page, parts[0]) if parts and parts[0].decides else None


@functools.cache
def of_page(page: str, part: Part) -> Column:
    """Return what a study says of the claims of a page, worked out once."""
    return column_of(part, [claim.id for claim in CLAIMS if claim.page == page])


def answers(
    frame: pd.DataFrame, dataset: str, waiting: str = "", of: Collection[str] | None = None
) -> tuple[Answer, ...]:
    """Return the answer to every claim, or to those named.

    Args:
        frame: a study's rows on one dataset, and its synthetic experiments.
        dataset: its name.
        waiting: how many seeds are there while some are missing; synthetic experiments hold all their seeds in one run
            and wait for none.
        of: claims; all of them by default.
    """
    drawn = frame["run_type"] == RunType.SYNTHETIC
    synthetic, rows = frame[drawn], without_empty(frame[~drawn])
    asked = [claim for claim in CLAIMS if of is None or claim.id in of]
    control = against_control(rows if not waiting and any(claim.of_mcmi for claim in asked) else rows.iloc[:0])
    hardly, found = dose(control), []
    for claim in asked:
        if claim.page == "synthetic":
            found.append(Answer(claim, claim.effects(synthetic)))
        elif waiting or rows.empty:
            found.append(Answer(claim, dict.fromkeys(claim.treated), note=waiting, waiting=waiting))
        else:
            found.append(_answer(claim, rows, control, dataset, hardly))
    return tuple(found)


def _answer(claim: Claim, rows: pd.DataFrame, control: pd.DataFrame, dataset: str, hardly: str) -> Answer:
    measured = claim.effects(rows)
    ran = sum(one is not None for one in measured.values())
    notes = (
        f"{ran} of {len(measured)} run." if 0 < ran < len(measured) else "",
        claim.note(rows, dataset) if claim.note else "",
    )
    limits = (
        weaker(rows, claim.treated) if claim.source == BAYES else "",
        hardly if claim.of_mcmi else "",
        claim.limit(rows) if claim.limit and any(measured.values()) else "",
    )
    guards = claim.guard.effects(rows) if claim.guard else {}
    due = claim.effects(control) if claim.of_mcmi and len(control) else {}
    guards, due = ({name: one for name, one in each.items() if one} for each in (guards, due))
    return Answer(claim, measured, guards, " ".join(filter(None, notes)), "; ".join(filter(None, limits)), due)
