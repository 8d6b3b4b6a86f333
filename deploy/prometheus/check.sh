#!/usr/bin/env bash
# check.sh: that Prometheus takes the rules, that each fires and keeps silent where it should (tests/), has a runbook whose
# commands exist, and asks for nothing but what `signet metrics list` names. SIGNET names a built program; else one is built.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here"
# shellcheck source=dashboards/tools.sh
. dashboards/tools.sh
with_prometheus
with_python promql
promtool check rules deploy/prometheus/rules/*.yaml
promtool test rules deploy/prometheus/tests/*.yaml
with_signet
"$signet" metrics list --format json >"$tools/metrics.json"
PYTHONPATH=dashboards "$python" deploy/prometheus/coverage.py "$tools/metrics.json" "$signet"
