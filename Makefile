# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Compiled modules are kept in any environment: without them every process compiles torch anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check audit clean

demo: .venv/installed
	$(BIN)/hamtune demo $(if $(EXIT),--exit)

# The whole suite in a few processes side by side; what ARGS name, in one. A thread each: the
# tensors of tests are small, and threads that wait for each other take the cores from the rest.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadgroup

test: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(if $(ARGS),$(ARGS),$(SIDE_BY_SIDE))

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Known vulnerabilities of the pinned packages; fails too where it cannot look one up.
audit: .venv/bin/uv
	$(BIN)/uv tool run pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

.venv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hamtune needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv || { echo "python3 has no venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet uv

.venv/installed: .venv/bin/uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .hamtune
