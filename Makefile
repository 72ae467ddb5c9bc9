# make demo    try it: http://localhost:8000      make check   the fast loop, under a minute
# make test    everything                         make help    all targets

PORT   ?= 8000
PYTHON ?= python3
# How many processes the tests are spread over; auto is one more than there are cores. 0: none but pytest itself.
WORKERS ?= auto
# The first of these that is 3.11 or newer makes the virtual environment.
CANDIDATES = $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11)

VENV     := .venv
PY       := $(VENV)/bin/python
RUNTIME  := $(VENV)/.runtime
DEV      := $(VENV)/.dev
NODE_DIRS := tests/clients tests/ecosystem
CLIENTS  := $(NODE_DIRS:%=%/node_modules/.installed)
# The Node program that the benches compare with.
PEER_DIR := bench/peers/mercurius
PEER     := $(PEER_DIR)/node_modules/.installed
PIP       = $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r
COMPILE   = $$uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
            --custom-compile-command 'make lock' pyproject.toml
# Worksteal hands out neighbours together, so that what a module's tests share is mostly made once.
PYTEST    = $(PY) -m pytest -n $(WORKERS) --dist worksteal
STATIC   := format lint types contracts schema-check
# What follows is made at the same time; each one's output is shown in one piece when it is done.
TOGETHER  = @$(MAKE) --no-print-directory --jobs $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# Programs are compiled once, not at every start: bytecode is a cache as good as mypy's.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo check $(STATIC) tests-fast tests-all test bench lock schema released-schema fix clients clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

# --- run ----------------------------------------------------------------------------------------------------

install: $(RUNTIME) ## the virtual environment to run it in

demo: $(RUNTIME) ## a server with made-up customers on PORT (8000)
	$(PY) -m app demo --port $(PORT)

# --- the fast loop ------------------------------------------------------------------------------------------

check: $(DEV) ## what to run before each commit
	$(TOGETHER) $(STATIC) tests-fast

format: $(DEV)
	$(PY) -m ruff format --check --quiet .

lint: $(DEV)
	$(PY) -m ruff check --quiet .

types: $(DEV)
	$(PY) -m mypy --no-error-summary

contracts: $(DEV)
	@$(VENV)/bin/lint-imports > $(VENV)/contracts.txt || { cat $(VENV)/contracts.txt; exit 1; }

schema-check: $(DEV)
	@$(PY) -m app schema > $(VENV)/schema.graphql
	@diff -u schema.graphql $(VENV)/schema.graphql || { echo "schema.graphql is not up to date: make schema" >&2; exit 1; }

tests-fast: $(DEV)
	$(PYTEST) --quiet --no-postgres --no-node --no-browser --no-redis --hypothesis-profile=quick -m 'not slow'

fix: $(DEV) ## format, and repair what ruff can repair
	$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

# --- everything ---------------------------------------------------------------------------------------------

test: ## all tests: both databases, Redis, Node clients, browser
	@$(MAKE) --no-print-directory --jobs $(DEV) clients
	$(TOGETHER) $(filter-out types,$(STATIC))
	@$(MAKE) --no-print-directory --jobs types tests-all

# Beside the types, which keep one core busy for a while; its lines are shown as they come.
tests-all: $(DEV)
	$(PYTEST)

bench: $(DEV) $(if $(shell command -v npm),$(PEER)) ## measure; the figures of README and docs/speed.md (make bench LONG=1 for longer and more rounds)
	$(PY) -m bench $(if $(LONG),--long)

# --- files that are made ------------------------------------------------------------------------------------

schema: $(DEV) ## write schema.graphql anew
	@$(PY) -m app schema > $(VENV)/schema.graphql
	@mv $(VENV)/schema.graphql schema.graphql

released-schema: schema ## at a release: what is promised from now on (docs/adr/0011-schema-promise.md)
	cp schema.graphql docs/schema.released.graphql
	@sed -i '/^[^#]/d' docs/breaking-changes.txt

lock: $(PY) ## resolve pyproject.toml into the two lock files (make lock UPGRADE=--upgrade for newer versions)
	@uv=$$(command -v $(VENV)/bin/uv || command -v uv) || { echo "no uv: run 'make $(DEV)' first, or install uv" >&2; exit 1; }; \
	$(COMPILE) $(UPGRADE) -o requirements.lock && \
	$(COMPILE) $(UPGRADE) --group dev -c requirements.lock -o requirements-dev.lock

# --- set-up: a stamp file for each step, older than its lock file when the step must be done again -------------

$(PY):
	@for python in $(CANDIDATES); do \
	  if command -v "$$python" >/dev/null && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Coffer needs Python 3.11 or newer; none of these is: $(CANDIDATES). Name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); echo "$$found cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(RUNTIME): requirements.lock | $(PY)
	$(PIP) requirements.lock
	@touch $@

# The development lock is resolved under the runtime lock, so one environment serves both.
$(DEV): requirements-dev.lock | $(PY)
	$(PIP) requirements-dev.lock
	@touch $@

clients: $(if $(shell command -v npm),$(CLIENTS),no-npm)

$(CLIENTS) $(PEER): %/node_modules/.installed: %/package-lock.json %/package.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: no-npm
no-npm:
	@echo "*** npm is not installed: the tests that play real Node clients will NOT run ***" >&2
	@test -z "$(CI)"

clean: ## remove what was made here, environments too
	rm -rf $(VENV) $(NODE_DIRS:%=%/node_modules) $(PEER_DIR)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .var dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
