#!/usr/bin/env bash
# live.sh [--screens]: two replicas of Signet on a private PostgreSQL and Redis and a third on SQLite, all of a small load on
# them, and a real Prometheus with our rules that scrapes them. Then every query of every dashboard is asked as Grafana would
# ask it, and every metric that an alert looks at: none may be empty. With --screens what was found is drawn into
# dashboards/screens. About a minute and a half with built programs.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
. dashboards/tools.sh
with_prometheus
if [[ ${1:-} == --screens ]]; then with_python promql-live matplotlib==3.10.8; else with_python promql; fi
with_signet
with_loadtest
export SIGNET=$signet SIGNET_LOADTEST=$loadtest
bash src/tests/scripts/services.sh "$python" dashboards/live.py ${1:+dashboards/screens}
