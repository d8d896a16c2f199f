# Everything runs in .venv, which is made on the first use and again when the pinned requirements change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
DEPLOY := $(VENV)/.deploy
PYTHON_FILES := src tests $(wildcard harness bench chaos gunicorn.conf.py)
PROMETHEUS_RULE := deploy/kubernetes/kube-prometheus-stack/prometheusrule.yaml
SCRIPTS := .ci/run $(wildcard *.sh bin/* scripts/*)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint docs helm rules bench chaos lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(RUNTIME) ## the service in .venv, from the pinned requirements

demo: $(RUNTIME) ## a scripted incident, shown on a local page that stands in for Slack
	@$(BIN)/alert-threader demo

test: $(DEV) ## all tests, with branch coverage
	@$(BIN)/python -m tests

lint: $(DEV) ## style, types, the doors between modules, shell scripts
	@echo "ruff"; $(BIN)/ruff check --quiet $(PYTHON_FILES) && $(BIN)/ruff format --quiet --diff $(PYTHON_FILES)
	@echo "mypy"; $(BIN)/mypy --no-error-summary
	@echo "import-linter"; $(BIN)/lint-imports
	@if command -v shellcheck >/dev/null; then echo "shellcheck"; shellcheck $(SCRIPTS); \
	elif [ -n "$${CI:-}" ]; then echo "shellcheck is missing" >&2; exit 1; \
	else echo "shellcheck: not installed, skipped"; fi

# Not a part of `test`: 100 MB to fetch, for the tests of deploy/ alone, which are skipped without it (in CI they fail).
helm: $(DEPLOY) ## what the tests of deploy/ need: Helm and Kubernetes' schemas

# One file has the rules: monitoring/ is where they are changed and tried out.
rules: ## copy the alerting rules into the chart and the manifests
	@cp monitoring/alert-threader.rules.yml deploy/helm/alert-threader/
	@{ sed '/^spec:/q' $(PROMETHEUS_RULE); sed -n '/^groups:/,$$ { s/^./  &/; p; }' \
		monitoring/alert-threader.rules.yml; } >$(PROMETHEUS_RULE).new
	@mv $(PROMETHEUS_RULE).new $(PROMETHEUS_RULE)

docs: $(DEV) ## the documentation as a site, in site/
	@NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet --strict

chaos: $(DEV) ## every fault, each with its verdict: about 37 minutes
	@$(BIN)/python -m chaos

bench: $(DEV) ## the measurements
	@$(BIN)/python -m bench

# The oldest Python we support decides: redis needs async-timeout there.
lock: ## renew the pinned requirement files with the newest versions
	@rm -rf .lock && $(PYTHON) -m venv .lock
	@.lock/bin/pip --quiet install -e . && $(call pinned,requirements.txt)
	@.lock/bin/pip --quiet install -e '.[dev]' && $(call pinned,requirements-dev.txt,-vxFf requirements.txt)
	@.lock/bin/pip --quiet install -e '.[deploy]' && \
		$(call pinned,requirements-deploy.txt,-vxFf requirements.txt -f requirements-dev.txt)
	@rm -rf .lock

# $(call pinned,FILE[,GREP OPTIONS]): keep the file's opening comment and `-r` line, replace the pins.
pinned = pins=$$(.lock/bin/pip freeze --exclude-editable | grep $(or $2,.)) && \
	head=$$(grep -E '^(\#|-r)' $1) && printf '%s\n' "$$head" "$$pins" >$1 && echo "$1 renewed"

clean: ## remove .venv and everything that is made
	@rm -rf $(VENV) .lock build dist site src/*.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache
	@find src tests -name __pycache__ -type d -exec rm -rf {} +

$(RUNTIME): requirements.txt pyproject.toml
	@echo "installing into $(VENV)"
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps -e .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "installing the development tools into $(VENV)"
	@$(PIP) install -r requirements-dev.txt
	@touch $@

$(DEPLOY): $(DEV) requirements-deploy.txt
	@echo "installing Helm and Kubernetes' schemas into $(VENV)"
	@$(PIP) install -r requirements-deploy.txt
	@touch $@
