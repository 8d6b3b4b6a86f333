#!/usr/bin/env bash
# npm.sh DIR PACKAGE...: packages of npm in DIR/node_modules; a second call with the same list does nothing.
set -euo pipefail
dir=$1
shift
command -v node >/dev/null && command -v npm >/dev/null || bash "$(dirname "$0")/install.sh" nodejs npm
if [[ "$(cat "$dir/.signet-packages" 2>/dev/null || true)" != "$*" ]]; then
  mkdir -p "$dir"
  npm install --silent --no-audit --no-fund --no-package-lock --prefix "$dir" "$@"
  echo "$*" >"$dir/.signet-packages"
fi
