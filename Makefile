# Recipes are one line; what they do is in build_scripts/. `make` alone prints what there is.
PYTHON ?= python3
BUILD := $(PYTHON) -m build_scripts
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup bench eval perf fuzz fleet soak samples demo plan roofline doctor measure report serve wait stop status test check fmt engines certificates helm repository lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## everything that serving needs: .venv, Triton, models (PYTHON=python3.11)
	@$(BUILD) setup

demo: ## set up, start a server, transcribe a conversation beside a triage, stop (ARGS=--verdicts)
	@$(BUILD) demo $(ARGS)

serve: ## run the server until Ctrl-C (HTTP_PORT, GRPC_PORT, METRICS_PORT, GATEWAY_PORT, GATEWAY=0, ADDRESS, PLAN, VRAM_GIB, DETACH=1, WARMUP=0)
	@$(BUILD) serve

wait: ## return when the server is ready (TIMEOUT=300)
	@$(BUILD) wait

stop: ## let the requests in flight end, then stop the server
	@$(BUILD) stop

status: ## say whether a server runs, and where
	@$(BUILD) status

test: setup samples ## set up, fetch the recordings, run every test (ARGS="-k align", or -m 'not server and not slow' before a commit)
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: setup ## lint, types, generated files; changes nothing
	@$(BIN)/python -m build_scripts check

fmt: setup ## format the code and apply safe fixes
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: setup samples ## ratios measured side by side, a page and plots (NAMES="start memory", ARGS="--quick" or --list)
	@$(BIN)/python -m bench $(NAMES) $(ARGS)

eval: setup samples ## errors against references, of words, times, speakers (ARGS="MANIFEST --peer whisperx --json FILE")
	@$(BIN)/python -m evaluation $(ARGS)

perf: setup samples ## load tests by Triton's perf_analyzer (NAMES="transcribe mixed", ARGS="--concurrency 1,8", or --help)
	@$(BIN)/python -m bench.perf $(NAMES) $(ARGS)

fuzz: setup ## changed recordings, mails, options, schemas against whoever reads them (ARGS="--inputs 20000 --seed 1 --only audio")
	@$(BIN)/python -m tests.fuzz $(ARGS)

fleet: setup samples ## two servers behind haproxy, one killed under load: no file may be lost (ARGS="--files 24 --callers 6")
	@$(BIN)/python -m bench.fleet $(ARGS)

soak: setup samples ## mixed traffic on a server of its own, every request accounted for (MINUTES=10 SEED=1 ARGS="--kill-every 120", or --crowd 100)
	@$(BIN)/python -m bench.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

samples: ## fetch the recordings with references that the tests use
	@$(BUILD) samples

plan: ## where every byte of a plan goes, and whether it fits (PLAN=rtx3090, VRAM_GIB=, ARGS=--json)
	@$(BUILD) plan $(ARGS)

roofline: ## how fast a card can be at most, and how many it should hold (PLAN=rtx3090, ARGS=--json)
	@$(BUILD) roofline $(ARGS)

doctor: ## what this machine has against what a plan needs, and the cures (PLAN=auto)
	@$(BUILD) doctor $(ARGS)

measure: ## on a CUDA machine: what can be measured without TensorRT-LLM, into docs/measured/ (ARGS="--sections kv")
	@$(BUILD) measure $(ARGS)

report: ## an archive for an issue report, without contents of requests and secrets (PLAN=rtx3090)
	@$(BUILD) report $(ARGS)

engines: ## make the engines of a plan; an unchanged one is left alone (PLAN=cpu, ARGS="--dry-run --json")
	@$(BUILD) engines $(ARGS)

certificates: ## a private authority, and certificates of a server and a caller for TLS on gRPC (NAMES="host 10.0.0.5", ARGS="--client billing")
	@$(BUILD) certificates $(if $(NAMES),--names $(NAMES)) $(ARGS)

helm: ## values of deploy/helm/onecard for a plan (PLAN=rtx3090, ARGS="--plan a10 --max-replicas 8")
	@$(BUILD) helm $(ARGS)

repository: setup ## write the config.pbtxt files in git, or a whole repository of one plan (PLAN=rtx4090, ARGS="--into DIR")
	@$(BIN)/python -m build_scripts repository $(ARGS)
	@$(BIN)/python -m build_scripts.plans.reference
	@$(BIN)/python -m build_scripts.dashboards.files

lock: setup ## resolve the lock files anew, or torch's of PyTorch's INDEX=https://download.pytorch.org/whl/cu126
	@$(BIN)/python -m build_scripts.commands.lock $(if $(INDEX),--index $(INDEX))

clean: ## remove caches, logs and half-finished downloads; never models or .venv
	@$(BUILD) clean
