# `make` alone lists the targets. Everything runs in .venv, which is made on first use from requirements-dev.lock.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo check check-static test soak bench lock build clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: ## make .venv, or bring it up to date
	@$(PYTHON) scripts/environment.py

demo: venv ## see the whole cycle against a simulated API
	@$(BIN)/reconciler demo

check: check-static test ## what CI runs: check-static, then test

check-static: venv ## formatting, lint, types, architecture, workflows
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/zizmor --offline --pedantic --quiet .github
	$(BIN)/actionlint -shellcheck= -pyflakes=

test: venv ## run the tests, on all cores; ARGS="-k word" picks some
	$(BIN)/pytest --numprocesses=auto --dist=worksteal $(ARGS)

soak: venv ## the heavy proofs of docs/reliability.md, longer: half an hour or so
	RECONCILER_SOAK=1 $(BIN)/pytest --timeout=3600 tests/apply/test_crashes.py tests/apply/test_state_machine.py \
		tests/apply/test_leases_and_signals.py tests/fleet/test_index_law.py

bench: venv ## measure up to 100,000 devices in ten minutes, rewrite tables and plot; SIZE=1000 is quicker
	$(BIN)/python benchmarks/bench.py $(if $(SIZE),--sizes $(SIZE)) $(ARGS)
	$(BIN)/python benchmarks/apply.py

lock: ## resolve the dependencies of pyproject.toml anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11 \
		--extra sandbox --group dev pyproject.toml --output-file requirements-dev.lock

build: venv ## build sdist and wheel into dist/
	$(BIN)/python -m build --no-isolation

clean: ## remove everything that is made, .venv included
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find reconciler tests benchmarks scripts -name __pycache__ -prune -exec rm -rf {} +
