"""From a config to a run: its parents, its identity and its name, before any work is done.

A run's name ends in a short hash of its run type and kind (with an integer `semantics`, raised by hand when their
numbers change), the resolved parameters that differ from the schema's constants, the dataset's fingerprint and the
parents' names. A new parameter whose constant means the former behaviour renames nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlib import data, models, teachers
from kdlib.base import kinds
from kdlib.base.config import (
    Augmentation,
    Config,
    EigencamConfig,
    MeasureConfig,
    NormStatistics,
    RunType,
    StudentConfig,
    SyntheticConfig,
    TeacherConfig,
    TeacherKind,
    TrainingConfig,
    effective,
    recorded,
    resolve,
)
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.runs.checks import check_training
from kdlib.store import runs

SEMANTICS: dict[str, int] = {
    **{f"teacher/{kind}": 1 for kind in TeacherKind},
    "teacher/temperature_scaled": 2,  # fitted in float64
    **dict.fromkeys(("student", "measure", "eigencam", "synthetic"), 1),
}
"""Raised by hand when the numbers of a run type or kind change."""

MEMBER_STRIDE = 1000
"""An ensemble of seed s has members of seeds s, s + 1000, s + 2000, ..."""
SEEN = ("fraction", "omit_classes", "match", "augmentation", "augmentation_seed")
"""Which images a teacher sees, and how; a parent of one that is fine-tuned sees the same."""
WEIGHTS = "weights:"
KNOWN = ("digits", "cifar10h")
"""Datasets whose training images have class probabilities: exact ones, or those of people."""


@dataclass(frozen=True)
class Plan:
    """One run to be: its name, its resolved config and its parents by role."""

    name: str
    config: Config
    record: dict[str, Any] = field(compare=False)
    parents: dict[str, Plan] = field(compare=False, default_factory=dict)

    @property
    def run(self) -> runs.Run:
        """Return the folder of the store that this plan fills."""
        return runs.Run(self.name)


def canonical(value: Any) -> str:
    """Write a JSON-able value in one way only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def family(config: Config) -> str:
    """Return the key of `SEMANTICS` that a config belongs to."""
    kind = getattr(config, "kind", None)
    return f"{config.run_type}/{kind}" if kind else str(config.run_type)


def name_of(config: Config, fingerprint: str, parents: dict[str, str], role: str) -> str:
    """Return the name of a run: readable, ending in a hash of its identity."""
    identity = {
        "run": family(config),
        "semantics": SEMANTICS[family(config)],
        "config": effective(config),
        "dataset": fingerprint,
        "parents": parents,
    }
    tail = hashlib.sha256(canonical(identity).encode()).hexdigest()[:10]
    dataset = "folder" if config.dataset.startswith("folder:") else config.dataset
    dataset = dataset.replace(":", "-").replace("@", "-").replace(".", "_")
    if dataset.startswith("cifar") and config.image_size:
        dataset = f"{dataset}-{config.image_size}"
    seed = f"{len(config.seeds.split('+'))}-seeds" if isinstance(config, SyntheticConfig) else f"s{config.seed}"
    parts = [str(config.run_type), dataset, role, getattr(config, "architecture", None), seed, tail]
    return "-".join(part for part in parts if part)


def plan(config: Config) -> Plan:
    """Return the run that a config means, with all its parents.

    Raises:
        InputError: the dataset, the architecture or a parent is unknown, unfinished or does not fit, or options exclude
            each other.
    """
    if isinstance(config, SyntheticConfig):
        return _planned(config, config.dataset, {}, f"{config.layers}-layers")
    config = config.model_copy(update={"dataset": data.canonical(config.dataset)})
    if isinstance(config, TrainingConfig) and config.omit_classes:
        once = data.named_once(config.omit_classes, data.classes_of(config.dataset))
        config = config.model_copy(update={"omit_classes": once})
    fingerprint = data.fingerprint(config.dataset, config.data_root, config.image_size)
    parents, role = _parents(config, fingerprint)
    if isinstance(config, TeacherConfig):
        config = _completed(config, parents)
        teachers.check(config)
    if isinstance(config, TrainingConfig):
        check_training(config)
    if isinstance(config, TeacherConfig) and config.norm_statistics and not models.has_batch_norm(config.architecture):  # type: ignore[arg-type]
        config = config.model_copy(update={"norm_statistics": NormStatistics.RUNNING})
    if isinstance(config, MeasureConfig) and parents["teacher"].config.kind not in kinds.STOCHASTIC:  # type: ignore[attr-defined]
        config = config.model_copy(update={"eval_samples": None})
    if isinstance(config, EigencamConfig):
        config = config.model_copy(update={"architecture": parents["teacher"].config.architecture})  # type: ignore[attr-defined]
    if isinstance(config, StudentConfig) and all(
        getattr(p.config, "kind", "") not in kinds.STOCHASTIC for p in parents.values()
    ):
        config = config.model_copy(update={"samples": 1})
    return _planned(config, fingerprint, parents, role)


def _planned(config: Config, fingerprint: str, parents: dict[str, Plan], role: str) -> Plan:
    """Return the plan of a complete config."""
    names = {key: parent.name for key, parent in parents.items()}
    name = name_of(config, fingerprint, names, role)
    record = {
        "run": name,
        "run_type": str(config.run_type),
        "role": role,
        "semantics": SEMANTICS[family(config)],
        "fingerprint": fingerprint,
        "parents": names,
        "config": config.model_dump(mode="json"),
    }
    return Plan(name, config, record, parents)


def _parents(config: Config, fingerprint: str) -> tuple[dict[str, Plan], str]:
    """Return a config's parents, and the word for it in the run's name."""
    if isinstance(config, StudentConfig):
        if config.teacher in studies.SUPERVISION:
            if config.teacher == "exact_bcp" and config.dataset.partition(":")[0] not in KNOWN:
                raise InputError(
                    f"teacher = 'exact_bcp' is refused for {config.dataset}: its class probabilities are not known."
                )
            return {}, config.teacher
        parent = reference(config, config.teacher, "teacher", config.teacher_architecture)
        return {"teacher": parent}, f"from-{parent.record['role']}"
    if isinstance(config, MeasureConfig):
        if config.parent is None:
            raise InputError("parent = None is refused: a measurement needs the teacher that it measures.")
        parent = reference(config, config.parent, "parent", config.architecture)
        return {"teacher": parent}, f"of-{parent.record['role']}"
    assert isinstance(config, TeacherConfig)
    parents = _parents_of_teacher(config)
    for key, parent in parents.items():
        _check_parent(config, fingerprint, key, parent)
        # members are of one architecture: that of the first, where none is given
        config = config.model_copy(update={"architecture": parent.config.architecture})  # type: ignore[attr-defined]
    return parents, str(config.kind)


def _parents_of_teacher(config: TeacherConfig) -> dict[str, Plan]:
    """Return the runs that a kind of teacher starts from; by default deterministic ones of the same settings."""
    kind = config.kind
    if kind in kinds.WITH_PARENT:
        plain = _deterministic(config, config.seed, kind in kinds.DERIVED)
        return {"parent": reference(config, config.parent, "parent") if config.parent else plan(plain)}
    if kind is TeacherKind.ENSEMBLE and config.members is not None:
        named = [reference(config, name, "members") for name in config.members.split("+") if name]
        found = sorted(dict.fromkeys(named), key=lambda member: (member.config.seed, member.name))
        if len(found) < 2:
            raise InputError(f"members = {config.members!r} is refused: an ensemble averages at least two runs.")
        return {f"member{i}": member for i, member in enumerate(found)}
    if kind is TeacherKind.ENSEMBLE:
        # members of other seeds are shared with no other ensemble: n counts independent ones
        seeds = [config.seed + MEMBER_STRIDE * i for i in range(config.ensemble_size)]
        return {f"member{i}": plan(_deterministic(config, s, True)) for i, s in enumerate(seeds)}
    return {}


def _deterministic(config: TeacherConfig, seed: int, same_training: bool) -> TeacherConfig:
    """Return the config of the deterministic teacher that another kind starts from when no parent is given.

    One that is fine-tuned starts from the usual training on the same images and views.
    """
    given = {name: getattr(config, name) for name in Config.model_fields}
    if same_training:
        given |= {name: getattr(config, name) for name in TrainingConfig.model_fields}
    else:
        given |= {name: getattr(config, name) for name in ("architecture", "preset", *SEEN)}
    parent = resolve(RunType.TEACHER, {**given, "seed": seed, "retrain": False, "eval_samples": None})
    assert isinstance(parent, TeacherConfig)
    return parent


def _check_parent(config: TeacherConfig, fingerprint: str, role: str, parent: Plan) -> None:
    """Refuse a parent of a kind, dataset or architecture that does not fit.

    Raises:
        InputError: it does not.
    """
    theirs = parent.config
    assert isinstance(theirs, TeacherConfig)
    parameter = "members" if role.startswith("member") else "parent"
    allowed = kinds.PARENTS[config.kind]
    if parent.record["run_type"] != RunType.TEACHER or theirs.kind not in allowed:
        raise InputError(
            f"{parameter} = {parent.name!r} is refused: a teacher of kind {config.kind} starts from one of kind "
            f"{', '.join(allowed)}."
        )
    if config.architecture not in (None, theirs.architecture):
        raise InputError(
            f"{parameter} = {parent.name!r} is refused: its architecture is {theirs.architecture}, not "
            f"{config.architecture}."
        )
    if parent.record["fingerprint"] != fingerprint:
        other = "other images or another image_size" if theirs.dataset == config.dataset else f"not {config.dataset}"
        raise InputError(f"{parameter} = {parent.name!r} is refused: its dataset is {theirs.dataset}, {other}.")
    if config.kind is TeacherKind.AUGMENTATION_AVERAGED and theirs.augmentation is Augmentation.NONE:
        raise InputError(
            f"kind = {str(config.kind)!r} is refused: {parent.name} was trained without augmentation, so there are no "
            "views to average."
        )


def _completed(config: TeacherConfig, parents: dict[str, Plan]) -> TeacherConfig:
    """Fill in what a teacher takes from its parent: the architecture, and for a derived kind all of its training."""
    if not parents:
        return config
    first = next(iter(parents.values())).config
    names = {"architecture"}
    if config.kind in kinds.DERIVED:
        names = set(TrainingConfig.model_fields) - set(Config.model_fields) | {"seed"}
    config = config.model_copy(update={name: getattr(first, name) for name in names})
    if config.augmentation is Augmentation.NONE:  # clean or as viewed is then the same
        config = config.model_copy(update={"fit_augmented": False})
    return config


def reference(config: Config, text: str, parameter: str, architecture: str | None = None) -> Plan:
    """Return the teacher that a text names: a kind, `<study>/<label>`, a run or `weights:<file>`."""
    seed = studies.teacher_seed(config)
    if text.startswith(WEIGHTS):
        return _external(config, text, parameter, architecture)
    if text in set(TeacherKind):
        given = {"dataset": config.dataset, "image_size": config.image_size, "data_root": config.data_root}
        same = {"device": config.device, "threads": config.threads, "precision": config.precision}
        return plan(resolve(RunType.TEACHER, {**given, **same, "kind": text, "seed": seed}))
    if "/" in text:
        study, _, label = text.rpartition("/")
        teacher = studies.load(study).teacher(label, seed)
        given = {name: getattr(config, name) for name in ("data_root", "device", "threads", "precision")}
        return plan(teacher.model_copy(update={name: value for name, value in given.items() if value is not None}))
    if not any(name.startswith(text) for name in runs.names()):
        known = ", ".join([*(studies.SUPERVISION if parameter == "teacher" else ()), *TeacherKind])
        raise InputError(
            f"{parameter} = {text!r} is refused: it is no run in the store, no <study>/<label> and none of {known}."
        )
    run = runs.find(text, parameter)
    record = run.record
    if record["run_type"] != RunType.TEACHER:
        raise InputError(f"{parameter} = {text!r} is refused: {run.name} is a {record['run_type']}, not a teacher.")
    return Plan(run.name, resolve(RunType.TEACHER, recorded(RunType.TEACHER, record["config"])), record)


def _external(config: Config, text: str, parameter: str, architecture: str | None) -> Plan:
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
    given = {"dataset": config.dataset, "image_size": config.image_size, "data_root": config.data_root}
    teacher = resolve(RunType.TEACHER, {**given, "architecture": architecture})
    record = {
        "run": name,
        "run_type": "weights",
        "role": "weights",
        "file": str(path),
        "config": teacher.model_dump(mode="json"),
    }
    return Plan(name, teacher, record)
