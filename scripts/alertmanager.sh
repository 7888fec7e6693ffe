#!/usr/bin/env bash
# Builds the Alertmanager of tools/alertmanager as bin/alertmanager, for the tests: it needs its Go module and nothing else. A
# second run takes a second or two.
set -euo pipefail
cd "$(dirname "$0")/.."
for try in 1 2 3; do
  go mod download -modfile=tools/alertmanager/go.mod && break
  if [ "$try" -eq 3 ]; then
    echo "alertmanager: the modules of tools/alertmanager cannot be fetched" >&2
    exit 1
  fi
  sleep $((try * 5))
done
CGO_ENABLED=0 go build -modfile=tools/alertmanager/go.mod -ldflags="-s -w" -o bin/alertmanager \
  github.com/prometheus/alertmanager/cmd/alertmanager
