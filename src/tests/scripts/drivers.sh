#!/usr/bin/env bash
# drivers.sh DIR: unmodified client libraries of other ecosystems, to drive Signet as their users would.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir/node"
bash "$here/venv.sh" "$dir/python" authlib==1.9.6 requests==2.34.2
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  bash "$here/install.sh" nodejs npm
fi
if ! cmp -s "$here/../drivers/package.json" "$dir/node/package.json"; then
  rm -rf "$dir/node/node_modules"
fi
if [[ ! -d $dir/node/node_modules/@ory/hydra-client ]]; then
  cp "$here/../drivers/package.json" "$dir/node/"
  (cd "$dir/node" && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts)
fi
