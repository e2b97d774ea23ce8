# Targets a person needs; everything is installed into this folder (.venv, .tools).
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: help generate test test-chart test-peers test-live demo preview bench bench-exporters faults lint clean peers

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

$(BIN)/slo: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.11" >&2; exit 3; }
	@$(PYTHON) -m venv .venv || { echo "python3-venv is missing: apt-get install python3-venv" >&2; exit 3; }
	@$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/.dev: pyproject.toml $(BIN)/slo
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

generate: $(BIN)/slo ## compile the Stella Ops stack into generated/
	$(BIN)/slo generate

test: .venv/.dev peers ## install what the tests need, then run them and every generated test
	$(BIN)/pytest -n 2 -m "not live"
	$(BIN)/slo test

peers: ## promtool, Prometheus, Alertmanager, amtool, the blackbox exporter, Helm 3 and 4, into .tools/
	tools/peers debian helm

.tools/registry: $(wildcard tests/live/registry/*)
	cd tests/live/registry && go build -o ../../../.tools/registry .

lint: .venv/.dev ## ruff, mypy --strict, import-linter, drift of generated/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/slo generate --check

test-chart: .venv/.dev peers ## the chart by the operator's own schemas, the Compose file by Compose's own loader (needs Go)
	tools/peers crds
	$(BIN)/pytest -m live tests/live/test_chart_crds.py tests/live/test_compose_loader.py

test-peers: .venv/.dev peers .tools/registry ## the exporters and the gate on what cosign 3, Fulcio and Rekor v2 really write (needs Go; 15 minutes the first time)
	tools/peers cosign3 rekor2 fulcio timestamp
	$(BIN)/pytest -m live tests/live/test_cosign_peers.py tests/live/test_rekor_v2.py tests/live/test_promotion_end_to_end.py -k "not cosign_2 and not javascript"

test-live: .venv/.dev peers .tools/registry ## real servers, and rules replayed over simulated weeks (needs Go; minutes)
	tools/peers prometheus3 victoria crds cosign3 cosign2 fulcio timestamp rekor2
	cd tests/live/replay && go build -o ../../../.tools/replay . && go test ./...
	npm ci --silent --ignore-scripts --prefix tests/live/verify
	$(BIN)/pytest -m live -n 0
	.tools/prometheus3/promtool check rules --lint=all --lint-fatal generated/prometheus/*.yaml
	$(BIN)/slo test --promtool .tools/prometheus3/promtool

demo: .venv/.dev peers ## real Prometheus, Alertmanager, registry and exporters with a simulated Stella Ops, until Ctrl-C
	$(BIN)/python -m tools.demo

preview: .venv/.dev peers ## pictures of the dashboards into docs/images, drawn by Grafana's own components (needs Node; minutes)
	tools/peers chromium
	$(BIN)/python -m tools.preview

bench: .venv/.dev peers ## compile time and memory, beside Sloth; rules and the gate on a real Prometheus
	tools/peers sloth
	$(BIN)/python -m tools.bench

bench-exporters: .venv/.dev peers .tools/registry ## scrapes, a thousand images beside cosign, a log of a million entries (needs Go; minutes)
	tools/peers cosign3
	$(BIN)/python -m tools.bench_scrape
	$(BIN)/python -m tools.bench_cosign
	$(BIN)/python -m tools.bench_rekor

faults: .venv/.dev peers ## ten minutes in which everything between the exporters and what they watch breaks (a real Rekor where Go built it)
	$(BIN)/python -m tools.faults

clean: ## remove everything that was installed or built here
	rm -rf .venv .tools .demo .bench
