"""Seeds of a study: which run belongs to which, and a study cut to some of them."""

from __future__ import annotations

import dataclasses

from kdlib.base.config import Config
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.runs.plans import Planner
from kdlib.runs.recipes import recipe_of

NONE = "none"
"""Stands for the runs that belong to no seed."""


def of(config: Config) -> int | None:
    """Return the seed that a run belongs to; a set of seeds in one run belongs to none."""
    return recipe_of(config).seed_of(config)


def chosen(study: studies.Study, text: object) -> set[int | None] | None:
    """Return the seeds that a text names, joined by commas, None for `none`; all of them (None) without a text.

    Raises:
        InputError: the study has no run of such a seed.
    """
    if text is None:
        return None
    known = {of(config) for entry in study.entries for config in entry.configs()}
    written = {NONE if seed is None else str(seed): seed for seed in known}
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
    plan = Planner().plan
    wanted = [config for entry in study.entries for config in entry.configs() if of(config) in seeds]
    needed = {one.name for config in wanted for one in plan(config).ancestors}
    entries = []
    for entry in study.entries:
        own = [c for c in entry.configs() if of(c) in seeds or (needed and plan(c).name in needed)]
        found = sorted({config.seed for config in own})
        if found and of(entry.configs()[0]) is not None:
            entries.append(dataclasses.replace(entry, given={**entry.given, "seed": found}))
        elif found:
            entries.append(entry)
    return dataclasses.replace(study, entries=tuple(entries), reports=(), digest="")
