"""A study as a DAG: run jobs, then the pages that read them. Started by `python -m kdlib study <name>`."""

import json
import shlex
import sys

from kdlib import jobs, paths, studies

study = studies.load(config["study"])
todo = jobs.jobs_of(study, int(config.get("runs_per_job", 16)))
JOBS, PAGES, REPORTS = paths.jobs(), paths.pages(), paths.REPORTS
PAPERMILL = f"{sys.executable} -m papermill --no-progress-bar --log-level WARNING --cwd {paths.ROOT}"

# A failing notebook shows what stopped it; the way there and a kernel's chatter are in the file.
FAILING = "2> {log}.txt || {{ (grep -A 40 '^Exception encountered' {log}.txt || tail -n 12 {log}.txt) >&2; exit 1; }}"
SHOWN = f"-p studies {shlex.quote(jobs.shown_with(config['study']))}" if jobs.shown_with(config["study"]) else ""


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
        notebook=lambda w: paths.NOTEBOOKS / f"{todo[w.job].notebook}.ipynb",
        given=lambda w: shlex.quote(json.dumps(todo[w.job].given)),
    threads: config.get("threads", 1)
    resources:
        gpu=config.get("gpu", 0),
    shell:
        "export OMP_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads}; "
        f"{PAPERMILL} {{params.notebook}} {{log}} -y {{params.given}} {FAILING} && cp {{log}} {{output}}"


rule page:
    input:
        expand(f"{JOBS}/{{job}}.ipynb", job=todo),
        f"{REPORTS}/{{page}}.ipynb",
        jobs.sources_of_pages(),
    output:
        f"{PAGES}/{{page}}.ipynb",
    log:
        f"{JOBS}/log/page-{{page}}.ipynb",
    shell:
        f"{PAPERMILL} {REPORTS}/{{wildcards.page}}.ipynb {{log}} {SHOWN} {FAILING} && cp {{log}} {{output}}"
