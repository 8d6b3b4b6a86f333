#!/usr/bin/env bash
# venv.sh DIR PACKAGE...: a Python environment in DIR with these packages; a second call with the same list does nothing.
set -euo pipefail
dir=$1
shift
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  "$(dirname "$0")/install.sh" python3 python3-venv
fi
if [[ "$(cat "$dir/.signet-packages" 2>/dev/null || true)" != "$*" ]]; then
  python3 -m venv "$dir"
  "$dir/bin/pip" install --quiet --disable-pip-version-check "$@"
  echo "$*" >"$dir/.signet-packages"
fi
