# Set-up, the tests and the one gate. Needs make and Python 3.11 or newer; everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Without bytecode every process that a test starts would compile the package anew, and pytest every test.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo docs bench test faults check

help:
	@echo 'make setup    installs everything into .venv, by hash; does nothing when nothing changed'
	@echo 'make demo     the simulated API, the cycles of the daemon and thirty days of paper trades'
	@echo 'make docs     writes the tables of docs/strategy.md and docs/ledger.md anew, and the picture of the README'
	@echo 'make bench    the replay beside its references, as a table; SIZE=full for every case (needs ../shared)'
	@echo 'make test     the everyday tests'
	@echo 'make faults   every fault of the provider against every feed; SIZE=night for all seeds'
	@echo 'make check    the gate: linters, types, floors, every test with coverage'

setup: $(READY)

# The stamp comes last: a set-up that was interrupted is begun again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'tidemark needs Python 3.11 or newer: make setup PYTHON=python3.12, say' >&2; exit 1; }
	@echo 'set-up: installing what requirements.lock names into .venv, half a minute; later runs do nothing'
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@# The lock is complete: without looking for dependencies, a newer release of one cannot get in its way.
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
	  --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --quiet --disable-pip-version-check
	@touch $@

demo: setup
	@$(BIN)/bot demo

docs: setup
	$(BIN)/python -m tests.strategy_reference
	$(BIN)/python -m tests.trade_picture
	$(BIN)/python -m tests.ledger_reference

SIZE ?= usual
BENCH ?=

bench: setup
	$(BIN)/python -m bench.run --size $(SIZE) $(BENCH)

# One process a core; few on a large machine, for each may start a PostgreSQL of its own.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal --quiet

test: setup
	$(PYTEST) -m 'not recipe'

# The suite of faults prints a command for each failure that repeats it; night runs go on with FAULTS='--from N'.
FAULTS ?=

faults: setup
	$(BIN)/python -m tests.faults.run --size $(if $(filter night,$(SIZE)),night,ci) $(FAULTS)

check: setup
	$(BIN)/ruff check
	$(BIN)/mypy bot migrations bench
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/codespell
	$(BIN)/deptry .
	$(PYTEST) --cov --cov-report=
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='bot/domain/*,bot/engine/*,bot/figures/*' --fail-under=100
