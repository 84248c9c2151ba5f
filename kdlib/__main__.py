"""The command line: `python -m kdlib run | list | plan | study | book | records | unpack`, and what writes files anew:
`notebooks | labels | picture`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from kdlib.base import paths
from kdlib.base.errors import DamagedRun, InputError, KdlibError
from kdlib.base.files import write_atomically


def _run(arguments: argparse.Namespace) -> None:
    """Make the runs of a JSON file of parameters, in which lists sweep."""
    from kdlib.runs.plans import plan_all
    from kdlib.runs.recipes import RECIPES, recorded
    from kdlib.runs.sweeps import expand

    path = paths.whole(arguments.config)
    try:
        given: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # no file, no text, no JSON or one of endless depth
        raise InputError(f"config = {str(path)!r} is refused: {error}.") from None
    if not isinstance(given, dict):
        raise InputError(f"config = {str(path)!r} is refused: it must hold one JSON object of parameters.")
    record = given["config"] if isinstance(given.get("config"), dict) else None  # of the config.json of a run
    if record is not None:
        given = {"run_type": given.get("run_type"), **record}
    named = given.pop("run_type", None)
    run_type = RECIPES.one(("student" if "teacher" in given else "teacher") if named is None else named).name
    if record is not None:
        given = recorded(run_type, given).model_dump()
    plans = plan_all(expand(run_type, given))
    from kdlib.runs.execute import check, execute  # after them: it imports torch

    for one in check(plans):
        run = execute(one)
        print(f"{run.name}  {_headline(run.metrics, 3)}")


def _headline(metrics: dict[str, float], most: int) -> str:
    """Return the first metrics to look at: a network's accuracy and NLL, else what the run measured."""
    first: list[str] = [name for name in ("test_accuracy", "test_nll") if name in metrics] or sorted(metrics)
    return "  ".join(f"{name.replace('_', ' ').replace('nll', 'NLL')} {metrics[name]:.4f}" for name in first[:most])


def _list(arguments: argparse.Namespace) -> None:
    """List the runs of the store: finished, not finished, or damaged and what is wrong.

    With --set-aside every file is verified, and a damaged run is moved out of the way; nothing is deleted.
    """
    from kdlib.store import runs

    if not runs.names():
        print(f"no runs in {paths.runs()}")
    for name in runs.names():
        run = runs.Run(name)
        state = _headline(run.metrics, 1) if run.finished else "not finished"
        try:
            run.verify(whole=arguments.set_aside)
        except DamagedRun as error:
            state = f"damaged: {error.reason}"
            if arguments.set_aside:
                with runs.locked(run):
                    state += f"; set aside in {runs.set_aside(run)}"
        print(f"{name}  {state}")


def _plan(arguments: argparse.Namespace) -> None:
    """Say what a study would run, and how long the like has taken."""
    from kdlib.runs import studies
    from kdlib.study import jobs, seeds

    study = seeds.only(studies.load(arguments.study), arguments.seeds)
    jobs.check_paths()
    print("\n".join(jobs.outlook(study)))


def _study(arguments: argparse.Namespace) -> int:
    """Run a study through Snakemake, whose options may follow, unless all is there and current.

    Jobs whose runs are not all in the store are forced.

    With --seeds only the runs of these seeds and what they need are made, and no page.
    """
    from kdlib.runs import studies
    from kdlib.study import jobs, seeds, snakemake

    name = str(studies.file_of(arguments.study)) if arguments.study.endswith(".yaml") else arguments.study
    study = seeds.only(studies.load(name), arguments.seeds)
    jobs.reports_of(study)
    if study.scratch:
        for folder in ("runs", "jobs", "pages"):
            os.environ.setdefault(f"KDLIB_{folder.upper()}", str(paths.DATA / "scratch" / study.folder_name / folder))
    profile = paths.ROOT / "profiles" / arguments.profile
    if arguments.profile not in {folder.name for folder in (paths.ROOT / "profiles").iterdir()}:
        raise InputError(f"profile = {arguments.profile!r} is refused: allowed are the folders of profiles/.")
    settings = yaml.safe_load((profile / "study.yaml").read_bytes())
    cluster = "executor" in yaml.safe_load((profile / "config.yaml").read_bytes())
    jobs.check_paths(cluster or any(option.startswith(("-e", "--executor")) for option in arguments.snakemake))
    made = jobs.jobs_of(study, settings["runs_per_job"])
    if not arguments.snakemake and snakemake.nothing_to_do(made, study.reports):
        count = len({run for job in made.values() for run in job.runs})
        print(f"Nothing to be done: {count} runs of study {study.name} and {len(study.reports)} pages are there.")
        return 0
    print("\n".join(jobs.outlook(study)))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(paths.ROOT / "Snakefile")]
    command += ["--configfile", str(profile / "study.yaml")]  # in the profile it would be sought in the current folder
    command += ["--directory", str(paths.ROOT), "--workflow-profile", str(profile)]
    command += arguments.snakemake
    stale = jobs.stale(made)
    command += ["--forcerun", *stale] if stale else []  # once: of several, only the last would count
    started = time.perf_counter()
    environment = {**os.environ, "KDLIB_STUDY": name, "KDLIB_SEEDS": arguments.seeds or ""}
    if arguments.snakemake:  # whose user wants to see what Snakemake says
        status = subprocess.run(command, check=False, env=environment).returncode
    else:
        status = snakemake.run([*command, "--quiet", "host"], environment, study.name)
    print("\n".join(jobs.spent(study)))
    print(f"study {study.name}: {time.perf_counter() - started:.0f} s")
    return status


def _records(arguments: argparse.Namespace) -> None:
    """Merge a study's finished runs into `data/records`, for git, and drop what it no longer expands to."""
    from kdlib.runs import studies
    from kdlib.study import seeds
    from kdlib.study.keeping import keep

    if arguments.store is not None:
        store = str(paths.whole(arguments.store))
        if not Path(store).is_dir():
            raise InputError(f"from = {store!r} is refused: it must be the folder of a run store.")
        os.environ["KDLIB_RUNS"] = store
    folder, count = keep(arguments.study, seeds.chosen(studies.load(arguments.study), arguments.seeds))
    print(f"{count} runs in {folder}")


def _labels(arguments: argparse.Namespace) -> None:
    """Write anew what is kept of which runs a study has, from the study files and what kinds and run types declare."""
    from kdlib.runs import studies
    from kdlib.study import labels

    for study in map(studies.load, studies.names()):
        if not study.scratch:
            print(labels.keep(study))


def _picture(arguments: argparse.Namespace) -> None:
    """Draw the picture of the study, which the README shows, from the records."""
    from kdlib.report import front, sections
    from kdlib.report.claims.answers import column_of
    from kdlib.report.draw import files

    shown = front.pictured([column_of(part, of=()) for part in sections.parts_of("claims")])
    if not shown:
        raise InputError("no study has records of teachers with known distances for every planned seed: run it first.")
    file = paths.ROOT / "book" / "_static" / "study.svg"
    write_atomically(file, files.svg(front.picture(shown)))
    print(file)


def _unpack(arguments: argparse.Namespace) -> None:
    """Put runs that another machine packed into the store; finished ones there stay as they are."""
    from kdlib.store.packing import unpack

    for name, state in unpack(paths.whole(arguments.packing)).items():
        print(f"{name}  {state}")


def _notebooks(arguments: argparse.Namespace) -> None:
    """Write the parameters cell of every run notebook anew, from what the run types and kinds declare."""
    from kdlib.runs.notebook import cell
    from kdlib.runs.recipes import RECIPES

    for name in sorted({recipe.notebook for recipe in RECIPES.values()}):
        file = paths.NOTEBOOKS / f"{name}.ipynb"
        notebook = json.loads(file.read_bytes())
        (own,) = [one for one in notebook["cells"] if "parameters" in one["metadata"].get("tags", [])]
        own["source"] = cell(name).splitlines(keepends=True)
        write_atomically(file, (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode())
        print(file)


def _book(arguments: argparse.Namespace) -> int:
    """Build the book from the pages that are there, and say where it lies."""
    index = paths.ROOT / "_build" / "html" / "index.html"
    # not the script of that name: its first line cannot name every path of Python
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", "--quiet", "-W", "--keep-going", str(paths.ROOT)]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode == 0:
        print(f"the book: {index}")
    return done.returncode


def main(given: list[str] | None = None) -> int:
    """Parse the command line, run the command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kdlib", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, function, argument in (
        ("run", _run, "config"), ("list", _list, None), ("plan", _plan, "study"),
        ("study", _study, "study"), ("book", _book, None), ("records", _records, "study"),
        ("unpack", _unpack, "packing"), ("notebooks", _notebooks, None), ("labels", _labels, None),
        ("picture", _picture, None),
    ):  # fmt: skip
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(function=function)
        if argument:
            command.add_argument(argument)
        if name in ("plan", "study", "records"):
            command.add_argument("--seeds", metavar="0,1", help="only these; none: runs of no single seed")
        if name == "records":
            command.add_argument("--from", dest="store", metavar="STORE", help="a run store; by default this clone's")
        if name == "list":
            command.add_argument("--set-aside", action="store_true", help="verify all files; move damaged runs away")
        if name == "study":
            command.add_argument("--profile", default="local", help="a folder of profiles/: local or slurm")
    arguments, rest = parser.parse_known_args(given)
    arguments.snakemake = rest
    if rest and arguments.function is not _study:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII alone gets question marks, no traceback
    paths.settle()
    try:
        status = arguments.function(arguments) or 0
        sys.stdout.flush()
        return status
    except KdlibError as error:
        print(f"kdlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kdlib: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `list | head`: nobody reads on, so nothing more is written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
