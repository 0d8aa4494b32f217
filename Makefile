# The first one of these versions that there is.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
	2> /dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
CLIENTS := .venv-clients
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate


.DEFAULT_GOAL := help

.PHONY: help serve require-own-checkout test test-pgbouncer test-browser test-proxies test-faults test-clients generate-all soak bench bench-quick bench-cost bench-load bench-mail bench-programs bench-admin lint lint-openapi format openapi mutate audit sbom lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: require-own-checkout $(VENV)/serve.installed  ## Serve on http://localhost:8000, with an embedded PostgreSQL
	$(BIN)/ostiary serve

# What root makes in the checkout of a user, the user cannot use.
require-own-checkout:
	@owner=$$(ls -nd . | awk '{ print $$3 }'); \
	if [ "$$(id -u)" = 0 ] && [ "$$owner" != 0 ] && [ -z "$$OSTIARY_DATA_DIR$$DATABASE_URL" ]; then \
		echo "This checkout belongs to $$(ls -ld . | awk '{ print $$3 }'): run make as that user," \
			"without sudo; or set OSTIARY_DATA_DIR or DATABASE_URL." >&2; \
		exit 1; \
	fi

# Where this is set, each process that the tests start would compile the service anew. Empty counts as
# not set.
test test-pgbouncer test-browser test-proxies test-faults test-clients soak mutate: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/development.installed  ## Run the tests
	$(BIN)/pytest

test-pgbouncer: $(VENV)/development.installed  ## Run the tests that need Debian's package pgbouncer
	$(BIN)/pytest --override-ini addopts=-ra tests/pgbouncer

test-browser: $(VENV)/development.installed tests/browser/provider/node_modules/installed  ## Run the tests that need Debian's package chromium, and Node 20
	$(BIN)/pytest --override-ini addopts=-ra tests/browser

test-proxies: $(VENV)/development.installed  ## Run the tests that need Debian's packages caddy and nginx-light
	$(BIN)/pytest --override-ini addopts="-ra --numprocesses 2 --dist worksteal" tests/proxies

# Each test has a service and servers of its own; more of them at once than there are processors
# would be one more fault.
test-faults: $(VENV)/development.installed  ## Run the fault tests: needs Debian's packages haproxy, libfaketime, pgbouncer
	$(BIN)/pytest --override-ini addopts="-ra --numprocesses 2 --dist worksteal" tests/faults

soak: $(VENV)/development.installed  ## Look for growth of memory, connections and open files: 30 minutes, or SOAK_MINUTES
	$(BIN)/python -m tests.soak

test-clients: $(VENV)/development.installed $(CLIENTS)/installed tests/clients/node_modules/installed  ## Run the tests of generated clients; needs Node 20 and Java 17
	$(BIN)/pytest --override-ini addopts=-ra tests/clients

generate-all: $(VENV)/development.installed $(CLIENTS)/installed  ## Generate clients for further languages; needs Java 17
	$(BIN)/python -m tests.clients.generate_all

mutate: $(VENV)/development.installed  ## Run the mutation tests of the security-relevant code: three hours
	$(BIN)/python -m tests.mutation

bench: $(VENV)/development.installed  ## Run the benchmarks: 15 minutes; needs Debian's package wrk
	$(BIN)/python benchmarks/bench.py

bench-quick: $(VENV)/development.installed  ## Run the benchmarks in two minutes, less exactly
	$(BIN)/python benchmarks/bench.py --quick

bench-cost: $(VENV)/development.installed  ## Measure the CPU time of a request; BASELINE=REVISION compares
	$(BIN)/python benchmarks/cost.py $(if $(BASELINE),--baseline $(BASELINE))

bench-load: $(VENV)/development.installed  ## Measure log-ins on a busy machine and in a flood: 3 minutes; needs wrk
	$(BIN)/python benchmarks/log_in_under_load.py

bench-programs: $(VENV)/development.installed  ## Measure the CPU time of what other programs ask; needs wrk
	$(BIN)/python benchmarks/programs.py
	$(BIN)/python benchmarks/token_checks.py

bench-mail: $(VENV)/development.installed  ## Measure whether requests for mail tell by their time who exists: 3 minutes
	$(BIN)/python benchmarks/mail_requests.py

bench-admin: $(VENV)/development.installed  ## Measure pages of the admin API with ten million users: half an hour, 15 GB of disk
	$(BIN)/python benchmarks/admin_pages.py

lint: $(VENV)/development.installed  ## Check style, types, layers and the OpenAPI document
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/ostiary openapi --check
	$(BIN)/openapi-spec-validator openapi/openapi.json
	$(BIN)/python -m tests.compatibility openapi/released.json openapi/openapi.json
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

lint-openapi: openapi/lint/node_modules/installed  ## Check the OpenAPI document by Redocly's and Spectral's rules; needs Node
	cd openapi/lint && REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npm run --silent lint

format: $(VENV)/development.installed  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(VENV)/serve.installed  ## Write openapi/openapi.json
	$(BIN)/ostiary openapi --output openapi/openapi.json

audit: $(VENV)/audit.installed  ## Look for known vulnerabilities; needs network access
	$(BIN)/pip-audit --vulnerability-service osv --disable-pip --require-hashes -r requirements/serve.txt

sbom: $(VENV)/audit.installed  ## Write the bill of materials (CycloneDX) of the production dependencies
	$(BIN)/python requirements/sbom.py

lock: $(VENV)/development.installed  ## Lock the newest versions that pyproject.toml allows
	$(PIP) install uv
	$(UV_COMPILE) --upgrade pyproject.toml -o requirements/production.txt
	$(UV_COMPILE) --upgrade --group build -o requirements/build.txt
	$(UV_COMPILE) --upgrade -c requirements/production.txt --extra embedded --group build \
		pyproject.toml -o requirements/serve.txt
	$(UV_COMPILE) --upgrade -c requirements/serve.txt --extra embedded --group build \
		--group development pyproject.toml -o requirements/development.txt
	$(UV_COMPILE) --upgrade -c requirements/development.txt --group audit -o requirements/audit.txt
	$(UV_COMPILE) --upgrade -c requirements/development.txt --group clients \
		-o requirements/clients.txt
	$(MAKE) sbom

clean:  ## Remove the virtual environment and caches; keep the data in .ostiary
	rm -rf $(VENV) $(CLIENTS) tests/clients/node_modules tests/browser/provider/node_modules \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis

openapi/lint/node_modules/installed: openapi/lint/package.json openapi/lint/package-lock.json openapi/lint/.npmrc
	cd openapi/lint && npm ci --silent --ignore-scripts
	touch $@

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Ostiary needs Python 3.11, 3.12, 3.13 or 3.14: install one, or name it by" \
			"make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/serve.installed: requirements/serve.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/serve.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/audit.installed: requirements/audit.txt | $(VENV)/development.installed
	$(PIP) install --require-hashes -r requirements/audit.txt
	touch $@

$(VENV)/development.installed: requirements/development.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/development.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/serve.installed

# Of their own: what generators need is to move nothing that the service needs.
$(CLIENTS)/installed: requirements/clients.txt | $(BIN)/python
	$(BIN)/python -m venv --clear $(CLIENTS)
	$(CLIENTS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes \
		-r requirements/clients.txt
	touch $@

tests/%/node_modules/installed: tests/%/package-lock.json tests/%/.npmrc
	cd tests/$* && npm ci --silent --ignore-scripts
	touch $@
