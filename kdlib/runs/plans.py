"""From a config to a run: its parents, its identity and its name, before any work is done. (No torch.)

A run's name ends in a short hash of its run type and kind (with an integer `semantics`, raised by hand when their
numbers change), the resolved parameters that differ from their constants, the dataset's fingerprint and the parents'
names. A new parameter whose constant means the former behaviour renames nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlib import data, models
from kdlib.base.config import Config, RunType
from kdlib.base.errors import InputError
from kdlib.data.classes import named_once
from kdlib.runs import studies
from kdlib.runs.recipes import recipe_of, recorded, resolve
from kdlib.store import runs
from kdlib.students.config import WEIGHTS
from kdlib.teachers.kinds import KINDS


@dataclass(frozen=True)
class Plan:
    """One run to be: its name, its resolved config and its parents by role."""

    name: str
    config: Config
    record: dict[str, Any] = field(compare=False)
    parents: dict[str, Plan] = field(compare=False, default_factory=dict)
    file: str | None = None
    """The weights that it stands for; then it is no run, and never made."""

    @property
    def run(self) -> runs.Run:
        """Return the folder of the store that this plan fills."""
        return runs.Run(self.name)

    @property
    def ancestors(self) -> list[Plan]:
        """Return the runs that it starts from, and those that they start from."""
        return [one for parent in self.parents.values() for one in (parent, *parent.ancestors)]


def canonical(value: Any) -> str:
    """Write a JSON-able value in one way only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def name_of(config: Config, fingerprint: str, parents: Mapping[str, str], role: str) -> str:
    """Return the name of a run: readable, ending in a hash of its identity."""
    recipe = recipe_of(config)
    values = {"config": recipe.identity(config), "dataset": fingerprint, "parents": dict(parents)}
    tail = hashlib.sha256(canonical({**recipe.sort(config), **values}).encode()).hexdigest()[:10]
    dataset = config.dataset
    if recipe.images:
        dataset = data.family_of(dataset).in_run_names(dataset, config.image_size)
    parts = [recipe.name, dataset, role, getattr(config, "architecture", None), recipe.seed_in_name(config), tail]
    return "-".join(part for part in parts if part)


class Planner:
    """Plans configs, each config, reference and fingerprint once: what the files and the store say when first asked."""

    def __init__(self) -> None:
        self.plan = functools.cache(self._plan)
        self._teachers: dict[str, Plan] = {}  # by the parameters that mean them
        self._asked = set[tuple[Any, ...]]()  # labels that are being planned, each for the one before
        self._fingerprint = functools.cache(data.fingerprint)

    def _plan(self, config: Config) -> Plan:
        """Return the run that a config means, with all its parents.

        Raises:
            InputError: the dataset, the architecture or a parent is unknown, unfinished or does not fit, or options
                exclude each other.
        """
        recipe, fingerprint = recipe_of(config), config.dataset
        if recipe.images:
            config = config.model_copy(update={"dataset": data.canonical(config.dataset)})
            if omitted := getattr(config, "omit_classes", ""):
                once = named_once(omitted, data.classes_of(config.dataset))
                config = config.model_copy(update={"omit_classes": once})
            fingerprint = self.fingerprint(config)
        config, parents, role = recipe.completed(config, self)
        names = {key: parent.name for key, parent in parents.items()}
        name = name_of(config, fingerprint, names, role)
        record = {
            "run": name,
            "run_type": str(recipe.name),
            "role": role,
            "semantics": recipe.sort(config)["semantics"],
            "fingerprint": fingerprint,
            "parents": names,
            "config": config.model_dump(mode="json"),
        }
        return Plan(name, config, record, parents)

    def fingerprint(self, config: Config) -> str:
        """Return the fingerprint of a config's dataset."""
        return self._fingerprint(config.dataset, config.data_root, config.image_size)

    def teacher(self, given: Mapping[str, Any]) -> Plan:
        """Return the run of the teacher that parameters mean."""
        key = canonical(given)
        if key not in self._teachers:
            self._teachers[key] = self.plan(resolve(RunType.TEACHER, dict(given)))
        return self._teachers[key]

    def reference(self, config: Config, text: str, parameter: str, architecture: str | None = None) -> Plan:
        """Return the teacher that a text names: a kind, `<study>/<label>`, a run or `weights:<file>`.

        Raises:
            InputError: it names nothing of these.
        """
        seed = recipe_of(config).teacher_seed(config)
        place = {name: getattr(config, name) for name in ("data_root", "device", "threads", "precision")}
        images = {"dataset": config.dataset, "image_size": config.image_size}
        if text.startswith(WEIGHTS):
            return _external({**images, **place}, text, parameter, architecture)
        if text in KINDS:
            return self.teacher({**images, **place, "kind": text, "seed": seed})
        if "/" in text:
            key = (text, seed, *place.values())
            if key in self._asked:
                raise InputError(f"{parameter} = {text!r} is refused: it is to start from itself.")
            study, _, label = text.rpartition("/")
            teacher = studies.load(study).teacher(label, seed)
            self._asked.add(key)
            try:
                return self.plan(teacher.model_copy(update={name: v for name, v in place.items() if v is not None}))
            finally:
                self._asked.discard(key)
        if not any(name.startswith(text) for name in runs.names()):
            known = ", ".join([*recipe_of(config).supervisions, *KINDS])
            raise InputError(
                f"{parameter} = {text!r} is refused: it is no run in the store, no <study>/<label> and none of {known}."
            )
        return _finished(text, parameter)


def plan_all(given: Iterable[Config | Plan]) -> list[Plan]:
    """Return the plans of configs, what they share looked up once; a plan is its own.

    Raises:
        InputError: as `plan`.
    """
    planner = Planner()
    return [one if isinstance(one, Plan) else planner.plan(one) for one in given]


def plan(config: Config) -> Plan:
    """Return the run that a config means, as `Planner.plan`."""
    return Planner().plan(config)


def _finished(text: str, parameter: str) -> Plan:
    """Return the plan of a finished teacher, by its name or a unique prefix."""
    run = runs.find(text, parameter)
    record = run.record
    if record["run_type"] != RunType.TEACHER:
        raise InputError(f"{parameter} = {text!r} is refused: {run.name} is a {record['run_type']}, not a teacher.")
    return Plan(run.name, recorded(record["run_type"], record["config"]), record)


def _external(given: Mapping[str, Any], text: str, parameter: str, architecture: str | None) -> Plan:
    """Return a plan that stands for a file of weights: named by its content, never trained."""
    path = Path(text.removeprefix(WEIGHTS))
    if path.suffix != ".safetensors" or not path.is_file():
        raise InputError(f"{parameter} = {text!r} is refused: allowed is the path of a .safetensors file that exists.")
    if architecture not in models.NAMES:
        raise InputError(
            f"{'teacher_' * (parameter == 'teacher')}architecture = {architecture!r} is refused: {text} needs one of "
            f"{', '.join(models.NAMES)}."
        )
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    name = f"weights-{architecture}-{content}"
    teacher = resolve(RunType.TEACHER, {**given, "architecture": architecture})
    return Plan(name, teacher, {"run": name, "run_type": "weights", "role": "weights"}, file=str(path))
