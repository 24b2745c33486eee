# `make report` and `make test` set the project up by themselves: python3 and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SPARK  := $(VENV)/.spark
# The same hash order, clock zone and telemetry choice wherever the commands run
export DAGSTER_DISABLE_TELEMETRY := yes
export DO_NOT_TRACK := 1

.PHONY: report test test-slow test-search test-cluster test-crash spark check audit fuzz ui bench bench-large bench-peers coverage clean

report: $(STAMP)
	$(BIN)/axstat synth --if-empty
	$(BIN)/axstat run --all

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not cluster"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow

# Spark's standalone master, two workers and Spark Connect on loopback; needs Java (Debian: default-jre-headless)
test-cluster: $(SPARK)
	$(BIN)/python -m pytest -n 0 -m cluster tests/cluster

# pyspark, for the tests and benchmarks that run on it: 400 MB that no report needs
spark: $(SPARK)

# The property tests on examples drawn anew, which `make test` never does
test-search: $(STAMP)
	$(BIN)/python -m pytest -n 2 --hypothesis-profile=search tests/unit/stats tests/unit/estimation

# Faults in the middle of runs, 50 kills among them, and reports/methodology/crash_safety.md; takes most of an hour
JOBS ?= 2
test-crash: $(STAMP)
	$(BIN)/python -m tests.crash --jobs $(JOBS)

# Damaged files for each reader, MINUTES each; what a reader neither reads nor refuses is kept below the data home
MINUTES ?= 10
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/lint-imports --no-cache
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/python -m pipelines.contracts.check
	$(BIN)/python -m pip check
	$(BIN)/python -m tests.audit

# Known vulnerabilities of everything in the lock files; asks the network, which `make check` does not need
audit: $(STAMP)
	@for lock in requirements.lock tests/requirements-spark.lock; do \
	  $(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r $$lock || { \
	    echo "$$lock: not known to be free of vulnerabilities: those that are listed above, or the advisories could not be asked" >&2; \
	    exit 1; }; \
	done

ui: $(STAMP)
	$(BIN)/axstat ui

bench: $(STAMP) $(SPARK)
	$(BIN)/python tests/bench/pipeline.py
	$(BIN)/python tests/bench/intake.py
	$(BIN)/python tests/bench/engine.py
	$(BIN)/python tests/bench/weighting.py
	$(BIN)/python tests/bench/replicates.py
	$(BIN)/python tests/bench/cells.py

# 100 million rows in 2 GB of memory: ten minutes, 6 GB below TMPDIR
bench-large: $(STAMP)
	$(BIN)/python tests/bench/cells.py --large

# The Python peer of the engine's bench, in an environment of its own: it wants other versions than ours
bench-peers:
	$(PYTHON) -m venv data/bench-peers
	data/bench-peers/bin/python -m pip install --quiet --disable-pip-version-check svy==0.35.0

# Coverage of the published intervals over three synthetic countries of full size, errors of model-based rates of small
# sectors; takes half an hour
coverage: $(STAMP)
	$(BIN)/python tests/bench/interval_coverage.py
	$(BIN)/python -m tests.bench.small_area
	$(BIN)/python -m tests.bench.projection

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	  rm -rf $(VENV); \
	  echo "python3 came without the venv module; installing Debian's python3-venv"; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else sudo apt-get update -qq && sudo apt-get install -y -qq python3-venv; fi && \
	  $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(SPARK): tests/requirements-spark.lock $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements-spark.lock
	@touch $(SPARK)
