#!/usr/bin/env bash
# Makes sure that nginx is there and runs the tests with nginx in front of the agent. Arguments go
# to "go test". They take six minutes: a part of them is silent for five, which is their point.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v nginx >/dev/null; then
	if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
		echo "nginx.sh: there is no nginx, and it is installed only as root on Debian; install it and call again" >&2
		exit 1
	fi
	apt-get update
	# At run level 1 the package does not start a server of its own.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx
fi
exec go test -tags nginx -run '^TestNginx' -v -parallel 64 -timeout 30m "$@" ./test/e2e/
