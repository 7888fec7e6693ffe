#!/usr/bin/env bash
# Fuzzes every target of the module, one after another: scripts/fuzz.sh [time per target, default 30s].
# A crash leaves its input under the package's testdata/fuzz: commit it, it is a test from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}

# fuzz PACKAGE TARGET: until Go 1.27, `go test` may fail at the end of -fuzztime with nothing but "context deadline exceeded", on a busy
# machine more often (https://go.dev/issue/75804). That alone is tried again; whatever else fails, fails.
fuzz() {
  local try
  for try in 1 2 3; do
    go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 5x "$1" 2>&1 | tee "$log" && return 0
    if ! grep -qx '    context deadline exceeded' "$log" || grep -qE 'Failing input|panic|DATA RACE|hung or terminated' "$log"; then
      return 1
    fi
    echo "fuzz: try $try of $2 ended by a fault of go test, not of the target" >&2
  done
  return 1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
ran=0
packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
for package in $packages; do
  listed=$(go test -run '^$' -list '^Fuzz' "$package")
  for target in $(grep '^Fuzz' <<<"$listed" || true); do
    echo "fuzz: $package $target for $time"
    fuzz "$package" "$target"
    ran=$((ran + 1))
  done
done

if [ "$ran" -eq 0 ]; then
  echo "fuzz: no target found, though the module has some" >&2
  exit 1
fi
echo "fuzz: $ran targets, nothing found"
