SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= v3.0.0-dev
version_package := k8s.io/component-base/version
LDFLAGS := -s -w -X $(version_package).gitVersion=$(VERSION) -X $(version_package).gitMajor=3 -X $(version_package).gitMinor=0 \
	-X k8s.io/client-go/pkg/version.gitVersion=$(VERSION)
SANDBOX_DIR ?= $(CURDIR)/.sandbox
SANDBOX_NODES ?= 0
SANDBOX_ARGS ?=
TEST_TIMEOUT ?= 30m
BENCH_DIR ?= $(CURDIR)/.bench

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the programs into bin/
	go build -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...

.PHONY: test
test: verify bin/sandbox ## Run every test: verify, then unit and integration tests under the race detector
	bin/sandbox programs
	hack/test.sh -timeout $(TEST_TIMEOUT)

.PHONY: conformance
conformance: ## Run Kubernetes conformance specs directly and through the endpoint, and compare (CONFORMANCE_ARGS=--focus=...)
	go build -o bin/conformance ./test/conformance/cmd/conformance
	@bin/conformance $(CONFORMANCE_ARGS)

.PHONY: nginx
nginx: bin/sandbox ## Run kubectl's list through nginx, as the Ingress manifest sets it up
	bin/sandbox programs
	hack/nginx.sh

.PHONY: verify
verify: ## Check generated code, lint and architecture
	hack/verify-codegen.sh
	hack/lint.sh

.PHONY: generate
generate: ## Write generated code anew
	hack/update-codegen.sh
	UPDATE_REFERENCE=1 go test -run TestReference ./pkg/cli

.PHONY: bench
bench: ## Measure the endpoint against the API server itself (BENCH_ARGS="--quick …"; BENCH_DIR for results)
	@go build -o bin/bench ./test/bench/cmd/bench
	@mkdir -p $(BENCH_DIR)
	@bin/bench --json $(BENCH_DIR)/bench.json --profiles $(BENCH_DIR)/profiles $(BENCH_ARGS)

.PHONY: distance
distance: ## Measure the direct way against the one through the centre, 90 ms on each hop (DISTANCE_ARGS="--delay 50ms")
	@go build -o bin/distance ./test/distance/cmd/distance
	@bin/distance $(DISTANCE_ARGS)

.PHONY: demo
demo: bin/sandbox ## Go the documented way once: a centre, two clusters, loft and kubectl
	@bin/sandbox demo

.PHONY: sandbox
sandbox: bin/sandbox ## Run a centre and two connected clusters until Ctrl-C (SANDBOX_NODES=n for nodes; SANDBOX_ARGS=--single: one cluster alone)
	@bin/sandbox up --dir $(SANDBOX_DIR) --nodes $(SANDBOX_NODES) $(SANDBOX_ARGS)

.PHONY: sandbox-down
sandbox-down: bin/sandbox ## End the sandbox
	@bin/sandbox down --dir $(SANDBOX_DIR)

.PHONY: chaos
chaos: bin/sandbox ## Break things around the agent under load (CHAOS_ARGS="--short --rows=killed --json")
	@bin/sandbox programs
	@go run ./test/chaos/cmd/chaos $(CHAOS_ARGS)

.PHONY: bin/sandbox
bin/sandbox:
	@go build -o bin/sandbox ./test/sandbox/cmd/sandbox
