#!/usr/bin/env bash
# sync-files.sh [--check]: copies dashboards and Prometheus rules into the chart, for Helm packs no file from outside of it.
# With --check nothing is copied; it ends with 1 and the difference when the copies are not equal.
set -euo pipefail
cd "$(dirname "$0")/.."
code=0
copy() { # FROM TO PATTERN
  local fresh
  fresh=$(mktemp -d)
  find "$1" -maxdepth 1 -name "$3" -exec cp {} "$fresh" \; 2>/dev/null || true
  if [[ $check ]]; then
    mkdir -p "$2"
    diff -r "$fresh" "$2" || code=1
  else
    rm -rf "$2"
    mkdir -p "$2"
    find "$fresh" -type f -exec cp {} "$2" \;
  fi
  rm -rf "$fresh"
}
check=${1:+yes}
[[ -z ${1:-} || $1 == --check ]] || { echo "usage: sync-files.sh [--check]" >&2; exit 2; }
copy dashboards helm/signet/files/dashboards '*.json'
copy deploy/prometheus/rules helm/signet/files/rules '*.yaml'
[[ $code -eq 0 ]] || echo "the chart's files differ from dashboards/ and deploy/prometheus/rules/: run helm/sync-files.sh" >&2
exit $code
