# The menu: `make` lists it. Every target does its own set-up, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
TESTS ?= tests
CACHES := .crash .schemathesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.DEFAULT_GOAL := help
.PHONY: help demo install test crash lint check bench lock system clean

help: ## list what can be made
	@echo "Unraid Rebalancer. Choose one:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

demo: $(READY) ## balance a sample array in a temporary folder; no root needed
	@$(BIN)/unraid-rebalancer demo

install: $(READY) ## create .venv and install the program there, nothing else
	@echo "Installed: $(BIN)/unraid-rebalancer"

test: $(READY) system ## run the tests (one file: make test TESTS=tests/test_names.py)
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	  $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --basetemp="$$scratch/pytest" $(TESTS)

crash: $(READY) ## break the mover on purpose, everywhere, in under an hour; writes docs/reliability.md
	@bash tools/setup_system.sh crash
	@$(BIN)/python tools/crash.py $(JOBS) $(if $(AGAIN),again)

lint: $(READY) ## ruff, format, types, contracts between the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test ## everything a change must pass: lint, then the tests

bench: $(READY) system ## side-by-side measurements that print ratios
	@set -e; for file in benchmarks/bench_*.py; do test -e "$$file" || { echo "no benchmarks/bench_*.py yet"; break; }; \
	  echo "== $$file"; $(BIN)/python "$$file"; done

lock: $(READY) ## write requirements.lock anew from pyproject.toml
	@$(BIN)/python tools/lock.py

clean: ## remove .venv and the tools' caches
	rm -rf $(VENV) $(CACHES)

system:
	@bash tools/setup_system.sh

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src
	@touch $@
