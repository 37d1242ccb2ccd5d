# The two commands a newcomer needs: `make demo` and `make test`. Everything is installed into .venv, nothing outside of it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(if $(shell $(p) -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo ok),$(p))))
BIN := .venv/bin
PORT ?= 8000
DATA ?=

.PHONY: help demo test check lint format clean bench load
help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/demo.stamp  ## a catalogue, plays, a trained model, API + admin + listener page on 127.0.0.1:$PORT  [DATA=folder or data set name]
	@$(BIN)/python -m musicrec.demo --port "$(PORT)" --data "$(DATA)"

test: .venv/dev.stamp  ## every test, on PostgreSQL + Valkey and on the embedded default
	$(BIN)/python -m pytest tests
	$(BIN)/python -m pytest tests --stack embedded --ignore tests/engine --ignore tests/importers --ignore tests/slow -m "not one_stack"

check: lint  ## what `lint` does, and the quick tests
	$(BIN)/python -m pytest tests -m "not slow"

lint: .venv/dev.stamp  ## ruff, mypy, import-linter, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: .venv/dev.stamp  ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev.stamp  ## the measurements of benchmarks/, as tables
	$(BIN)/python -m benchmarks.model_file
	$(BIN)/python -m benchmarks.training_time
	$(BIN)/python -m benchmarks.ingestion

load: .venv/dev.stamp  ## the production stack under load: a report in var/load
	$(BIN)/python -m benchmarks.load

clean:  ## forget the environment and the demo's data
	rm -rf .venv var

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "musicrec needs Python 3.11, 3.12 or 3.13 (set PYTHON=/path/to/python)"; exit 1; }
	@echo "· creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv

# uv installs in seconds what pip needs a minute for; where it cannot be had, pip does the same.
.venv/%.stamp: requirements-%.txt requirements.txt | .venv/bin/python
	@echo "· installing $<"
	@{ $(BIN)/python -m pip install --quiet --disable-pip-version-check uv && $(BIN)/uv pip install --quiet --python $(BIN)/python -r $<; } \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
