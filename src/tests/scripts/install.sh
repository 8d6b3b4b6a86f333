#!/usr/bin/env bash
# install.sh PACKAGE...: Debian packages that the tests need, without starting any service that comes with them.
set -euo pipefail
command -v apt-get >/dev/null || {
  echo "missing: $*; install them (there is no apt-get here) and run again" >&2
  exit 1
}
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || {
    echo "missing: $*; run 'apt-get install $*' as root and try again" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "installing $*" >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@" >&2
