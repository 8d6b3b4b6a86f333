#!/usr/bin/env bash
# build-static.sh DIR [PROFILE]: Signet for this machine's architecture as one static binary, and around it the two
# folders that the image is made of: DIR/image and DIR/image-owned. PROFILE is cargo's: `dist`, which ships, unless given.
set -euo pipefail
out=$1
profile=${2:-dist}
root=$(cd "$(dirname "$0")/.." && pwd)
arch=$(uname -m)
target=$arch-unknown-linux-musl
flags=${target//-/_}

missing=()
command -v musl-gcc >/dev/null || missing+=(musl-tools)
[[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
if [[ ${#missing[@]} -gt 0 ]]; then
  as_root=()
  [[ $(id -u) -eq 0 ]] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
[[ -d $(rustc --print sysroot)/lib/rustlib/$target ]] || rustup target add "$target"

cd "$root"
# musl's own allocator is slow when many threads use it.
env "CC_$flags=musl-gcc" cargo build --locked --bin signet --features mimalloc --target "$target" --profile "$profile"
built=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
binary=$built/$target/${profile/#dev/debug}/signet
if readelf --program-headers "$binary" | grep -q INTERP; then
  echo "$binary is not static: it asks for a loader" >&2
  exit 1
fi

image=$out/image
rm -rf "$image" "$out/image-owned"
mkdir -p "$image/etc/ssl/certs" "$image/usr/bin" "$out/image-owned/data"
install -m 755 "$binary" "$image/signet"
ln -s ../../signet "$image/usr/bin/signet"
ln -s ../../signet "$image/usr/bin/hydra"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
echo 'signet:x:65532:65532:Signet:/data:/usr/sbin/nologin' >"$image/etc/passwd"
echo 'signet:x:65532:' >"$image/etc/group"
echo "$image"
