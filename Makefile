# Everything runs from a virtual environment in .venv, made from the lock files: nothing to install by hand.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
# How many processes share the tests: a number, or auto (tests/conftest.py says how many that is).
PROCESSES ?= auto
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input
# A lock file names everything, so nothing is left to resolve: some pips, asked to, meet `coverage[toml]` and reach for a
# newer coverage than the pinned one.
PINNED := install --no-deps --require-hashes -r

.PHONY: rights audit sbom workflows workflow-steps secrets catalogue help install demo up test fuzz fuzz-wire hostile older-postgres browser test-compose check coverage torture torture-quick mutants \
  bench bench-quick lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/.runtime: cli/requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing predictq into .venv (about a minute the first time)"
	@$(PIP) $(PINNED) cli/requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.runtime tests/requirements.lock
	@echo "Installing the test tools into .venv"
	@$(PIP) $(PINNED) tests/requirements.lock
	@touch $@

.venv/.mutants: .venv/.dev tests/mutants/requirements.lock
	@echo "Installing Cosmic Ray into .venv"
	@$(PIP) $(PINNED) tests/mutants/requirements.lock
	@touch $@

.venv/.bench: .venv/.runtime bench/requirements.lock
	@echo "Installing what predictq is measured against into .venv"
	@$(PIP) $(PINNED) bench/requirements.lock
	@touch $@

install: .venv/.runtime ## Set everything up and start nothing

demo: .venv/.runtime ## Set everything up and run the main job once, then stop
	@$(BIN)/predictq demo

up: .venv/.runtime ## Set everything up and leave the stack running until Ctrl-C
	@$(BIN)/predictq up

test: .venv/.dev ## Run all tests on real PostgreSQL, Valkey and worker processes
	-@$(MAKE) --no-print-directory older-postgres
	-@$(MAKE) --no-print-directory browser
	@$(BIN)/python -m pytest -n $(PROCESSES) -o cache_dir=.pytest_cache/whole --cache-clear \
	    || $(BIN)/python -m tests.once_more $$?

fuzz: .venv/.dev ## Any table, any model, any filter, any call: far more than `make test` draws (EXAMPLES=2000, CALLS=100)
	@PREDICTQ_FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -s tests/integration/sources/test_generated_tables.py
	@PREDICTQ_FUZZ_CALLS=$(or $(CALLS),100) $(BIN)/python -m pytest -s tests/integration/gateway/test_schemathesis.py

fuzz-wire: .venv/.dev ## Any bytes at all over raw sockets: a minute of it, or FOR=600 (seconds); a run is repeated with SEED=n
	@PREDICTQ_FUZZ_SECONDS=$(or $(FOR),60) PREDICTQ_FUZZ_SEED=$(or $(SEED),0) $(BIN)/python -m pytest -s tests/integration/wire/test_fuzz.py

hostile: .venv/.dev ## Attack a real stack in every way of tests/hostile, and write what was seen to docs/hostile.md
	@PREDICTQ_HOSTILE=whole $(BIN)/python -m pytest -s tests/hostile

older-postgres: .venv/.dev ## Make sure that the tests have a PostgreSQL 15, 16 or 17 (on a Mac it may come from Homebrew)
	@$(BIN)/python -m tests.older_postgres >/dev/null || { [ "$$(uname)" = Darwin ] && brew install postgresql@17; }

browser: .venv/.dev ## Make sure that the tests have a Chromium or Chrome: the machine's, else one is installed
	@$(BIN)/python -m tests.browser

test-compose: .venv/.dev ## Build the images and prove the compose stack; needs a Docker engine
	@$(BIN)/python -m pytest -s -m compose tests/compose

torture: .venv/.dev ## Break everything on purpose and check every promise (about 15 minutes; history is kept on failure)
	@$(BIN)/python -m tests.torture

torture-quick: .venv/.dev ## The same in two minutes; part of `make test`
	@$(BIN)/python -m pytest tests/torture

mutants: .venv/.mutants ## Put 400 small mistakes into the code, one at a time: tests must notice 85 % (an hour or two; a stopped run goes on)
	@$(BIN)/python -m tests.mutants

coverage: .venv/.dev ## The tests with coverage of api, worker, shared, model, cli and devstack: at least 90 %
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -n $(PROCESSES)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: .venv/.dev ## Static checks: ruff, mypy --strict, import-linter, and that no dependency is missing
	@$(PIP) check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

rights: .venv/.dev ## Write docs/who-may-what.md anew, after a change of what callers may do
	@$(BIN)/python -m tests.rights

catalogue: .venv/.dev ## Write sql/catalogue.txt anew, after a change of the schema
	@$(BIN)/python -m tests.write_catalogue

.venv-supply/.made: .ci/requirements.lock
	@test -x .venv-supply/bin/python || $(PYTHON) -m venv .venv-supply
	@echo "Installing the tools of the supply chain into .venv-supply"
	@.venv-supply/bin/python -m pip --disable-pip-version-check --quiet --no-input $(PINNED) .ci/requirements.lock
	@touch $@

audit: .venv-supply/.made ## Ask the advisories about every pinned package; says so where they cannot be reached
	@.venv-supply/bin/python .ci/audit.py

sbom: .venv-supply/.made ## Write what is inside the release and each image to build/sbom (CycloneDX)
	@.venv-supply/bin/python .ci/sbom.py

workflows: .venv-supply/.made ## Check .github/workflows: zizmor, offline, and the schema of workflows
	@.venv-supply/bin/zizmor --offline --quiet .github/workflows
	@.venv-supply/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

workflow-steps: .venv/.dev ## List the steps of the workflows, or run those of JOBS="static supply" as they stand
	@$(BIN)/python .ci/workflow_steps.py $(JOBS)

secrets: .venv-supply/.made ## Look for secrets in everything under version control
	@.venv-supply/bin/python .ci/find_secrets.py

bench: .venv/.bench ## Measure predictq beside its peers and the raw limits (four to seven minutes)
	@$(BIN)/python -m bench

bench-quick: .venv/.bench ## The main questions with shorter runs (half a minute to one)
	@$(BIN)/python -m bench --quick

lock: ## Pin every dependency again (needs uv)
	@./.ci/lock

clean: ## Remove the virtual environment and the caches (not .predictq, your data)
	rm -rf .venv .venv-supply .mypy_cache .ruff_cache .pytest_cache .coverage* build *.egg-info
