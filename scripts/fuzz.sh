#!/usr/bin/env bash
# Fuzzes every target of the module, one after another: scripts/fuzz.sh [time per target, default 30s].
# A crash leaves its input under the package's testdata/fuzz: commit it, it is a test from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}

ran=0
packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
for package in $packages; do
  listed=$(go test -run '^$' -list '^Fuzz' "$package")
  for target in $(grep '^Fuzz' <<<"$listed" || true); do
    echo "fuzz: $package $target for $time"
    go test -run '^$' -fuzz "^${target}\$" -fuzztime "$time" -fuzzminimizetime 5x "$package"
    ran=$((ran + 1))
  done
done

if [ "$ran" -eq 0 ]; then
  echo "fuzz: no target found, though the module has some" >&2
  exit 1
fi
echo "fuzz: $ran targets, nothing found"
