#!/usr/bin/env bash
# live.sh [--screens]: two replicas of Signet on a private PostgreSQL and Redis and a third on SQLite, all of a small load on
# them, and a real Prometheus with our rules that scrapes them. Then every query of every dashboard is asked as Grafana would
# ask it, and every metric that an alert looks at: none may be empty. What was found is drawn into the target folder, or
# with --screens into dashboards/screens. About two minutes with a built program.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
. dashboards/tools.sh
with_prometheus
with_python promql-live matplotlib==3.10.8
with_signet
export SIGNET=$signet SIGNET_LOADTEST=${SIGNET_LOADTEST:-$(dirname "$signet")/signet-loadtest}
screens=$target/observe-screens
[[ ${1:-} != --screens ]] || screens=dashboards/screens
bash src/tests/scripts/services.sh "$python" dashboards/live.py "$screens"
