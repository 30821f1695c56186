#!/usr/bin/env bash
# Runs golangci-lint with .golangci.yaml over the module. Arguments go to "golangci-lint run":
#   hack/lint.sh --fix
# The first run builds golangci-lint, which takes minutes; the Go build cache keeps it.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

exec go tool -modfile=hack/tools/lint/go.mod golangci-lint run "$@" ./...
