# Two commands: `make book` (from a clone to the rendered book) and `make test`. The rest is for working on it.
PYTHON ?= python3
STUDY ?= quick
BIN := .venv/bin
# What is typed is neither a formula of make's nor, as a variable, more than one word of a shell's.
override PYTHON := $(value PYTHON)
override STUDY := $(value STUDY)
export PYTHON STUDY

TORCH ?=
LAB ?=
# TORCH=cpu, asked for when .venv is made and kept with it: PyTorch without CUDA. LAB: further options of JupyterLab.
override TORCH := $(value TORCH)
override LAB := $(value LAB)
export TORCH LAB

FUZZ ?= 1000
override FUZZ := $(value FUZZ)
export FUZZ

SECONDS ?= 700
GPU_PYTHON ?= python3
GPU_STUDY ?= cifar100-paper-mcmi
GPU_MIB ?= 112
override GPU_SECONDS := $(value SECONDS)
override GPU_PYTHON := $(value GPU_PYTHON)
override GPU_STUDY := $(value GPU_STUDY)
override GPU_MIB := $(value GPU_MIB)
override GPU_AFTER := $(value GPU_AFTER)
override DRY := $(value DRY)
export GPU_SECONDS GPU_PYTHON GPU_STUDY GPU_MIB GPU_AFTER DRY

# What Python compiles is kept, also where containers ask for the contrary: else every kernel compiles the library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: book pdf test lab study bench fuzz faults cluster gpu clean lock
.DELETE_ON_ERROR:

# What the lock holds for CUDA alone: PyTorch as Linux gets it asks for it, that for a CPU does not.
CUDA := ^(cuda|nvidia)-|^triton=

book: .venv/installed
	$(BIN)/python -m kdlib study "$$STUDY"
	$(BIN)/python -m kdlib picture  # the README's, from the records
	$(BIN)/python -m kdlib book

pdf: .venv/installed  # of the pages that are there; needs Chromium or Chrome
	$(BIN)/python book/pdf.py

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder  # small work on many threads only waits

lab: .venv/installed  # a container's root is asked for no permission
	set -f; if [ "$$(id -u)" = 0 ]; then set -- --allow-root; fi; $(BIN)/python -m jupyterlab notebooks "$$@" $$LAB

study: .venv/installed
	$(BIN)/python -m kdlib study "$$STUDY"
	$(BIN)/python -m kdlib book

bench: .venv/installed
	$(BIN)/python benchmarks/record.py

fuzz: .venv/installed  # FUZZ configs of each run type, three tenths as many of everything else
	KDLIB_FUZZ="$$FUZZ" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/test_fuzz.py

faults: .venv/installed
	$(BIN)/python benchmarks/record.py faults

cluster: .venv/installed  # as root, with Debian's slurm-wlm and munge; elsewhere it says what is missing
	.venv/uv/bin/uv pip install -q --python $(BIN)/python snakemake-executor-plugin-slurm==2.8.0
	$(BIN)/python benchmarks/record.py cluster

gpu:  # in whatever Python has a PyTorch for the card; DRY=1 says what would be done
	PYTHONPATH="$$PWD:$$PYTHONPATH" "$$GPU_PYTHON" benchmarks/gpu.py --seconds "$$GPU_SECONDS" --study "$$GPU_STUDY" \
	  --mib "$$GPU_MIB" $${GPU_AFTER:+--after "$$GPU_AFTER"} $${DRY:+--dry}

clean:  # what can be built again; runs, records and datasets stay
	rm -rf .venv _build data/scratch .pytest_cache .mypy_cache .ruff_cache .snakemake

lock: pyproject.toml .venv/uv
	.venv/uv/bin/uv pip compile -q --universal --python-version 3.11 --all-extras --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock

.venv/uv:
	test -x $(BIN)/python || "$$PYTHON" -m venv .venv
	"$$PYTHON" -m venv $@ && $@/bin/python -m pip install -q uv || { rm -rf $@; exit 1; }

.venv/installed: requirements.lock pyproject.toml | .venv/uv
	@case "$$TORCH" in cpu) touch .venv/cpu;; ?*) echo "TORCH = $$TORCH is refused: it is cpu or nothing."; exit 2;; esac
	lock=requirements.lock; if [ -f .venv/cpu ]; then \
	  lock=.venv/cpu.lock; grep -vE '$(CUDA)' requirements.lock >$$lock; set -- --torch-backend cpu; fi; \
	UV_COMPILE_BYTECODE=1 .venv/uv/bin/uv pip install -q --python $(BIN)/python "$$@" -r $$lock -e . --no-deps && touch $@
