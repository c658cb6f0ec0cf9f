# TBN Explorer. `make app` and `make test` do everything on a fresh machine with Python 3.11+ and make.

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8501
PY      = $(VENV)/bin/python
READY   = $(VENV)/.ready
# TORCH=cpu takes PyTorch's CPU build (about 5 GB less on Linux)
TORCH_CPU_INDEX = https://download.pytorch.org/whl/cpu

.PHONY: help env app test test-slow lint format bench zoo zoo-check clean

help:
	@echo "make app      environment, then the explorer on http://127.0.0.1:$(PORT)"
	@echo "make test     environment, then the tests          make test-slow   the long ones too"
	@echo "make lint     ruff and mypy                         make format      ruff's formatter"
	@echo "make bench    time this machine's kernels           make zoo         train the zoo's missing entries"
	@echo "make zoo-check  train two of its entries again, drawn by chance, and compare"
	@echo "make env      the environment in $(VENV)             make clean       remove it"

env: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d; say make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "installing into $(VENV) (the first time takes some minutes)"
ifeq ($(TORCH),cpu)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --index-url $(TORCH_CPU_INDEX) torch
endif
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[app,firmware,models,onnx,dev]'
	@touch $(READY)

app: $(READY)
	$(PY) -m streamlit run app.py --server.port $(PORT)

test: $(READY)
	TBN_FAST=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest --nbmake --nbmake-timeout=300 -m "not slow" tests notebooks

test-slow: $(READY)
	TBN_FAST=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest --nbmake --nbmake-timeout=300 tests notebooks

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(READY)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(READY)
	-$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(PY) -m kernels.bench
	$(PY) -m tbn.speed

zoo: $(READY)
	$(PY) -m tbn zoo build --jobs $$(nproc)

zoo-check: $(READY)
	$(PY) -m tbn zoo check

clean:
	rm -rf $(VENV) build *.egg-info
