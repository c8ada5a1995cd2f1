# Everything runs in .venv, which the first target makes. `make demo` and `make test` are the
# README's two commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

ENGINES := .venv-engines

.PHONY: demo test lint bench docs reproduce engines engines-next bench-engines clean

demo: $(VENV)/run
	$(BIN)/kvsteady check --preset three-tiers --kv-tokens 100000 --html kvsteady-report.html

test: $(VENV)/test
	$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Our decisions against those of the real vLLM, SGLang and Transformers, step by step, on the CPU;
# each in a process of its own, for SGLang's needs stand-ins that the others would find.
engines: $(ENGINES)/installed
	for engine in vllm sglang transformers; do \
	  HF_HUB_OFFLINE=1 $(ENGINES)/bin/python -m pytest tests/engines/$$engine || exit 1; \
	done

# The scheduler of the next release, which has no wheel for CPUs, ahead of the one above.
engines-next: $(ENGINES)/vllm-0.33.0
	PYTHONPATH=$< VLLM_TARGET_DEVICE=cpu HF_HUB_OFFLINE=1 $(ENGINES)/bin/python -m pytest \
	  tests/engines/vllm/test_vllm_plugin_features.py tests/engines/vllm/test_vllm_plugin_failures.py \
	  tests/engines/vllm/test_vllm_plugin_recovery.py -k "not lengths_of_all_kinds"

bench: $(VENV)/test
	$(BIN)/python -m benchmarks

bench-engines: $(ENGINES)/installed
	HF_HUB_OFFLINE=1 $(ENGINES)/bin/python -m benchmarks.bench_engines
	HF_HUB_OFFLINE=1 $(ENGINES)/bin/python -m benchmarks.bench_plugin_transformers
	HF_HUB_OFFLINE=1 $(ENGINES)/bin/python -m benchmarks.bench_plugin_vllm

# A row per claim of the paper, and ours, in kvsteady-reproduce/report.html.
reproduce: $(VENV)/run
	$(BIN)/kvsteady reproduce

# -E: Sphinx does not notice that kvsteady changed under a code cell.
docs: $(VENV)/docs
	$(BIN)/python -m sphinx -W --keep-going -n -E -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html

clean:
	rm -rf $(VENV) $(ENGINES) build dist docs/_build docs/api kvsteady-reproduce .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# One marker per set of extras; each larger set holds the smaller.
$(VENV)/run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@

$(VENV)/test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/run

$(VENV)/docs: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/run

$(VENV)/dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/test $(VENV)/run

# The engines pin what they need; they are installed as locked, without asking a resolver.
PINS := tests/engines/requirements
$(ENGINES)/installed: $(PINS)/vllm.txt $(PINS)/sglang.txt $(PINS)/transformers.txt pyproject.toml
	test -x $(ENGINES)/bin/python || $(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install --quiet torch==2.13.0
	$(ENGINES)/bin/python -m pip install --quiet --no-deps -r $(PINS)/vllm.txt
	$(ENGINES)/bin/python -m pip install --quiet --no-deps -r $(PINS)/sglang.txt
	$(ENGINES)/bin/python -m pip install --quiet --no-deps -r $(PINS)/transformers.txt
	$(ENGINES)/bin/python -m pip install --quiet --editable '.[engines]'
	touch $@

$(ENGINES)/vllm-0.33.0: $(ENGINES)/installed
	$(ENGINES)/bin/python -m pip install --quiet --no-deps --target $@ vllm==0.33.0
