"""Seeds of a study: which run belongs to which, and a study cut to some of them."""

from __future__ import annotations

import dataclasses

from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.study.labels import labels, plans_of

NONE = "none"
"""Stands for the runs that belong to no seed."""


def chosen(study: studies.Study, text: object) -> set[int | None] | None:
    """Return the seeds that a text names, joined by commas, None for `none`; all of them (None) without a text.

    Raises:
        InputError: the study has no run of such a seed.
    """
    if text is None:
        return None
    written = {NONE if one.seed is None else str(one.seed): one.seed for one in labels(study).values()}
    parts = [part.strip() for part in str(text).split(",")]
    for part in parts:
        if part not in written:
            allowed = ", ".join(sorted(written, key=lambda name: (name == NONE, len(name), name)))
            raise InputError(f"seeds = {str(text)!r} is refused: study {study.name} has {allowed}.")
    return {written[part] for part in parts}


def only(study: studies.Study, text: object) -> studies.Study:
    """Return a study with the runs of the seeds that a text names and what they need, and without pages.

    Raises:
        InputError: the study has no run of such a seed.
    """
    seeds = chosen(study, text)
    if seeds is None:
        return study
    about, plans = labels(study), plans_of(study)
    wanted = {name for name, one in about.items() if one.seed in seeds}
    wanted |= {one.name for _, planned in plans if planned.name in wanted for one in planned.ancestors}
    entries = []
    for entry in study.entries:
        own = [planned for one, planned in plans if one is entry and planned.name in wanted]
        if own:
            alone = about[own[0].name].seed is None  # a set of seeds in one run, which is not cut
            cut = {} if alone else {"seed": sorted({planned.config.seed for planned in own})}
            entries.append(dataclasses.replace(entry, given={**entry.given, **cut}))
    return dataclasses.replace(study, entries=tuple(entries), reports=(), digest="")
