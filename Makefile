# make demo | test | test-official | lint | docs | clean. Needs python3 (>= 3.10), git and make; nothing else.
PYTHON ?= python3
JOBS ?= auto
VENV := .venv
OFFICIAL := .venv-official
RUNTIME := requirements/build.txt requirements/runtime.txt requirements/optional.txt requirements/tests.txt
PACKAGE := setup.py pyproject.toml model-index.yml
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# two processes of torch on every core are slower than one thread each
PYTEST := -m pytest -p no:cacheprovider -n $(JOBS)

.PHONY: install install-official demo test test-official smoke-official lint clean

install: $(VENV)/.installed
install-official: $(OFFICIAL)/.installed

# torch and torchvision are resolved together with all the rest, in one call: pinning one of them breaks the other
$(VENV)/.packages: $(RUNTIME) requirements/mminstall.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q -r requirements/build.txt
	$(VENV)/bin/python -m pip install -q $(addprefix -r ,$(RUNTIME)) -r requirements/mminstall.txt
	$(VENV)/bin/python -c "import torch, torchvision; print('torch', torch.__version__, 'torchvision', torchvision.__version__)"
	touch $@

$(VENV)/.installed: $(VENV)/.packages $(PACKAGE)
	$(VENV)/bin/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@

$(OFFICIAL)/.packages: $(RUNTIME) requirements/mminstall_official.txt
	$(PYTHON) -m venv $(OFFICIAL)
	$(OFFICIAL)/bin/python -m pip install -q -r requirements/build.txt
	$(OFFICIAL)/bin/python -m pip install -q $(addprefix -r ,$(RUNTIME)) -r requirements/mminstall_official.txt
	$(OFFICIAL)/bin/python -c "import torch, torchvision; print('torch', torch.__version__, 'torchvision', torchvision.__version__)"
	touch $@

$(OFFICIAL)/.installed: $(OFFICIAL)/.packages $(PACKAGE)
	$(OFFICIAL)/bin/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@

demo: $(VENV)/.installed
	$(VENV)/bin/mmseg-weak demo

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python $(PYTEST) tests

test-official: $(OFFICIAL)/.installed
	OMP_NUM_THREADS=1 $(OFFICIAL)/bin/python $(PYTEST) tests

smoke-official: $(OFFICIAL)/.installed
	OMP_NUM_THREADS=1 $(OFFICIAL)/bin/python $(PYTEST) -m smoke tests

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports

clean:
	rm -rf $(VENV) $(OFFICIAL) build dist *.egg-info mmseg_weak/.mim .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
