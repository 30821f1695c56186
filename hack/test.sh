#!/usr/bin/env bash
# Runs the unit and integration tests under the race detector. Arguments go to "go test".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Two packages at a time: each integration package runs a control plane of its own.
exec go test -race -p 2 "$@" ./...
