# Everything runs in an environment of its own, .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq install --constraint constraints.txt
# One BLAS thread a test worker; two numba threads, so that parallel kernels are parallel in the tests too.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=2 TOKENIZERS_PARALLELISM=false
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxprocesses=4
BENCHMARKS = $(filter-out benchmarks/_%,$(sort $(wildcard benchmarks/*.py)))

.PHONY: help demo test test-slow check docs bench clean

help:
	@echo "make demo       the main job on the built-in data, with a report (sets up .venv)"
	@echo "make test       the tests, without the slow ones; some of them: make test ARGS='tests/data -k split'"
	@echo "make test-slow  the slow tests"
	@echo "make check      ruff, mypy and the import contracts"
	@echo "make docs       the site, in docs/_build/html"
	@echo "make bench      side-by-side runs against peers"
	@echo "make clean      removes what these targets made"

demo: $(VENV)/.ready
	@$(BIN)/pluralism demo

test: $(VENV)/.ready-dev
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.ready-dev
	@$(PYTEST) -m slow $(ARGS)

check: $(VENV)/.ready-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/.ready-dev
	@$(TEST_ENV) $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.ready-dev
	@for script in $(BENCHMARKS); do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist docs/_build docs/gallery docs/api/generated docs/sg_execution_times.rst pluralism-demo
	rm -rf .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pluralism needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# torch comes first and alone: it is the largest download, and an interrupted set-up then keeps it.
$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) (once, a few minutes) ..." >&2
	@$(PIP) torch
	@$(PIP) --editable '.[embed]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) for development (once, a few minutes) ..." >&2
	@$(PIP) torch
	@$(PIP) --editable '.[dev]'
	@$(PIP) --no-deps pref_voting
	@touch $(VENV)/.ready $@
