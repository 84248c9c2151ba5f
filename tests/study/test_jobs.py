"""Jobs: a study cut into executed notebooks, ordered by what they need."""

from __future__ import annotations

import shutil
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from kernel import code_cells

from kdlib.base import paths
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.runs import notebook, studies
from kdlib.runs.plans import Planner, plan
from kdlib.runs.recipes import RECIPES
from kdlib.store import runs
from kdlib.study import jobs
from kdlib.study.jobs import Job


def all_runs(study: studies.Study) -> set[str]:
    known = Planner()
    return {known.plan(config).name for entry in study.entries for config in entry.configs()}


def ordered(made: dict[str, Job]) -> list[str]:
    """Return the jobs so that each comes after what it needs; fails where they go in a circle."""
    return list(TopologicalSorter({name: job.needs for name, job in made.items()}).static_order())


@pytest.mark.parametrize("most", [1, 2, 3, 16])
@pytest.mark.parametrize("name", ["smoke", "quick", "cifar100-paper-mcmi"])
def test_jobs_are_products_that_make_every_run(store: Path, name: str, most: int) -> None:
    study, known = studies.load(name), Planner()
    made = jobs.jobs_of(study, most)
    assert {run for job in made.values() for run in job.runs} == all_runs(study)
    assert max(len(job.runs) for job in made.values()) <= most
    untouched: dict[str, dict[str, object]] = {job.notebook: {} for job in made.values()}
    for notebook_name, namespace in untouched.items():
        exec(code_cells(notebook_name)[0], namespace)
    for job in made.values():
        # the notebook, given the job's parameters, makes the job's runs
        configs = notebook.configs(job.notebook, {**untouched[job.notebook], **job.given})
        assert {known.plan(config).name for config in configs} == set(job.runs)
        assert job.name.startswith(f"{name}-{job.notebook}-")
    assert set(ordered(made)) == set(made)


def test_a_job_needs_those_that_make_its_parents(study: str) -> None:
    made = jobs.jobs_of(studies.load(study), 2)
    teacher = [job for job in made.values() if job.notebook == "teacher" and "kind" not in job.given]
    makers = {run: job.name for job in made.values() for run in job.runs if run.startswith("teacher-")}
    assert len(makers) == 2 and not [job for job in teacher if job.needs]
    for job in made.values():
        parents = {runs.Run(run).record["parents"].get("teacher") for run in job.runs} - {None}
        assert set(job.needs) == {makers[parent] for parent in parents}


def test_a_run_of_two_entries_is_never_made_side_by_side(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text(
        "title: t\nparameters: {dataset: 'digits:tiny', seed: [0, 1]}\n"
        "students:\n  one: {teacher: one_hot}\n  two: {teacher: [one_hot, exact_bcp]}\n"
    )
    one, *two = jobs.jobs_of(studies.load(str(file)), 16).values()
    assert [job.needs for job in two] == [(one.name,)]
    # and none where one sweep, cut in two, has it in both halves
    file = tmp_path / "halves.yaml"
    file.write_text(
        "title: t\nparameters: {dataset: 'digits:tiny'}\n"
        "students:\n  one: {teacher: [one_hot, exact_bcp], temperature: [1, 2, 4]}\n"
    )
    made = jobs.jobs_of(studies.load(str(file)), 2)
    ordered(made)
    for name, job in made.items():
        for other, its in made.items():
            assert name == other or not set(job.runs) & set(its.runs) or name in its.needs or other in job.needs


def test_a_job_s_name_follows_what_it_runs(study: str, tmp_path: Path) -> None:
    loaded = studies.load(study)
    assert list(jobs.jobs_of(loaded, 16)) == list(jobs.jobs_of(loaded, 16))
    other = tmp_path / "studied.yaml"
    other.write_text(Path(study).read_text().replace("epochs: 1,", "epochs: 2,"))
    assert not set(jobs.jobs_of(studies.load(str(other)), 16)) & set(jobs.jobs_of(loaded, 16))


def test_what_is_executed_but_no_longer_in_the_store_is_stale(study: str) -> None:
    loaded = studies.load(study)
    made = jobs.jobs_of(loaded, 16)
    assert all(job.finished for job in made.values())
    assert jobs.stale(made) == []
    paths.jobs().mkdir()
    for name in made:
        (paths.jobs() / f"{name}.ipynb").write_text("{}")
    assert jobs.stale(made) == []
    first, *_, last = made.values()
    for job in (first, last):
        (runs.Run(job.runs[0]).path / "metrics.json").unlink()
    assert jobs.stale(made) == [str(paths.jobs() / f"{job.name}.ipynb") for job in (first, last)]
    (paths.jobs() / f"{last.name}.ipynb").unlink()  # never executed: Snakemake sees that itself
    assert jobs.stale(made) == [str(paths.jobs() / f"{first.name}.ipynb")]


def test_outlook_counts_and_guesses(study: str) -> None:
    loaded = studies.load(study)
    lines = jobs.outlook(loaded)
    assert [line.split() for line in lines[:-1]] == [
        [str(entry.run_type), entry.label, str(n), "runs,", str(n), "finished"]
        for entry, n in zip(loaded.entries, (2, 2, 4, 2), strict=True)
    ]
    assert lines[-1] == "0 runs to make."
    gone = next(job for job in jobs.jobs_of(loaded, 16).values() if "-floor-" in job.name).runs[0]
    shutil.rmtree(runs.Run(gone).path)
    jobs._seconds.cache_clear()
    lines = jobs.outlook(loaded)
    assert "1 finished, 1 to run: about 0 s" in lines[1] or "1 finished, 1 to run: about 1 s" in lines[1]
    assert lines[-1].startswith("1 runs to make")
    shutil.rmtree(paths.runs())
    jobs._seconds.cache_clear()
    lines = jobs.outlook(loaded)
    assert all(line.endswith("to run: time not known") for line in lines[:-1])
    assert lines[-1] == "10 runs to make."


def test_the_time_of_the_like_is_a_median(study: str) -> None:
    from kdlib.study.rows import table

    loaded = studies.load(study)
    config = next(entry for entry in loaded.entries if entry.label == "distilled").configs()[0]
    like = sorted(table(study).query("run_type == 'student'")["seconds"])
    assert jobs.expected_seconds(plan(config)) == like[len(like) // 2]
    assert jobs.expected_seconds(plan(config.model_copy(update={"epochs": 77}))) is None


def test_reports_exist(study: str, tmp_path: Path) -> None:
    for name in studies.names():
        assert jobs.reports_of(studies.load(name))
    file = tmp_path / "reports.yaml"
    file.write_text(Path(study).read_text().replace("[teachers, distillation]", "[teachers, gossip]"))
    with pytest.raises(InputError, match=r"reports = 'gossip' is refused in study reports: allowed are .*distillation"):
        jobs.reports_of(studies.load(str(file)))


def test_pages_are_made_of_files_that_exist() -> None:
    assert all(Path(name).is_file() for name in jobs.sources_of_pages())


def test_what_a_page_shows(study: str) -> None:
    kept = [name for name in studies.names() if not studies.load(name).scratch]
    assert "smoke" not in kept and jobs.shown_with("quick") == ""
    assert jobs.shown_with("smoke") == "smoke"
    assert jobs.shown_with(study).split("+") == [*kept, study]


def test_every_notebook_of_a_job_exists() -> None:
    assert set(RECIPES) == set(RunType)
    assert all((paths.NOTEBOOKS / f"{recipe.notebook}.ipynb").is_file() for recipe in RECIPES.values())


def test_spent_sums_the_times_of_finished_runs_once(study: str) -> None:
    loaded = studies.load(study)
    lines = jobs.spent(loaded)
    assert [line.split()[1] for line in lines[:-1]] == [entry.label for entry in loaded.entries]
    times = [session["seconds"] for name in runs.names() for session in runs.Run(name).provenance["sessions"]]
    assert float(lines[-1].split()[-2]) == pytest.approx(sum(times), abs=0.06)
