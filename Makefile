# Every target says what it does: `make` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
LUMIERE := .venv/bin/lumiere
RUN := .venv/bin/python
# Processes that share the tests, each with servers of its own; they mostly wait. 0 is one process without any of that.
TEST_PROCESSES ?= 2

$(LUMIERE): requirements/dev.lock pyproject.toml ops/bootstrap.py
	@$(PYTHON) ops/bootstrap.py environment

.PHONY: help packages up demo status logs down clean test test-all test-gateway test-faults compose-test check audit format lock manifests bench

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make TARGET\n"} /^[a-z%-]+:.*## / {sub("%", "NAME", $$1); printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

packages:
	@$(PYTHON) ops/bootstrap.py packages $(if $(DATABASE_URL),--external-database) $(if $(AMQP_URL),--external-broker) $(FOR_TESTS)

up: packages $(LUMIERE)  ## Start the platform, or verify that it is well (SCALE="tasks=2 tasks-worker=2")
	@$(LUMIERE) up $(if $(SCALE),--scale "$(SCALE)")

ifeq ($(TARGET),compose)
demo: $(LUMIERE)
	@$(LUMIERE) demo --compose
else
demo: packages $(LUMIERE)  ## Run the whole story through the gateway; starts the platform if it is down (TARGET=compose: in containers)
	@$(LUMIERE) demo
endif

status: $(LUMIERE)  ## Name every process, its health and port
	@$(LUMIERE) status

logs: $(LUMIERE)  ## Follow the logs (SERVICE=tasks for one service)
	@$(LUMIERE) logs $(SERVICE)

down: $(LUMIERE)  ## Stop everything
	@$(LUMIERE) down

clean: $(LUMIERE)  ## Stop everything and remove its data
	@$(LUMIERE) clean

test test-all: FOR_TESTS := --tests

test: packages $(LUMIERE)  ## Run the tests with a short fault run; starts the servers it needs
	@$(RUN) -m pytest -m "not long and not containers" --numprocesses $(TEST_PROCESSES) --dist loadscope

test-all: packages $(LUMIERE)  ## Run every suite, the long ones too
	@$(RUN) -m pytest -m "not containers"

test-gateway: packages $(LUMIERE)  ## The gateway's suites, and its doors in front of the platform (HAPROXY=haproxy:3.0: on that image's HAProxy)
	@$(if $(HAPROXY),LUMIERE_HAPROXY_IMAGE=$(HAPROXY)) $(RUN) -m pytest gateway tests/journeys/test_hostile_tokens.py tests/journeys/test_matrix.py

test-faults: packages $(LUMIERE)  ## Kill processes and inject failures, the long run
	@$(RUN) -m pytest -m faults

compose-test: packages $(LUMIERE)  ## The platform in containers, on a real engine: start, demo, scaling, kills; skips loudly without one
	@$(RUN) -m pytest -m containers -rs

check: $(LUMIERE)  ## Lint, types, import contracts, secrets, locks, drift of generated files
	@$(RUN) -m ops.checks

audit: $(LUMIERE)  ## Advisories, licences, bandit, semgrep, workflows; says what could not be asked
	@$(RUN) -m ops.audit

format: $(LUMIERE)  ## Format the code and mend what the linter can mend
	@$(RUN) -m ruff check --fix --quiet . || true
	@$(RUN) -m ruff format .

lock: $(LUMIERE)  ## Write requirements/*.lock anew from pyproject.toml and requirements/*.in
	@$(RUN) -m ops.checks.locks --write

manifests: $(LUMIERE)  ## Write the policy manifests and the generated documents anew
	@$(RUN) -m ops.manifests

bench: packages $(LUMIERE)  ## Measure what the documents claim, each beside its limit
	@$(RUN) -m bench

bench-%: packages $(LUMIERE)  ## Measure one: tokens, requests, logins, refreshes, bus, bus-growth (minutes), gateway, brokers, databases, gateways (minutes each), images, posting, log or story
	@$(RUN) -m bench $*
