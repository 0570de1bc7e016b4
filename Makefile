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
.PHONY: help demo test lint format mutants flows random fuzz bench bench-quick growth waiting functions peers audit docs lock clean

help:           ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s%s\n", $$1, $$2}' Makefile

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

flows: .venv/.dev ## thousands of random pipelines against the engine, cut and restarted (ARGS="--examples 5000 --seed 1")
	@$(BIN)/python -m tests.machine.flow $(ARGS)

random: .venv/.dev ## the same with random durable functions (ARGS="--examples 5000 --seed 1")
	@$(BIN)/python -m tests.machine.functions $(ARGS)

bench: .venv/.dev peers ## measure beside the peers and the disk (a quarter of an hour) into benchmarks/RESULTS.md, charts/, ROOMS.md
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.rooms

bench-quick: .venv/.dev peers ## the same in a minute: once, smaller, printed only (ARGS="--only chain" narrows it)
	@$(BIN)/python -m benchmarks --quick $(ARGS)

growth: .venv/.dev ## what grows with steps, executions, rows and values (some minutes; ARGS=--quick: one) into benchmarks/GROWTH.md
	@$(BIN)/python -m benchmarks.growth $(ARGS)

waiting: .venv/.dev ## ten thousand executions that wait: what they cost, how late they are woken (ARGS=--quick: a minute) into benchmarks/WAITING.md
	@$(BIN)/python -m benchmarks.waiting $(ARGS)

functions: .venv/.dev ## what a step of a durable function costs, beside a plain call and a declared one (ARGS=--quick: a minute) into benchmarks/FUNCTIONS.md
	@$(BIN)/python -m benchmarks.functions $(ARGS)

# A peer that cannot be installed here is a dash in the tables, not the end of the measurement.
peers: | $(UV)
	@$(MAKE) --no-print-directory -k .venv-peers/.done .venv-prefect/.done || echo "some peers are missing: they will be dashes"

fuzz: .venv-fuzz/.done ## throw odd inputs at what reads text and bytes (ARGS="codec --cases 1000000 --seed 7")
	@.venv-fuzz/bin/python -m tests.fuzz $(ARGS)

audit: .venv/.dev .venv-audit/.done ## what is installed with us: licences, and known vulnerabilities where they can be asked for
	@$(BIN)/python -m tests.security.audit .venv-audit/bin/pip-audit

docs: .venv-docs/.done ## the documentation as a site, into site/
	.venv-docs/bin/zensical build --clean --strict

lock: | $(UV)   ## names, versions and hashes, no addresses: a lock that works behind any mirror
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) --group docs -o requirements/docs.txt
	$(LOCK) --group audit -o requirements/audit.txt
	$(LOCK) pyproject.toml --group fuzz -o requirements/fuzz.txt
	$(LOCK) --group peers -o requirements/peers.txt
	$(LOCK) --group peers-prefect -o requirements/peers-prefect.txt

clean:          ## everything that was made, the tools included
	rm -rf .venv .venv-docs .venv-audit .venv-fuzz .fuzz .venv-peers .venv-prefect $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cache
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

.venv-audit/.done: requirements/audit.txt | $(UV)
	$(UV) venv -q --allow-existing --python $(PY) .venv-audit
	$(UV) pip sync -q --require-hashes --python .venv-audit/bin/python requirements/audit.txt
	@touch $@

.venv-peers/.done: requirements/peers.txt | $(UV)
	$(UV) venv -q --allow-existing --python $(PY) .venv-peers
	$(UV) pip sync -q --require-hashes --compile-bytecode --python .venv-peers/bin/python requirements/peers.txt
	@touch $@

.venv-prefect/.done: requirements/peers-prefect.txt | $(UV)
	$(UV) venv -q --allow-existing --python $(PY) .venv-prefect
	$(UV) pip sync -q --require-hashes --compile-bytecode --python .venv-prefect/bin/python requirements/peers-prefect.txt
	@touch $@

.venv-fuzz/.done: pyproject.toml requirements/fuzz.txt | $(UV)
	$(UV) venv -q --allow-existing --python $(PY) .venv-fuzz
	$(UV) pip sync -q --require-hashes --python .venv-fuzz/bin/python requirements/fuzz.txt
	$(UV) pip install -q --no-deps --python .venv-fuzz/bin/python -e .
	@touch $@
