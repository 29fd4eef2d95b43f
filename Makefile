# What one does with xunji. `make` alone prints this list.
#
# Everything runs in .venv, from requirements.lock (pinned, with hashes). Where pip finds packages is pip's business:
# its environment variables and configuration count here as everywhere.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
UV ?= uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# The first of these that is Python 3.11 or later makes the environment; PYTHON=... wins.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,$(if \
	$(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(name))))

DEMO ?=
TEST ?=
BENCH ?=

.PHONY: help
help: ## print this list
	@echo "xunji: teacher training as an event-sourced workflow service"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make demo DEMO="--exit --json out.json"    make test TEST="tests/ledger -k append"    make bench BENCH="lifecycle"'

.PHONY: setup
setup: $(VENV)/.installed ## install what is pinned into .venv (instant when done)

.PHONY: demo
demo: $(VENV)/.installed ## start everything and run the 2022 campaign (options: DEMO="...")
	@$(PY) cli.py demo $(DEMO)

.PHONY: test
test: $(VENV)/.installed-dev $(VENV)/.installed-client ## run the tests (options: TEST="...")
	@$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TEST)

.PHONY: check
check: format-check lint types imports ## what CI runs: format, lint, types, imports, tests
	@$(MAKE) test

.PHONY: client
client: $(VENV)/.installed-client ## make the typed Python client out of docs/openapi.json, in build/client
	@rm -rf build/client
	@PATH="$(CURDIR)/$(VENV)/client/bin:$$PATH" $(VENV)/client/bin/openapi-python-client generate --path docs/openapi.json \
		--config clients/python/generator.yaml --meta pdm --output-path build/client --fail-on-warning
	@echo 'pip install ./build/client    # how it is used: examples/register_typed.py'

.PHONY: bench
bench: $(VENV)/.installed-bench ## measure what we claim about speed (options: BENCH="...")
	@$(PY) -m benchmarks $(BENCH)

.PHONY: format
format: $(VENV)/.installed-dev ## put every file into the form that `check` wants
	@$(PY) -m ruff check --quiet --fix-only --select I .
	@$(PY) -m ruff format .

.PHONY: format-check
format-check: $(VENV)/.installed-dev
	@$(PY) -m ruff format --check --quiet . || { $(PY) -m ruff format --check . | tail -n 20; echo 'Run `make format`.'; exit 1; }

.PHONY: lint
lint: $(VENV)/.installed-dev ## look for mistakes
	@$(PY) -m ruff check .

.PHONY: types
types: $(VENV)/.installed-dev ## check types strictly
	@$(PY) -m mypy .

.PHONY: imports
imports: $(VENV)/.installed-dev ## check what may import what
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: events
events: $(VENV)/.installed ## write docs/events/catalogue.json: every event of every version that must be read for ever
	@$(PY) -m docgen.event_catalogue

.PHONY: drawings
drawings: $(VENV)/.installed ## write docs/state-machines.md and docs/commands-and-states.md: what the rules do
	@$(PY) -m docgen.state_machines
	@$(PY) -m docgen.command_table

.PHONY: lock
lock: ## choose versions anew: requirements*.in -> requirements*.lock (needs uv)
	@command -v $(UV) > /dev/null || { echo 'make lock needs uv (https://docs.astral.sh/uv), or UV=path/to/uv.'; exit 1; }
	$(COMPILE) --upgrade requirements.in --output-file requirements.lock
	$(COMPILE) --upgrade --constraint requirements.lock requirements-dev.in --output-file requirements-dev.lock
	$(COMPILE) --upgrade --constraint requirements.lock requirements-bench.in --output-file requirements-bench.lock
	$(COMPILE) --upgrade requirements-client.in --output-file requirements-client.lock

.PHONY: clean
clean: ## remove .venv and caches; the demo's state (.xunji) stays
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@test -n "$(PYTHON)" || { \
		echo 'xunji needs Python 3.11 or later; python3 here is:' "$$(python3 --version 2>&1 || echo missing)."; \
		echo '  → Install a newer Python (Debian: apt install python3 python3-venv), or name one: make setup PYTHON=/path/to/python3.12'; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo '  → This Python cannot make virtual environments (Debian: apt install python3-venv).'; \
		exit 1; }

$(VENV)/.installed: requirements.lock | $(PY)
	@echo 'Installing what is pinned (once; a minute or two) ...'
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

# The generator of clients lives by itself (requirements-client.in says why).
$(VENV)/.installed-client: requirements-client.lock | $(PY)
	@echo 'Installing what makes clients ...'
	@$(PY) -m venv $(VENV)/client
	@$(VENV)/client/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements-client.lock
	@touch $@

$(VENV)/.installed-bench: requirements-bench.lock $(VENV)/.installed
	@echo 'Installing what is measured against ...'
	@$(PIP) install --quiet --require-hashes -r requirements-bench.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo 'Installing what tests and checks need ...'
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@
