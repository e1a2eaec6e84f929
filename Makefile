# Everything a user or a developer types. `make demo` and `make test` work on a bare machine with Python 3.11, pip and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test quick lock clean

demo: .venv/installed      ## the main job on real image files; leaves demo/report.html
	$(BIN)/python examples/demo.py demo

test: .venv/installed-test ## lint, types, import contracts, tests, examples, the code in docs/
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

quick: .venv/installed-test ## the same without the slow tests, under a minute
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check --quick

lock: .venv/installed-test ## write requirements.lock anew from what is installed
	scripts/lock $(BIN)/python

clean:
	rm -rf .venv demo build src/*.egg-info

# The lock is a constraints file: it fixes every version, torch's above all, since an open range would
# pull gigabytes of CUDA packages.
.venv/installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Sortal needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[test]'
	touch $@
