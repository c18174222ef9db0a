# Two commands: `make report` and `make test`. Each sets up .venv when it is needed.

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
READY = $(VENV)/.ready$(if $(FULL),-full)
# FULL=1: also Spark, Ibis, Dask, the browser driver and Sphinx, whose tests are skipped without
LOCK := $(if $(FULL),requirements-full.lock,requirements.lock)
DEMO_PERIOD := 2025-Q4
LOCK_FLAGS := --universal --generate-hashes --python-version 3.11 --no-emit-index-url --quiet \
	--custom-compile-command "make lock"
# one sentence instead of a traceback from deep inside
PYTHON_CHECK := import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	"cxlab needs Python 3.11 or newer; got " + sys.version.split()[0] + ". Name one: make PYTHON=python3.12 ...")
VENV_CHECK := import importlib.util as u, sys; sys.exit(0 if u.find_spec("venv") and u.find_spec("ensurepip") else \
	"cxlab needs the venv module of Python, which this Python lacks. On Debian: apt install python3-venv")

.DEFAULT_GOAL := help
.PHONY: help setup report test docs lab check notebooks bench lock demo-data clean

help:  ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

report: $(READY)  ## Set up, run the main job on the demo study, print the index page
	$(BIN)/cxlab report demo --period $(DEMO_PERIOD)

test: $(READY)  ## Set up and run everything: unit tests, doctests, notebooks
	$(BIN)/python -m pytest -p no:nbval -n auto --dist worksteal --doctest-modules cxlab benchmarks/simulate tests
	$(BIN)/python -m pytest --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg -n auto --dist loadfile notebooks

docs:  ## Build the book, a site that needs no network, under build/book/site
	$(MAKE) --no-print-directory setup FULL=1
	$(BIN)/python -m docs.book

lab: $(READY)  ## Open JupyterLab on the first notebook
	$(BIN)/jupyter lab notebooks/0-start-here.ipynb

check: $(READY)  ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(READY)  ## Re-execute and normalise the notebooks
	$(BIN)/python -m cxlab.report.refresh notebooks/*.ipynb

bench: $(READY)  ## Speed beside peers, coverage of the intervals: tables
	$(BIN)/python -m benchmarks

demo-data: $(READY)  ## Write data/demo again from its seed
	$(BIN)/python -c "from benchmarks.simulate import write_demo; write_demo('data/demo')"

lock: $(READY)  ## Resolve the dependencies again
	$(BIN)/uv pip compile pyproject.toml --extra test $(LOCK_FLAGS) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras $(LOCK_FLAGS) -c requirements.lock -o requirements-full.lock

setup: $(READY)  ## Set up .venv only (FULL=1: with Spark, databases, Dask, browser, Sphinx)

clean:  ## Remove .venv and all reports but the sample
	rm -rf $(VENV) build reports/demo reports/sfo reports/index.html

# `uv` always with --python: without it an active environment is changed instead
$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c '$(PYTHON_CHECK)'
	@$(PYTHON) -c '$(VENV_CHECK)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode $(LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@
