# Daily life: make run, make test, make check. Each makes what it needs on a fresh machine.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := tests/node/node_modules
JUPYTER := tests/jupyter/.venv
# Tests with real servers and browsers. Of these, those marked as clocked promise something within a second.
REAL := tests/flows tests/browser
# Files in the order of tests/conftest.py: by itself the plugin puts those with the fewest tests last, which take longest.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: run reset test check lock conformance fuzz prove prove-hapi
.DEFAULT_GOAL := run

run: $(VENV)/.run
	@SMARTAUTH_MODE=sandbox PORT=$(PORT) $(BIN)/python manage.py sandbox

reset: $(VENV)/.run
	@SMARTAUTH_MODE=sandbox $(BIN)/python manage.py sandbox --reset

# A run starts many processes of ours: what one has compiled is kept for the next, whatever is usual here.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.dev $(NODE_MODULES)/.installed $(JUPYTER)/.installed
	@command -v chromium chromium-browser google-chrome >/dev/null || $(INSTALL_CHROMIUM) || \
		echo "NO BROWSER: chromium could not be installed, so the browser tests will be skipped."
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@# One hash seed for all processes, so that they call the tests the same. What watches the clock runs alone.
	PYTHONHASHSEED=$$$$ $(BIN)/python -m pytest $(PARALLEL) $(REAL:%=--ignore %)
	PYTHONHASHSEED=$$$$ $(BIN)/python -m pytest $(PARALLEL) -m "not clocked" $(REAL)
	$(BIN)/python -m pytest -m clocked $(REAL)
endif

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	SMARTAUTH_MODE=sandbox SMARTAUTH_VAR=var/check $(BIN)/python manage.py check --fail-level WARNING

# docs/conformance.md, from the rows and the marks on the tests.
conformance: $(VENV)/.dev
	$(BIN)/python -m tests.conformance

lock: $(VENV)/.dev
	$(BIN)/pip-compile $(LOCK_OPTIONS) --extra sandbox -o requirements.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK_OPTIONS) --extra sandbox --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK_OPTIONS) -o tests/jupyter/requirements.lock tests/jupyter/requirements.in

# Only where we may and can: a browser is wanted for a part of the tests, not worth a password prompt.
INSTALL_CHROMIUM := { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq -y install chromium >/dev/null; }

LOCK_OPTIONS := --quiet --generate-hashes --no-header --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON.")'
	$(PYTHON) -m venv $(VENV)

# The lock files name every package with its hash, so pip resolves nothing and takes nothing else.
$(VENV)/.run: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

# Clients in JavaScript are wanted for a part of the tests, like the browser. Without them this is said at every run.
$(NODE_MODULES)/.installed: tests/node/package-lock.json
	@{ command -v npm >/dev/null && npm ci --prefix tests/node --loglevel error --engine-strict --ignore-scripts \
		--no-audit --no-fund >/dev/null && touch $@; } || \
		echo "NO NODE: npm or its packages could not be had, so the tests with JavaScript clients will be skipped."

# So is an app that brings half a hundred packages of its own, which nothing else here should meet.
$(JUPYTER)/.installed: tests/jupyter/requirements.lock | $(BIN)/python
	@{ $(BIN)/python -m venv $(JUPYTER) && $(JUPYTER)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r tests/jupyter/requirements.lock && touch $@; } || \
		echo "NO JUPYTER: its packages could not be had, so the test with a public app will be skipped."

# Generated requests at every endpoint: CASES in all, SEED to repeat them.
fuzz: $(VENV)/.dev
	CASES=$(or $(CASES),20000) $(BIN)/python -m pytest tests/fuzz $(ARGS)

# The long proof of the proxy: CASES in all, SEED to repeat it, ONLY=T1 for one property, RULES=0 without the mutations.
prove: $(VENV)/.dev
	$(BIN)/python -m tests.proxy.proof

# The same promises in front of HAPI FHIR, on request only: it needs Java 17 and Maven, and fetches some 300 MB at first.
prove-hapi: $(VENV)/.dev
	mvn --quiet --batch-mode --no-transfer-progress --file tests/hapi/pom.xml compile
	$(BIN)/python -m tests.hapi
