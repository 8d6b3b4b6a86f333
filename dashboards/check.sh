#!/usr/bin/env bash
# check.sh: that the dashboards are what panels.py makes, that they keep the rules of lint.py, and that every metric and
# label in them is one of `signet metrics list`. SIGNET names a built program; else one is built.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
. dashboards/tools.sh
with_python promql
python3 dashboards/generate.py --check
with_signet
"$signet" metrics list --format json >"$tools/metrics.json"
"$python" dashboards/lint.py "$tools/metrics.json"
