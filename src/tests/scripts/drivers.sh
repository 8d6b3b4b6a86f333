#!/usr/bin/env bash
# drivers.sh DIR: unmodified client libraries of other ecosystems, to drive Signet as their users would: packages of npm
# and pip in DIR; Chromium and Apache with mod_auth_openidc from Debian. DIR/bin/chromium is the browser.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
wanted=$here/../drivers/package.json
mkdir -p "$dir/bin"

find_chromium() {
  command -v chromium-headless-shell || command -v chromium || command -v google-chrome || true
}

missing=()
command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
[[ -n $(find_chromium) ]] || missing+=(chromium-headless-shell)
[[ -x /usr/sbin/apache2 && -e /usr/lib/apache2/modules/mod_auth_openidc.so ]] || missing+=(apache2 libapache2-mod-auth-openidc)
[[ ${#missing[@]} -eq 0 ]] || bash "$here/install.sh" "${missing[@]}"
ln -sfn "$(find_chromium)" "$dir/bin/chromium"

bash "$here/venv.sh" "$dir/python" authlib==1.9.6 requests==2.34.2
if ! cmp -s "$wanted" "$dir/node/.signet-packages"; then
  rm -rf "$dir/node"
  mkdir -p "$dir/node"
  cp "$wanted" "$dir/node/"
  (cd "$dir/node" && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts)
  cp "$wanted" "$dir/node/.signet-packages" # last, so that an install that broke off is made again
fi
