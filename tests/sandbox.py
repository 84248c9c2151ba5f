"""Folders in which a fuzz works: who writes elsewhere, changes the user's files, starts a process or hangs is seen."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kdlib.base import paths
from kdlib.base.errors import InputError

LONGEST = 60
"""Seconds after which an example is said to hang."""
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
_watch = threading.local()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what Python is about to write, and every process; native code is seen by the snapshots alone."""
    seen = getattr(_watch, "seen", None)
    if seen is None:
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        if int(arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.append((event, os.fsdecode(arguments[0])))
    elif event in CHANGES:
        seen += [(event, os.fsdecode(a)) for a in arguments if isinstance(a, str | bytes | os.PathLike)]
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"):
        seen.append((event, str(arguments[0])))


sys.addaudithook(_audit)


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return what lies in a folder: types, times of change, and of files and links the content."""
    found: dict[str, tuple[Any, ...]] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118
            stat = os.lstat(path)
            content = ""
            if os.path.islink(path):  # noqa: PTH114
                content = os.readlink(path)  # noqa: PTH115
            elif os.path.isfile(path):  # noqa: PTH113
                with open(path, "rb") as stream:  # noqa: PTH123
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            found[path] = (stat.st_mode, 0 if name in folders else stat.st_mtime_ns, content)
    return found


class Sandbox:
    """A user's folder, which nobody may change, beside those in which the library may work."""

    def __init__(self, root: Path) -> None:
        self.root, self.user, self.home = root, root / "user", root / "home"
        self.own = {name: root / name for name in ("runs", "jobs", "pages", "datasets", "records")}
        self.user.mkdir(parents=True)
        self.home.mkdir()

    @contextmanager
    def watched(self, *written: str) -> Iterator[None]:
        """Work in the user's folder and fail where anything but the folders named in `written` was changed.

        The folder of datasets, a cache, may always be written.
        """
        allowed = [str(self.own[name]) for name in ("datasets", *written)]
        before, seen = self._kept(allowed), list[tuple[str, str]]()
        usual = Path.cwd()
        os.chdir(self.user)
        _watch.seen = seen
        handler = signal.signal(signal.SIGALRM, _hangs)
        signal.alarm(LONGEST)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, handler)
            _watch.seen = None
            os.chdir(usual)
        elsewhere = [one for one in seen if not _belongs(one, allowed)]
        assert not elsewhere, elsewhere
        assert self._kept(allowed) == before

    def _kept(self, allowed: list[str]) -> dict[str, tuple[Any, ...]]:
        return {path: what for path, what in snapshot(self.root).items() if not path.startswith(tuple(allowed))}


def _hangs(*_: object) -> None:
    raise TimeoutError(f"not done after {LONGEST} s")


def _belongs(one: tuple[str, str], allowed: list[str]) -> bool:
    event, path = one
    if event == "open" and path == os.devnull:
        return True
    whole = os.path.abspath(path)  # noqa: PTH100
    return (event == "open" or event in CHANGES) and (whole.startswith(tuple(allowed)) or "__pycache__" in whole)


@contextmanager
def sandbox(given: Mapping[str, Path] | None = None) -> Iterator[Sandbox]:
    """Give a sandbox whose folders the library uses; those in `given` are copied into it first."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        made = Sandbox(Path(folder).resolve())
        for name, source in (given or {}).items():
            shutil.copytree(source, made.own.get(name, made.root / name), dirs_exist_ok=True)
        for name in ("runs", "jobs", "pages", "datasets"):
            patch.setenv(f"KDLIB_{name.upper()}", str(made.own[name]))
        patch.setenv("KDLIB_DATA_ROOT", str(made.user))
        patch.setenv("HOME", str(made.home))
        patch.setattr(paths, "RECORDS", made.own["records"])
        yield made


def sentence(said: str) -> str:
    """Return what was said, which must be one sentence on one line."""
    assert said.endswith((".", "?")) and len(said.splitlines()) == 1 and said.isprintable(), repr(said)
    return said


def refusal(error: InputError) -> str:
    """Return the sentence of a refusal."""
    return sentence(str(error))
