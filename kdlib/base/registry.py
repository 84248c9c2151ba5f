"""Things by name: kinds of teacher, frameworks, families of datasets, run types. (No torch.)"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from kdlib.base.errors import InputError

PLUGINS = "KDLIB_PLUGINS"
"""The variable that names files with more kinds of teacher or frameworks: absolute paths, separated as `PATH` is."""


class Thing(Protocol):
    """What has a name of its own among things of its sort."""

    @property
    def name(self) -> str:
        """Return the name that users type."""
        ...


T = TypeVar("T", bound=Thing)


class Registry(Mapping[str, T]):
    """Hold things of one sort by name, in the order in which they are listed.

    Plugins are loaded when a registry is first asked, and not when it is made: they import what makes it.
    """

    def __init__(self, sort: str, things: Iterable[T] = ()) -> None:
        self.sort = sort
        self._things: dict[str, T] = {}
        for thing in things:
            self.add(thing)

    def add(self, thing: T) -> None:
        """Take in one more.

        Raises:
            InputError: there is one of that name.
        """
        if thing.name in self._things:
            raise InputError(f"{self.sort} = {thing.name!r} is refused: there is one of that name already.")
        self._things[thing.name] = thing

    @property
    def _all(self) -> dict[str, T]:
        _load_plugins(os.environ.get(PLUGINS, ""))
        return self._things

    def __getitem__(self, name: str) -> T:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def one(self, name: object) -> T:
        """Return the thing of a name.

        Raises:
            InputError: there is none; the sentence says which there are.
        """
        if not isinstance(name, str) or name not in self:
            shown = str(name) if isinstance(name, str) else name  # an enum's member as it is typed
            raise InputError(f"{self.sort} = {shown!r} is refused: allowed are {', '.join(self)}.")
        return self[name]


@functools.cache
def _load_plugins(files: str) -> None:
    """Execute the files that `$KDLIB_PLUGINS` names, each once a process; they add to the registries.

    The variable alone names code to execute: no study file and no parameter does.

    Raises:
        InputError: a path is not absolute, or no file of Python.
    """
    for text in filter(None, files.split(os.pathsep)):
        path = Path(text)
        if not path.is_absolute() or path.suffix != ".py" or not path.is_file():
            raise InputError(f"{PLUGINS} = {text!r} is refused: allowed are absolute paths of Python files that exist.")
        name = f"kdlib_plugin_{path.stem}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if name not in sys.modules:  # else it is being loaded, and asks for what there is
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None
            sys.modules[name] = module = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]  # whoever asks again is told again
                raise
