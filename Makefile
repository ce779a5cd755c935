# Everything runs in .venv, which the first target that needs it makes from the pinned constraints.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow lint bench claims clean

setup: .venv/installed

.venv/installed: pyproject.toml requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "daleml needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/daleml demo --output demo

test: setup
	$(BIN)/python -m pytest --numprocesses=2 -m 'not slow'

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

claims: setup
	$(BIN)/daleml reproduce --budget quick --out reproduction
	$(BIN)/python -m daleml.reproductions reproduction/claims.json

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv demo reproduction build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
