"""Whatever is typed, lies in a folder or became of a store: the outcome is a plan or one sentence, and nothing else.

A few seconds of it belong to the tests; `make fuzz` draws 1,000 configs a run type and 300 of everything else.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import strategies as drawn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sandbox import Sandbox, refusal, sandbox, sentence, snapshot

from kdlib import data
from kdlib.__main__ import main
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.runs.execute import check
from kdlib.runs.plans import plan
from kdlib.runs.sweeps import expand
from kdlib.store import runs
from kdlib.study.rows import table

COUNT = int(os.environ.get("KDLIB_FUZZ", "12"))
"""Configs a run type; of everything else three tenths."""


def fuzz(count: int) -> settings:
    """Return how many examples are drawn: in the tests always the same ones."""
    return settings(
        max_examples=max(1, count),
        derandomize="KDLIB_FUZZ" not in os.environ,
        database=None,
        deadline=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def said(box: Sandbox, *command: str, written: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a command of the command line; return its exit status and output, of which a refusal is one sentence."""
    out, err = io.StringIO(), io.StringIO()
    with (
        box.watched(*written),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        warnings.simplefilter("ignore", UserWarning)
        status = main(list(command))
    assert status in (0, 2), status
    if status == 2:
        assert err.getvalue().startswith("kdlib: ") and err.getvalue().endswith("\n") and not out.getvalue()
        sentence(err.getvalue().removeprefix("kdlib: ").removesuffix("\n"))
    return status, out.getvalue() or err.getvalue()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small folder of two classes."""
    folder = tmp_path_factory.mktemp("images")
    for label in ("ant", "bee"):
        (folder / label).mkdir()
        for i in range(4):
            (folder / label / f"{i}.png").write_bytes(drawn.picture("RGB", (9 + i, 8), "PNG"))
    return folder


@pytest.mark.parametrize("run_type", RunType)
def test_configs(run_type: RunType, finished_study: Path, images: Path) -> None:
    planned = Counter[bool]()
    with sandbox({"runs": finished_study / "runs", "user/images": images}) as box:

        @fuzz(COUNT)
        @given(drawn.parameters(run_type))
        def planned_or_refused(given: dict[str, Any]) -> None:
            try:
                with box.watched():
                    configs = expand(run_type, given)
                    for config in configs:
                        plan(config)
                    check([c for c in configs if not c.dataset.startswith("cifar")])  # which may not be here
            except InputError as error:
                refusal(error)
                planned[False] += 1
            else:
                planned[True] += 1

        planned_or_refused()
    print(f"{run_type}: {planned[True]} planned, {planned[False]} refused")
    assert planned[True] or COUNT < 10


@fuzz(3 * COUNT // 10)
@given(drawn.studies())
def test_study_files(text: bytes) -> None:
    with sandbox() as box:
        (box.user / "drawn.yaml").write_bytes(text)
        said(box, "plan", str(box.user / "drawn.yaml"))


@pytest.mark.filterwarnings("ignore:.*EXIF:UserWarning")
@fuzz(3 * COUNT // 10)
@given(drawn.trees(), st.sampled_from((8, 16)))
def test_trees_of_images(tree: list[tuple[str, str, bytes]], size: int) -> None:
    with sandbox() as box:
        root = box.user / "images"
        for path, what, content in tree:
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # two that cannot both be
                grown(root / path.strip("/"), what, content, box)
        try:
            with box.watched():
                found = data.load("folder:images", image_size=size)
                assert data.fingerprint("folder:images", image_size=size) == found.fingerprint
        except InputError as error:
            refusal(error)
        else:
            assert found.shape == (3, size, size) and min(map(len, (found.train, found.val, found.test))) > 0


def grown(path: Path, what: str, content: bytes, box: Sandbox) -> None:
    """Make one entry of a tree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "file":
        path.write_bytes(content)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "outside":
        (box.home / "else.png").write_bytes(content)
        path.symlink_to(box.home / "else.png")
    elif what == "twin":
        path.symlink_to(next(iter(sorted(box.user.rglob("0.png")))))
    elif what != "empty":
        path.symlink_to({"dangling": "nowhere.png", "loop": path.name, "up": ".."}[what])


@fuzz(3 * COUNT // 10)
@given(st.data())
def test_damaged_stores(finished_study: Path, choice: st.DataObject) -> None:
    source = finished_study / "runs"
    files = sorted(path for path in source.glob("[!.]*/*") if path.is_file())
    harms = choice.draw(st.lists(drawn.damages(files), min_size=1, max_size=3))
    with sandbox({"runs": source}) as box:
        study = str(shutil.copy(finished_study / "studied.yaml", box.user))
        touched = {harmed(box.own["runs"], source, *harm) for harm in harms}
        sound = {path.name for path in source.glob("[!.]*")} - touched
        before = contents(box.own["runs"])
        said(box, "list")
        said(box, "plan", study)
        with box.watched("runs"):
            assert sound <= set(table()["run"])
        said(box, "records", study, written=("runs", "records"))
        assert contents(box.own["runs"]) == before
        status, listed = said(box, "list", "--set-aside", written=("runs",))
        assert status == 0 and contents(box.own["runs"]) == before, "something was lost"
        states = dict(line.split("  ", 1) for line in listed.splitlines())
        assert all("damaged" not in states[name] for name in sound)
        said(box, "plan", study)
        said(box, "records", study, written=("runs", "records"))
        left = [runs.Run(name) for name in runs.names()]
        with box.watched("runs"):
            there = {run.name for run in left if run.finished}
            assert set(table(only=sorted(there)).query("source == 'run'")["run"]) == there


def contents(store: Path) -> Counter[Any]:
    """Return the contents of all files of a store, wherever they lie, but of locks."""
    return Counter(what[2] for path, what in snapshot(store).items() if what[2] and runs.LOCKS not in Path(path).parts)


def harmed(store: Path, source: Path, way: str, file: Path, becomes: Any) -> str:
    """Do one damage to a store; return the name of the run."""
    path = store / file.relative_to(source)
    run = path.relative_to(store).parts[0]
    if not path.parent.is_dir() or (path.is_dir() and not path.is_symlink()):
        return run
    if way == "stray":
        (store / f"stray-{path.name}").write_bytes(b"")
        (store / "stray" / "checkpoints").mkdir(parents=True, exist_ok=True)
        (store / "stray" / path.name).write_bytes(b"{}")
    elif way == "left":
        (path.parent / "checkpoints").mkdir(exist_ok=True)
        (path.parent / "checkpoints" / "step-000000001.safetensors").write_bytes(b"x")
        (path.parent / f".{path.name}.1").write_bytes(b"x")
    else:
        path.unlink(missing_ok=True)
        if way in ("bytes", "value"):
            path.write_bytes(becomes)
        elif way == "swapped":
            shutil.copy(becomes, path)
        elif way == "folder":
            path.mkdir()
        elif way == "link":
            path.symlink_to(path.name)
    return run
