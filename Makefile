# Every command a contributor needs is a target here; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CLUSTER ?= local
export CLUSTER
# the first Python on PATH that is new enough
PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
BIN := .venv/bin
CLUSTER_TOOL = cd tests && $(PYTHON) -m cluster
IMAGE ?= chaffinch:0.1.0
BUILDER ?= $(firstword $(shell command -v docker podman buildah))
UP_IF_LOCAL := $(if $(filter local,$(CLUSTER)),cluster-up)
FAST := tests/unit $(wildcard tests/contract)
TYPED := operator services tests docs/pictures
# under this setting a test that is skipped, or a cluster test that was not found, fails the run (tests/conftest.py)
NO_SKIPS := CHAFFINCH_NO_SKIPS=1

.PHONY: help
help:  ## Show this text
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nSettings\n'; printf '  %-21s %s\n' \
		'CLUSTER=local' 'a Kubernetes of its own on this machine: Linux, root, no Docker (the default)' \
		'CLUSTER=kind' 'a kind cluster, where a Docker engine runs' \
		'CLUSTER=current' 'the cluster of your present kube context, after asking' \
		'CHAFFINCH_CLUSTER' 'name of the local cluster, to run several (default chaffinch)' \
		'CHAFFINCH_CACHE' 'where built components are kept (default ~/.cache/chaffinch)' \
		'PURGE=1' 'with cluster-down: remove the data of the cluster too' \
		'IMAGE' 'with image: its name (default chaffinch:0.1.0)' \
		'PYTEST' 'more options for pytest, such as PYTEST="-k rollback -x"'

##@ See it
.PHONY: demo demo-credits demo-shadow demo-down
demo: venv  ## The tour: a good version is promoted, a bad one is rolled back
	cd tests && ../$(BIN)/python -m demo up
demo-credits: venv  ## The tour of a ledger: transfers, holds, grants, proofs; then somebody tampers, and is found out
	cd tests && ../$(BIN)/python -m demo.ledger
demo-shadow: venv  ## The tour of an evaluation: a stricter firewall on live copies and on 37,000 recorded requests, and why it is not promoted
	cd tests && ../$(BIN)/python -m demo.shadow
demo-down: venv  ## Remove what the tour made, and its cluster
	cd tests && ../$(BIN)/python -m demo down

##@ Check
.PHONY: check lint types imports generated guards format
check: lint types imports generated guards  ## All that needs no running cluster and no test run
lint: venv  ## ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check -q
types: venv  ## mypy, strict
	$(BIN)/mypy $(TYPED)
imports: venv  ## The direction of dependencies (import-linter)
	$(BIN)/lint-imports
generated: venv  ## CRDs, RBAC, reference pages and pictures are what the code says
	$(BIN)/python -m chaffinch_operator.crdgen --check
	$(BIN)/python docs/pictures/flow.py --check
	$(BIN)/python docs/pictures/ledger.py --check
	$(BIN)/python docs/pictures/plots.py --check
	PYTHONPATH=services $(BIN)/python -m chaffinch_credits.api.reference --check
guards: venv  ## Sizes of files and functions, lock file, README, documented reasons
	$(BIN)/pytest -q tests/unit/repository
format: venv  ## Format the code, sort imports, repair what ruff can repair
	$(BIN)/ruff check --fix
	$(BIN)/ruff format -q

##@ Test
.PHONY: test test-fast test-long credits-long shadow-long integration e2e simulations bench
test: venv $(UP_IF_LOCAL)  ## All tests; starts the local cluster when it is not up; a skipped test fails
	$(NO_SKIPS) $(BIN)/pytest -n 2 tests/e2e tests/integration $(FAST) $(PYTEST)
test-fast: venv  ## Unit and contract tests: seconds, no cluster
	$(BIN)/pytest $(FAST) $(PYTEST)
integration: venv  ## Tests against a real API server, without nodes
	$(CLUSTER_TOOL) build k8s etcd tools
	$(NO_SKIPS) $(BIN)/pytest tests/integration $(PYTEST)
e2e: venv $(UP_IF_LOCAL)  ## Tests on a whole cluster
	$(NO_SKIPS) $(BIN)/pytest tests/e2e $(PYTEST)
test-long: venv $(UP_IF_LOCAL)  ## Twenty harmless and twenty bad rollouts under bursts of errors, on a whole cluster (a quarter of an hour)
	$(NO_SKIPS) $(BIN)/pytest -m long tests/e2e $(PYTEST)
credits-long: venv  ## The credits service: ten thousand changed histories, a hundred crashes, a million requests (under an hour); writes build/bench
	$(NO_SKIPS) $(BIN)/pytest -m long tests/unit/credits tests/integration/credits $(PYTEST)
	CHAFFINCH_BENCH_REQUESTS=1000000 $(BIN)/pytest tests/perf/test_credits.py -k repetitions $(PYTEST)
shadow-long: venv  ## Two configurations of a firewall on 37,000 requests, by shards and by a plain client (ten minutes); writes build/bench
	$(NO_SKIPS) $(BIN)/pytest -m long tests/integration/shadow $(PYTEST)
simulations: venv  ## Error rates and delays of the gates at 20,000 runs a cell (a quarter of an hour); writes docs/simulations.md and docs/shadow/simulations.md
	cd tests && ../$(BIN)/python -m perf.simulations --json ../build/bench/simulations.json \
		--markdown ../docs/simulations.md
	cd tests && ../$(BIN)/python -m perf.simulations.shadow --markdown ../docs/shadow/simulations.md
bench: venv  ## Measure; writes build/bench/<name>.json
	$(BIN)/pip install -q --require-hashes -r requirements-bench.lock
	$(BIN)/pytest tests/perf $(PYTEST)

##@ Cluster
.PHONY: cluster-up cluster-down cluster-status cluster-build
cluster-up:  ## Start the local cluster, or what is missing of it
	$(CLUSTER_TOOL) up
cluster-down:  ## End the local cluster; its data stays unless PURGE=1
	$(CLUSTER_TOOL) down $(if $(PURGE),--purge)
cluster-status:  ## Say what runs
	$(CLUSTER_TOOL) status
cluster-build:  ## Build its components into the cache, start nothing
	$(CLUSTER_TOOL) build

##@ Make
.PHONY: venv crds pictures image lock clean
venv: .venv/.stamp  ## Python environment in .venv, from requirements.lock
.venv/.stamp: requirements.lock pyproject.toml tests/support/repository/venv.sh
	tests/support/repository/venv.sh '$(PYTHON)' $@
crds: venv  ## Write CRDs, RBAC and reference pages from code
	$(BIN)/python -m chaffinch_operator.crdgen
	PYTHONPATH=services $(BIN)/python -m chaffinch_credits.api.reference
pictures: venv  ## Draw the pictures of the docs
	$(BIN)/python docs/pictures/flow.py
	$(BIN)/python docs/pictures/ledger.py
	$(BIN)/python docs/pictures/plots.py
image:  ## Build the container image IMAGE with docker, podman or buildah
	$(or $(BUILDER),$(error found none of docker, podman and buildah)) build --file Containerfile --tag $(IMAGE) .
lock: venv  ## Resolve pyproject.toml into requirements.lock, and what the image and benches need
	$(BIN)/uv pip compile --no-strip-extras --universal --generate-hashes --no-emit-index-url --no-header --all-extras --group dev \
		--python-version 3.11 -q pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --no-strip-extras --universal --generate-hashes --no-emit-index-url --no-header --extra operator --extra credits \
		--extra shadow --python-version 3.11 -q -c requirements.lock pyproject.toml -o requirements-image.lock
	$(BIN)/uv pip compile --no-strip-extras --universal --generate-hashes --no-emit-index-url --no-header --group bench \
		--python-version 3.11 -q -c requirements.lock pyproject.toml -o requirements-bench.lock
clean:  ## Remove the environment, build output and caches of tools; not the cache of built components
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
