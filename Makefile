# A newcomer needs two commands, `make demo` and `make test`. Everything is installed into .venv, nothing outside of it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(if $(shell $(p) -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo ok),$(p))))
BIN := .venv/bin
PORT ?= 8000
DATA ?=

.PHONY: help demo test check lint format docs clean bench load drills clients
help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/demo.stamp  ## start a catalogue, plays and a trained model; API + admin + listener page on 127.0.0.1:$PORT  [DATA=folder or data set name]
	@$(BIN)/python -m musicrec.demo --port "$(PORT)" --data "$(DATA)"

test: .venv/dev.stamp  ## run all tests, on PostgreSQL + Valkey and on the embedded default
	$(BIN)/python -m pytest tests
	$(BIN)/python -m pytest tests --stack embedded --ignore tests/engine --ignore tests/importers --ignore tests/slow -m "not one_stack"

check: lint  ## run `lint` and the quick tests
	$(BIN)/python -m pytest tests -m "not slow"

lint: .venv/dev.stamp  ## run ruff, mypy, import-linter and the check for missing migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: .venv/dev.stamp  ## format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev.stamp  ## run the benchmarks and print their tables
	$(BIN)/python -m benchmarks.model_file
	$(BIN)/python -m benchmarks.training_time
	$(BIN)/python -m benchmarks.ingestion

load: .venv/dev.stamp  ## run a load test of the production stack; the report is in var/load
	$(BIN)/python -m benchmarks.load

drills: .venv/dev.stamp  ## break an installation under load in many ways; the report is in var/drills.md
	$(BIN)/python -m benchmarks.drills

docs: .venv/dev.stamp  ## regenerate the output that the tutorial and the README show
	$(BIN)/python -m docs.generate

clients: .venv/clients.stamp  ## generate clients in five languages and a Postman collection, and run them; they are in var/clients
	$(BIN)/python -m clients.generate
	MUSICREC_REQUIRE_CLIENTS=1 $(BIN)/python -m pytest tests/clients

clean:  ## remove the environment and the demo's data
	rm -rf .venv var

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "musicrec needs Python 3.11, 3.12 or 3.13 (set PYTHON=/path/to/python)"; exit 1; }
	@echo "· creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv

# uv installs much faster than pip; if it cannot be installed, use pip.
.venv/clients.stamp: requirements-dev.txt
.venv/%.stamp: requirements-%.txt requirements.txt | .venv/bin/python
	@echo "· installing $<"
	@{ $(BIN)/python -m pip install --quiet --disable-pip-version-check uv && $(BIN)/uv pip install --quiet --python $(BIN)/python -r $<; } \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
