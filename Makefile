PYTHON ?= python3
BIN := .venv/bin
TORCH := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench clean python

help:  ## show this
	@sed -n 's/^\([a-z]*\):.*##/make \1	/p' $(MAKEFILE_LIST) | expand -t 14
	@echo "PYTHON=python3.12 picks a Python; TORCH_INDEX=URL picks a PyTorch build, e.g. https://download.pytorch.org/whl/cpu"

demo: .venv/.offline  ## set up, then read an invoice, answer a question on it and say the answer aloud
	@$(BIN)/hugginggpt index info >/dev/null 2>&1 || $(BIN)/hugginggpt index build
	$(BIN)/hugginggpt ask "Read the text in this picture. What is the total of the invoice? Read the answer aloud." --file examples/invoice.png

test: .venv/.test  ## set up and run all tests
	$(BIN)/python -m pytest

lint: .venv/.test  ## ruff, and its format check
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.test  ## mypy --strict
	$(BIN)/mypy

bench: .venv/.test  ## run every benchmark and print its table
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

clean:  ## remove .venv and everything that tools left here
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .langgraph_api
	find app benchmarks graph index tests tools -name __pycache__ -exec rm -rf {} +

# One stamp per extra: it is installed again only when what it is made from has changed.
.venv/.%: pyproject.toml constraints.txt | python
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url $(TORCH_INDEX) $(TORCH))
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

python:
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "hugginggpt needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1); try: make PYTHON=python3.12 demo" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 2; }
