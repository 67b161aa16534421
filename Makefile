# `make` lists the targets. On a fresh machine two do everything: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Compiled modules are kept in any environment: without them every process compiles torch anew.
export PYTHONDONTWRITEBYTECODE :=

# Tests run in a few processes side by side, with one thread each: their tensors are small, and
# threads that wait for each other take the cores from the other processes.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help demo test fast check fix docs audit clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed  ## tune six small combinations on real data and show the results (EXIT=1: then stop)
	$(BIN)/hamtune demo $(if $(EXIT),--exit)

test: .venv/installed-test  ## run the whole test suite, or the tests that ARGS names (COVERAGE=1: measure it)
	$(PYTEST) --durations=15 $(if $(COVERAGE),--cov --cov-report=term:skip-covered) $(if $(ARGS),$(ARGS),$(SIDE_BY_SIDE))

fast: .venv/installed-test  ## run the tests without Ray, HTTP and browser, in less than two minutes
	$(PYTEST) $(SIDE_BY_SIDE) -m "not slow" tests/ham tests/search_spaces tests/service/domain tests/test_layering.py

check: .venv/installed-dev  ## lint, formatting, types, spelling and documentation; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

fix: .venv/installed-dev  ## mend what ruff can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-dev  ## build the documentation into site/ (SERVE=1: serve it while you write)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(if $(SERVE),serve,build --strict)

# Fails too where the advisory database cannot be reached.
audit: .venv/bin/uv  ## look for known vulnerabilities of the pinned packages
	$(BIN)/uv tool run pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:  ## remove the environment, the built documentation and the demo's data
	rm -rf .venv .hamtune site

.venv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hamtune needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv || { echo "python3 has no venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet uv

INSTALL = $(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable

.venv/installed: .venv/bin/uv pyproject.toml constraints.txt
	$(INSTALL) .
	touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) '.[test]'
	touch $@

.venv/installed-dev: .venv/installed-test
	$(INSTALL) '.[dev]'
	touch $@
