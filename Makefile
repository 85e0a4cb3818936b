# make demo | test | lint | types | bench
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types bench clean
.DEFAULT_GOAL := demo

check:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing); hugginggpt needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: apt install python3-venv" >&2; exit 2; }

.venv/.%: pyproject.toml constraints.txt | check
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[$*]'
	@touch $@
