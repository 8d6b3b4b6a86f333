#!/usr/bin/env bash
# sync-rules.sh [--check]: writes deploy/prometheus/rules into the overlay for production, for kustomize reads no file from
# outside of it. With --check nothing is written; it ends with 1 and the difference when the copy is not equal.
set -euo pipefail
cd "$(dirname "$0")/../.."
to=deploy/kustomize/overlays/prod/rules.yaml
[[ -z ${1:-} || $1 == --check ]] || { echo "usage: sync-rules.sh [--check]" >&2; exit 2; }

copied() {
  cat <<'HEAD'
# Written by deploy/kustomize/sync-rules.sh from deploy/prometheus/rules.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: signet
spec:
  groups:
HEAD
  sed -s '1,/^groups:$/d; s/^./  &/' deploy/prometheus/rules/*.yaml
}

if [[ ${1:-} ]]; then
  diff <(copied) "$to" || { echo "$to differs from deploy/prometheus/rules: run deploy/kustomize/sync-rules.sh" >&2; exit 1; }
else
  copied >"$to"
fi
