# Everything runs in .venv, which the first target that needs it makes from the pinned constraints.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow test-lowest test-sdist lint bench claims clean

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

# With the lowest versions that pyproject.toml admits. They have no wheels for every Python: PYTHON=python3.11.
# Old releases say that parts of newer ones will go: such warnings are no errors here.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest --numprocesses=2 -m 'not slow' --override-ini=filterwarnings=ignore::DeprecationWarning

.venv-lowest/installed: pyproject.toml requirements/lowest.txt
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements/lowest.txt --editable '.[test]'
	@touch $@

# As a distributor does: the tests of the source distribution, in it and beside no checkout.
test-sdist: setup
	rm -rf build/sdist
	$(BIN)/python -m build --sdist --outdir build/sdist .
	tar --extract --gzip --directory build/sdist --file build/sdist/daleml-*.tar.gz
	cd build/sdist/daleml-*/ && ../../../$(BIN)/python -m pytest --numprocesses=2 -m 'not slow'

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
	rm -rf .venv .venv-lowest demo reproduction build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
