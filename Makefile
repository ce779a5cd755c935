# Everything runs in .venv, which the first target that needs it makes from the pinned constraints.
# `make help` lists the targets: what stands after ## is its text.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-lowest test-sdist tutorials notebooks lint format house docs pages bench gpu claims hooks release-check clean

help:  ## what can be made here
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

setup: .venv/installed  ## .venv with the pinned versions, and daleml in it, editable

.venv/installed: pyproject.toml requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "daleml needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt --editable '.[dev]'
	@touch $@

demo: setup  ## networks learn digits, prove their signs, have their synapses fitted: demo/report.html
	$(BIN)/daleml demo --output demo

test: setup  ## every quick test, docstring examples included
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) -m 'not slow'

test-slow: setup  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

# They have no wheels for every Python: PYTHON=python3.11.
# Old releases say that parts of newer ones will go: such warnings are no errors here.
test-lowest: .venv-lowest/installed  ## the tests with the lowest versions that pyproject.toml admits
	.venv-lowest/bin/python -m pytest --numprocesses=$(WORKERS) -m 'not slow' --override-ini=filterwarnings=ignore::DeprecationWarning

.venv-lowest/installed: pyproject.toml requirements/lowest.txt
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements/lowest.txt --editable '.[test]'
	@touch $@

test-sdist: setup  ## the tests of the source distribution, in it, as a distributor runs them
	rm -rf build/sdist
	$(BIN)/python -m build --sdist --outdir build/sdist .
	tar --extract --gzip --directory build/sdist --file build/sdist/daleml-*.tar.gz
	cd build/sdist/daleml-*/ && ../../../$(BIN)/python -m pytest --numprocesses=$(WORKERS) -m 'not slow'

tutorials: setup  ## run the tutorials in full, and compare with what is saved in them
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) tests/test_tutorials.py

notebooks: setup  ## run the tutorials' scripts, and save the notebooks that come of them
	$(BIN)/python -m tutorials.notebooks

lint: setup  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## mend what the formatter and the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

house: setup  ## how the code reads, in numbers: lengths of lines, files, functions
	$(BIN)/python -m benchmarks.house

docs: setup  ## the pages, every public name on them: build/docs/index.html; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

pages: docs  ## open every kind of page in a browser, at three widths; pictures go to build/pages
	$(BIN)/python -m pytest -q -m browser tests/pages/browser

gpu: setup  ## on a GPU: the tests of devices, time ratios against torch; without one it says so
	$(BIN)/python -m benchmarks.gpu

claims: setup  ## measure the papers' claims again, and write the tables of README and docs
	$(BIN)/daleml reproduce --budget quick --out reproduction
	$(BIN)/python -m daleml.reproductions reproduction/claims.json

bench: setup  ## time ratios against torch and scipy
	$(BIN)/python -m benchmarks

hooks: setup  ## run the linter and the formatter before every commit of this clone
	$(BIN)/pre-commit install

release-check: setup  ## whether version, changelog and citation agree, and the distribution builds
	$(BIN)/python -m pytest -q tests/test_packaging.py
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist .

clean:  ## remove everything that was made
	rm -rf .venv .venv-lowest demo reproduction build dist docs/api/*.rst *.egg-info .mypy_cache .ruff_cache .hypothesis
