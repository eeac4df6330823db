# The commands a person types. Every target makes its own virtual environment first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= runs

.PHONY: setup chat demo test check train-image train-vlm bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

chat: $(STAMP)
	$(BIN)/attune web

demo: $(STAMP)
	$(BIN)/attune run examples/demo.yaml --out $(OUT)/demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest

train-image: $(STAMP)
	$(BIN)/python -m pocket.train.vae --out $(OUT)/vae
	$(BIN)/python -m pocket.train.image --out $(OUT)/image --vae $(OUT)/vae

train-vlm: $(STAMP)
	$(BIN)/python -m pocket.train.vlm --out $(OUT)/vlm

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
