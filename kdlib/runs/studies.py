"""A study: what to run, as one validated YAML file in `data/studies`.

    title: Quick                      # the heading of its sections
    about: One sentence for the reader.
    parameters: {dataset: digits, seed: [0, 1, 2]}    # given to every entry that has them
    reports: [teachers, distillation]                  # the pages it fills
    role: {teachers: main}                             # those of them on which it decides
    scratch: false                                     # true: in a store of its own
    sample: digits                                     # whose runs it repeats: it fills pages and has no part of them
    teachers:
      plain: {kind: deterministic}                     # label: parameters; lists sweep
    students:
      distilled: {teacher: plain, temperature: [1, 4]} # a teacher's label, one_hot or exact_bcp
    measures:
      again: {parent: plain, eval_samples: 10}
    eigencams:
      maps: {parent: [plain], stage: 1}
    synthetics:
      mixture: {seeds: 0+1+2, learning_rate: [1.0e-4, 1.0e-3]}   # a set of seeds is one run

A student of seed s learns from the labelled teacher of seed s (`teacher_seed` says otherwise).
A label is made of letters, digits, `_`, `.` and `-`, since it is part of file names.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from kdlib.base import paths
from kdlib.base.config import Config, RunType
from kdlib.base.errors import InputError
from kdlib.runs.recipe import Recipe
from kdlib.runs.recipes import RECIPES, fields, recipe_of, with_whole_paths
from kdlib.runs.sweeps import expand
from kdlib.students.config import WEIGHTS

Entries = dict[str, dict[str, Any]]
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What names an entry: part of file names, of commands and of references to teachers."""


class _File(BaseModel):
    """The top level of a study file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    about: str = ""
    scratch: bool = False
    sample: str = ""
    parameters: dict[str, Any] = {}
    reports: list[str] = []
    role: dict[str, Literal["main"]] = {}


SECTIONS = {f"{recipe.name}s": recipe for recipe in RECIPES.values()}
File: type[_File] = create_model("File", __base__=_File, **{name: (Entries, {}) for name in SECTIONS})  # type: ignore[call-overload]


@dataclass(frozen=True, eq=False)  # read once by `load`, as studies are: each is itself, so what follows can be kept
class Entry:
    """One labelled sweep of a study."""

    run_type: RunType
    label: str
    given: dict[str, Any]

    @functools.cache  # noqa: B019
    def configs(self) -> tuple[Config, ...]:
        """Return the resolved configs of this entry."""
        return tuple(expand(self.run_type, self.given))


@dataclass(frozen=True, eq=False)
class Study:
    """A study as its file has it, validated."""

    name: str
    title: str
    about: str
    scratch: bool
    """Whether its runs, jobs and pages lie in `data/scratch/<name>`, apart from all others."""
    reports: tuple[str, ...]
    entries: tuple[Entry, ...]
    role: dict[str, Literal["main"]] = field(default_factory=dict)
    """Pages on which it decides, as `main`."""
    sample: str = ""
    """The study of whose runs it is a sample: verdicts are that study's, and pages show it where it is asked for."""
    digest: str = ""
    """SHA-256 of its file; none of a part of a study."""

    @property
    def folder_name(self) -> str:
        """The name as files and folders have it."""
        return folder_of(self.name)

    @functools.cached_property
    def teaching(self) -> dict[str, Entry]:
        """The entries of teachers, by label."""
        return {entry.label: entry for entry in self.entries if RECIPES[entry.run_type].teaches}

    def teacher(self, label: str, seed: int) -> Config:
        """Return the config of the labelled teacher of a seed.

        Raises:
            InputError: there is no such label, or not exactly one teacher of that seed under it.
        """
        if label not in self.teaching:
            allowed = ", ".join([*self.teaching, *(one for recipe in RECIPES.values() for one in recipe.supervisions)])
            raise InputError(f"teacher = {label!r} is refused: allowed in study {self.name} are {allowed}.")
        found = [config for config in self.teaching[label].configs() if config.seed == seed]
        if len(found) != 1:
            raise InputError(
                f"teacher = {label!r} is refused for seed {seed}: study {self.name} has {len(found)} teachers of that "
                "label and seed, and a student needs exactly one."
            )
        return found[0]


def names() -> list[str]:
    """Return the names of the study files."""
    return sorted(path.stem for path in paths.STUDIES.glob("*.yaml"))


def load(name: str, check: bool = True) -> Study:
    """Read a study by name, or by the path of a file that ends in `.yaml`, and validate all of it.

    As long as its file holds the same, it is worked out once.

    Args:
        check: whether to resolve every entry; not needed of a file that was checked as it is.

    Raises:
        InputError: no such study, an unknown key or one given twice, a label that cannot be part of a file's name,
            a wrong value, or a teacher that does not exist.
    """
    path = file_of(name)
    return _load(path, content_of(path), check)


def file_of(name: str) -> Path:
    """Return the file of a study.

    Raises:
        InputError: there is no such study, or a path that no page could be given.
    """
    own = name.endswith(".yaml")
    path = paths.whole(name) if own else paths.STUDIES / f"{name}.yaml"
    if not (path.is_file() if own else name in names()):
        raise InputError(f"study = {name!r} is refused: allowed are {', '.join(names())} or the path of a .yaml file.")
    whole = str(path) if own else name
    if re.search(r"[+\x00-\x1f]", whole):  # pages are given studies joined by +
        raise InputError(f"study = {whole!r} is refused: allowed are paths without + and control characters.")
    if own and path.stem in names() and not path.samefile(paths.STUDIES / path.name):  # its records would be lost
        raise InputError(f"study = {whole!r} is refused: {path.stem} is one of the project's; give it another name.")
    return path


def folder_of(name: str) -> str:
    """Return a study's name as files and folders have it, no two alike: its own file may be called anything."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:64]
    return plain if plain == name else f"{plain[:55]}-{digest_of(name.encode(errors='surrogateescape'))[:8]}"


def content_of(file: Path) -> bytes:
    """Return what a study's file holds.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror}.") from None


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a study's file."""
    return hashlib.sha256(content).hexdigest()


@functools.cache
def _load(path: Path, content: bytes, check: bool) -> Study:
    from kdlib.runs import typed  # and PyYAML, where it must be read: a table does without

    try:
        file = File.model_validate(typed.read(content))
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "what it holds"
        raise InputError(f"{path.name}: {place} is refused: {first['msg'].lower()}.") from None
    except typed.NO_YAML as error:
        raise InputError(f"{path.name} is no YAML: {' '.join(str(error).split())}.") from None
    entries = []
    for section, recipe in SECTIONS.items():
        known = fields(recipe.name)
        for label, given in getattr(file, section).items():
            if not LABEL.fullmatch(label):
                raise InputError(
                    f"{path.name}: {section}.{label!r} is refused: a label is 1 to 64 ASCII letters, digits, _, . and "
                    "-, the first a letter or digit."
                )
            shared = {k: v for k, v in file.parameters.items() if k in known}
            _check_values({**shared, **given}, f"{path.name}: {label}")
            entries.append(Entry(recipe.name, label, _referring(with_whole_paths({**shared, **given}), recipe, path)))
    everywhere = set().union(*(fields(recipe.name) for recipe in SECTIONS.values()))
    for key in file.parameters:
        if key not in everywhere:
            raise InputError(f"{path.name}: parameters.{key} is no parameter of any run.")
    for page in file.role:
        if page not in file.reports:
            raise InputError(f"{path.name}: role.{page} is refused: allowed are its reports {', '.join(file.reports)}.")
    study = Study(
        path.stem, file.title, file.about, file.scratch, tuple(file.reports), tuple(entries), file.role, file.sample,
        digest_of(content),
    )  # fmt: skip
    if check:
        _check(study, path)
    return study


def _referring(given: dict[str, Any], recipe: Recipe[Any], path: Path) -> dict[str, Any]:
    """Write a teacher's label as `<study>/<label>`, which stands for the same teacher outside the file too."""
    key = recipe.refers_by
    if key is None or given.get(key) is None:
        return given
    study = path.stem if path.parent == paths.STUDIES else str(path)
    labels = given[key] if isinstance(given[key], list) else [given[key]]
    apart = [label in recipe.supervisions or str(label).startswith(WEIGHTS) for label in labels]
    written = [label if alone else f"{study}/{label}" for label, alone in zip(labels, apart, strict=True)]
    return {**given, key: written[0] if len(written) == 1 else written}


def _check_values(given: dict[str, Any], where: str) -> None:
    """Refuse what is neither a value nor a list of them: aliases can make of a few lines what no memory holds."""
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            number = isinstance(one, int) and one.bit_length() <= 64  # a longer one cannot always be written
            if not (one is None or number or isinstance(one, str | float)):
                raise InputError(
                    f"{where}: {name} is refused: allowed are a text, a number, true or false, and a list of such."
                )


def _check(study: Study, path: Path) -> None:
    """Resolve every entry and every teacher that it names, unless labels are their own ancestors."""
    for label in study.teaching:
        seen = [label]
        while (parent := str(study.teaching[seen[-1]].given.get("parent", "")).rpartition("/")[2]) in study.teaching:
            if parent in seen:
                around = [*seen, parent]
                said = f"parent = {around[1]!r} is refused: {' of '.join(around)} is a circle."
                raise InputError(f"{path.name}: {label}: {said}")
            seen.append(parent)
    for entry in study.entries:
        try:
            for config in entry.configs():
                recipe = recipe_of(config)
                reference = getattr(config, recipe.refers_by) if recipe.refers_by else None
                if reference is not None and "/" in reference and not reference.startswith(WEIGHTS):
                    study.teacher(reference.rpartition("/")[2], recipe.teacher_seed(config))
        except InputError as error:
            raise InputError(f"{path.name}: {entry.label}: {error}") from None
