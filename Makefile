# The words of this house: make run, make test, make bench. Python 3.11 or newer, git and make are all that must be there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := test
.PHONY: run test test-slow test-sdks bench lint format lock screenshots

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

run: .venv/ready
	@$(BIN)/python manage.py serve

# The suite runs on SQLite, and once more on PostgreSQL where a server answers.
test: .venv/ready-to-test lint
	$(PYTEST) -n 2 -m "not slow and not sdks" tests
	@url="$$($(BIN)/python -m tests.live postgres)"; \
	if [ -n "$$url" ]; then \
		TEST_DATABASE_URL="$$url" $(PYTEST) -n 3 -m "not slow and not sdks" tests; \
	elif [ "$${EVENTSAPP_REQUIRE_SERVICES:-}" = 1 ]; then \
		echo "PostgreSQL is required and does not answer."; exit 1; \
	else \
		echo "SKIPPED: the suite on PostgreSQL, because no server answers. Set POSTGRES_URL to one."; \
	fi

# They start their own services. Browsers, models and replays two at a time; then schemathesis, which keeps its cores busy,
# beside the faults, which wait most of the time; load has the machine for itself. To read all other files takes long.
SLOW = $(shell grep -l "pytest.mark.slow" tests/test_*.py)
test-slow: .venv/ready-to-test
	$(PYTEST) -n 2 --dist loadfile -m "slow and beside" -p no:randomly $(SLOW)
	$(PYTEST) -n 3 --dist loadgroup --no-loadscope-reorder -m "slow and not beside and not alone" -p no:randomly $(SLOW)
	$(PYTEST) -m "slow and alone" -p no:randomly $(SLOW)

# Intercom's own SDKs against a live server, each in an environment of its own.
test-sdks: .venv/ready-to-test
	$(PYTEST) -m sdks -p no:randomly tests/test_sdks.py

# Ends with 1 when a goal is missed. Needs PostgreSQL, Redis and wrk.
bench: .venv/ready-to-bench
	$(BIN)/python -m benchmarks

lint: .venv/ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: .venv/ready-to-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Writes the pictures that the documents show.
screenshots: .venv/ready-to-test
	$(BIN)/python -m tests.screenshots

lock: .venv/bin/python
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --universal --python-version 3.11 -q -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group test --generate-hashes --no-emit-index-url --universal --python-version 3.11 -q -o requirements-test.lock
	$(BIN)/uv pip compile pyproject.toml --group test --group bench -c requirements-test.lock --generate-hashes --no-emit-index-url --universal --python-version 3.11 -q -o requirements-bench.lock

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/ready: requirements.lock | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/ready-to-test: requirements-test.lock | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-test.lock
	@touch .venv/ready $@

.venv/ready-to-bench: requirements-bench.lock | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch .venv/ready .venv/ready-to-test $@
