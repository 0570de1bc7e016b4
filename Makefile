# A fresh machine with Python (>= 3.11) and pip is enough; nothing else is assumed.
# Every target may be the first command in a fresh clone.
PY         ?= python3
TOOLS      := .tools
UV         := $(TOOLS)/bin/uv
UV_VERSION := 0.13.9
BIN        := .venv/bin
LOCK       := $(UV) pip compile -q --universal --generate-hashes --no-header --no-annotate

export UV_PYTHON_DOWNLOADS := never
# The machine's own certificates where it has them: behind a company's proxy only they are right.
export UV_SYSTEM_CERTS     ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),true,false)

.DELETE_ON_ERROR:
.PHONY: help demo test lint format mutants bench docs lock clean

help:           ## what can be made here
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s%s\n", $$1, $$2}' Makefile

demo: .venv/.dev ## a real pipeline on real data, then what to try next
	@$(BIN)/orchestrator run examples/weather/pipeline.yaml
	@cat examples/weather/NEXT.txt

test: .venv/.dev ## the whole test suite (ARGS="-k journal" narrows it)
	@$(BIN)/python -m pytest -n 2 $(ARGS)

lint: .venv/.dev ## style, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/.dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mutants: .venv/.dev ## break the code on purpose, one way at a time; the tests must notice (ARGS="WORD" takes some)
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: .venv/.dev ## measure; the figures go to benchmarks/RESULTS.md and ROOMS.md
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.rooms $(ARGS)

docs: .venv-docs/.done ## the documentation as a site, into site/
	.venv-docs/bin/zensical build --clean --strict

lock: | $(UV)   ## names, versions and hashes, no addresses: a lock that works behind any mirror
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) --group docs -o requirements/docs.txt

clean:          ## everything that was made, the tools included
	rm -rf .venv .venv-docs $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cache
	rm -rf site dist build .coverage .coverage.* .benchmarks
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# uv stands outside .venv: `uv pip sync` is exact and removes what the lock does not name.
# One venv serves every target for the same reason; the documentation has one of its own.
$(UV):
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PY=python3.12 ...")'
	$(PY) -m pip install -q --disable-pip-version-check --no-input --root-user-action=ignore --target $(TOOLS) uv==$(UV_VERSION)

.venv/.dev: pyproject.toml requirements/dev.txt | $(UV)
	$(UV) venv -q --allow-existing --python $(PY) .venv
	$(UV) pip sync -q --require-hashes --python $(BIN)/python requirements/dev.txt
	$(UV) pip install -q --no-deps --python $(BIN)/python -e .
	@touch $@

.venv-docs/.done: requirements/docs.txt | $(UV)
	$(UV) venv -q --allow-existing --python $(PY) .venv-docs
	$(UV) pip sync -q --require-hashes --python .venv-docs/bin/python requirements/docs.txt
	@touch $@
