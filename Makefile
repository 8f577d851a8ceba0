# make compare   train and cost five learning rules on the embedded digits, on a simulated 64-core chip
# make test      linters, type check, import contracts, tests, quick validation, documentation
# make docs      the documentation alone, into docs/_build/html
# make clean     remove what was built (not .venv, not runs/); make distclean removes .venv too

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
# The folder around mnist/ and fashion-mnist/; without it MNIST is downloaded when asked for.
export NEUROSIM_DATA ?= $(abspath $(wildcard ../shared/data))

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
FAILED := $(VENV)/failed-steps

.PHONY: help compare test docs clean distclean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

compare: $(VENV)/installed
	$(BIN)/neurosim compare --network 64-100-100-10 --dataset digits --rules bp,fa,dfa,sdfa,ssdfa --chip mesh64 --seeds 3 --epochs 30 --target-accuracy 0.95

# Every step runs, so that one call shows all that is wrong; the last lines name the steps that failed.
define step
	@echo "== $(1)"; $(2) || echo "$(1)" >> $(FAILED)
endef

test: export OPENBLAS_NUM_THREADS = 1
test: $(VENV)/installed-test
	@rm -f $(FAILED)
	$(call step,ruff check,$(BIN)/ruff check .)
	$(call step,ruff format --check,$(BIN)/ruff format --check .)
	$(call step,mypy,$(BIN)/mypy)
	$(call step,import contracts,$(BIN)/lint-imports --no-logo)
	$(call step,pytest,$(BIN)/python -m pytest -n $(JOBS) --dist worksteal)
	$(call step,validation,$(BIN)/python benchmarks/validate.py --quick)
	$(call step,documentation,$(MAKE) --no-print-directory docs)
	@if [ -s $(FAILED) ]; then echo "make test: FAILED: $$(paste -sd, $(FAILED))"; exit 1; fi; \
	echo "make test: all steps passed"

docs: $(VENV)/installed-test
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# The newest Python from 3.11 on that can make virtual environments; a name on PATH may be a shim that does not run.
$(BIN)/python:
	@for candidate in python3.14 python3.13 python3.12 python3.11 python3; do \
	  if $$candidate -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$($$candidate --version)"; $$candidate -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); exit 1; \
	  fi; \
	done; \
	echo "neurosim needs Python 3.11 or later with venv (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1

$(VENV)/installed: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/installed-test: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable '.[test,docs]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf build dist *.egg-info docs/_build docs/gallery .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache .coverage
	find neurosim tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
