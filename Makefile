# Each target does its own set-up: a virtual environment in .venv, made again when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

RELYING := tests/contract tests/test_attachment.py tests/test_enrichment.py tests/test_exporter.py tests/test_processor.py
PIP = $(BIN)/python -m pip --python $(@D) install --quiet --disable-pip-version-check

FRAMEWORKS := adk agent-framework agno autogen crewai langfuse langgraph llama-index mlflow openai openai-agents openai-v2 pydantic-ai \
	smolagents strands

.PHONY: demo test check browser contract frameworks cover bench gate scoreboard goldens clean

demo: $(STAMP)
	$(BIN)/spantriage demo

test: $(STAMP)
	$(BIN)/python -m pytest -q

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Reports in a real Chromium, which has to be there with its driver: apt-get install chromium chromium-driver. Skipped without.
browser:
	@if command -v chromedriver >/dev/null; then \
		$(MAKE) --no-print-directory .venv-browser/.installed && .venv-browser/bin/python -m pytest -q -m browser tests/browser; \
	else \
		echo "skipped: no Chromium with its driver here (apt-get install chromium chromium-driver)"; \
	fi

# What we rely on in OpenTelemetry and Logfire is not all public: it is tried on the newest and on the oldest of both.
contract: .venv-newest/.installed .venv-oldest/.installed .venv-oldest-logfire/.installed
	.venv-newest/bin/python -m pytest -q $(RELYING)
	.venv-oldest/bin/python -m pytest -q $(RELYING)
	.venv-oldest-logfire/bin/python -m pytest -q tests/contract -k logfire

# Real agent frameworks as they are today, each in an environment of its own: 2 GB and 10 minutes to install, then some 20
# minutes of runs. `make frameworks FRAMEWORKS="strands agno"` takes those only; the others are skipped if not installed.
frameworks: $(STAMP) $(FRAMEWORKS:%=.venv-fw-%/.installed)
	$(BIN)/python -m pytest -q -m frameworks tests/frameworks

# Beside the SDK alone and beside Langfuse's processor.
bench: .venv-bench/.installed
	.venv-bench/bin/python benchmarks/overhead.py
	.venv-bench/bin/python benchmarks/scan.py

# How often findings are right, on labelled runs in the folder DATA; docs/accuracy.md says where to get some.
scoreboard: $(STAMP)
	@test -n "$(DATA)" || { echo "make scoreboard DATA=folder-with-labelled-runs" >&2; exit 2; }
	$(BIN)/python benchmarks/accuracy/scoreboard.py "$(DATA)" --out scoreboard.md

# Instructions per span against the stored counts: exits 1 when one has grown by more than 2 %. Needs valgrind.
gate: $(STAMP)
	$(BIN)/python benchmarks/instructions.py --check

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spantriage needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,logfire]' --group dev
	touch $(STAMP)

.venv-browser/.installed: $(STAMP)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --editable '.[cli]' --group browser
	touch $@

.venv-bench/.installed: $(STAMP)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --editable '.[cli]' --group bench
	touch $@

# The newest releases ask for versions of each other that a package index may not have yet, hence --no-deps.
.venv-newest/.installed: $(STAMP)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --editable '.[logfire]' --group contract opentelemetry-configuration
	$(PIP) --upgrade --no-deps logfire logfire-sdk opentelemetry-distro
	touch $@

.venv-oldest/.installed: $(STAMP)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --editable . --group contract opentelemetry-sdk==1.38.0 opentelemetry-exporter-otlp-proto-http==1.38.0 \
		opentelemetry-distro==0.59b0 pydantic==2.11.0 orjson==3.10.15
	touch $@

.venv-oldest-logfire/.installed: $(STAMP)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --editable . --group contract logfire==5.0.0 opentelemetry-sdk==1.39.0 opentelemetry-exporter-otlp-proto-http==1.39.0
	touch $@

.venv-fw-%/.installed: $(STAMP)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PIP) --editable . --group fw-$*
	touch $@
