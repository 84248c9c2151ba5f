"""A study as a DAG: run jobs, then the pages that read them. Started by `python -m kdlib study <name>`.

No word of a shell command is a path, a label or a value: they are lists in `params`, or files, and `:q` quotes each.
As functions, params are no patterns either, so that braces in them stay. What is a pattern has safe characters only:
labels (`studies.load`) and folders (`jobs.check_paths`).
"""

import json
import os
import sys

from kdlib.base import paths
from kdlib.runs import studies
from kdlib.study import jobs, seeds

NAME = os.environ["KDLIB_STUDY"]  # not by --config, which would read `010` or `a #1.yaml` as YAML
study = seeds.only(studies.load(NAME), os.environ.get("KDLIB_SEEDS") or None)
todo = jobs.jobs_of(study, int(config.get("runs_per_job", 16)))
JOBS, PAGES = paths.jobs(), paths.pages()
PAPERMILL = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "WARNING", "--cwd", str(paths.ROOT)]
SHOWN = ["-r", "studies", jobs.shown_with(NAME)] if jobs.shown_with(NAME) else []

# A failing notebook shows what stopped it; the way there and a kernel's chatter are in the file.
EXECUTE = (
    "{params.papermill:q} {params.notebook:q} {log:q} {params.given:q} 2> {log:q}.txt || "
    "{{ (grep -A 40 '^Exception encountered' {log:q}.txt || tail -n 12 {log:q}.txt) >&2; exit 1; }}; "
    "cp {log:q} {output:q}"
)


wildcard_constraints:
    job="[^/]+",
    page="[^/]+",


rule all:
    input:
        expand(f"{PAGES}/{{page}}.ipynb", page=jobs.reports_of(study)),
        expand(f"{JOBS}/{{job}}.ipynb", job=todo),
    default_target: True


# The log is the notebook as it runs: it survives a failure, an output would not. Runs are in the store, not here.
rule job:
    input:
        lambda w: [f"{JOBS}/{name}.ipynb" for name in todo[w.job].needs],
    output:
        f"{JOBS}/{{job}}.ipynb",
    log:
        f"{JOBS}/log/{{job}}.ipynb",
    params:
        papermill=lambda w: PAPERMILL,
        notebook=lambda w: str(paths.NOTEBOOKS / f"{todo[w.job].notebook}.ipynb"),
        given=lambda w: ["-y", json.dumps(todo[w.job].given)],
    threads: config.get("threads", 1)
    resources:
        gpu=config.get("gpu", 0),
    shell:
        "export OMP_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads}; " + EXECUTE


rule page:
    input:
        expand(f"{JOBS}/{{job}}.ipynb", job=todo),
        f"{paths.REPORTS}/{{page}}.ipynb",
        jobs.sources_of_pages(),
    output:
        f"{PAGES}/{{page}}.ipynb",
    log:
        f"{JOBS}/log/page-{{page}}.ipynb",
    params:
        papermill=lambda w: PAPERMILL,
        notebook=lambda w: str(paths.REPORTS / f"{w.page}.ipynb"),
        given=lambda w: SHOWN,
    shell:
        EXECUTE
