# What there is to do here. `make simulate` is a first run, `make test` and `make check` are what CI does.
#
# Each target makes .venv on its first call and installs into it what it needs, with the versions of
# constraints.txt. PYTHON=/path/to/python uses an environment that exists instead, and installs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help simulate test check lint formatted types imports format zoo tiny schema clean

VENV := .venv
BASE_PYTHON ?= python3
JOBS ?= 2
ARGS ?=

ifdef PYTHON
  RUN := $(PYTHON)
  CORE :=
  TEST :=
  DEV :=
  export PYTHONPATH := $(CURDIR):$(CURDIR)/kernels$(if $(PYTHONPATH),:$(PYTHONPATH))
else
  RUN := $(VENV)/bin/python
  CORE := $(VENV)/.core
  TEST := $(VENV)/.test
  DEV := $(VENV)/.dev
endif

help:
	@echo "make simulate   a first run: what does it cost? (ARGS=... for other flags of accelsim simulate)"
	@echo "make test       the tests (ARGS=... for pytest, JOBS=$(JOBS))"
	@echo "make check      style, types and directions of imports (lint, formatted, types, imports)"
	@echo "make format     put the sources into the one format"
	@echo "make zoo        record the shipped models again (needs torch)"
	@echo "make tiny       train the shipped model again, into results/tiny (needs torch; half an hour)"
	@echo "make schema     write arch_specs/arch.schema.json again"

$(VENV)/.made:
	$(BASE_PYTHON) -m venv $(VENV)
	touch $@

# One stamp per set of packages: a second call installs nothing.
$(CORE) $(TEST) $(DEV): $(VENV)/.made pyproject.toml constraints.txt
$(VENV)/.core:
	$(RUN) -m pip install --quiet -c constraints.txt -e .
	touch $@
$(VENV)/.test:
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@
$(VENV)/.dev:
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

simulate: $(CORE)
	$(RUN) -m accelsim simulate $(ARGS)

test: $(TEST)
	$(RUN) -m pytest -n $(JOBS) $(ARGS)

check: lint formatted types imports

lint: $(DEV)
	$(RUN) -m ruff check .

formatted: $(DEV)
	$(RUN) -m ruff format --check .

types: $(DEV)
	$(RUN) -m mypy

imports: $(DEV)
	PYTHONPATH=$(CURDIR):$(CURDIR)/kernels $(RUN) -c \
	  'from importlinter.cli import lint_imports_command as c; c()'

format: $(DEV)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

zoo: $(TEST)
	$(RUN) -m accelsim.graph.zoo $(ARGS)

tiny: $(TEST)
	$(RUN) -m accelsim.compress.train_tiny -o results/tiny $(ARGS)

# Written beside and renamed: the shell empties the target before the command runs.
schema: $(CORE)
	$(RUN) -m accelsim specs schema > arch_specs/arch.schema.json.new
	mv arch_specs/arch.schema.json.new arch_specs/arch.schema.json

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
