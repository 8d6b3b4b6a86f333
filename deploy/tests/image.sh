#!/usr/bin/env bash
# image.sh BUILT: the image's second stage, made by buildah from what build-static.sh has put in BUILT, is what it says: a
# static binary and next to nothing else. BUILT/run holds it unpacked afterwards, for those who run it.
set -euo pipefail
built=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
MOST_BYTES=$((30 * 1024 * 1024)) # of a binary of the profile `dist`; others are larger
[[ $(id -u) -eq 0 ]] || { echo "buildah needs root here" >&2; exit 1; }
missing=()
command -v buildah >/dev/null || missing+=(buildah)
command -v jq >/dev/null || missing+=(jq)
[[ ${#missing[@]} -eq 0 ]] || bash "$root/src/tests/scripts/install.sh" "${missing[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/context"
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
buildah bud --quiet --isolation chroot --format docker --target runtime --build-context build="$built" \
  --file "$root/deploy/Dockerfile" --tag signet "$work/context"
rm -rf "$built/run"
mkdir "$built/run"
buildah inspect --type image signet | jq .Docker.config >"$built/run/config.json"
cp -a "$(buildah mount "$(buildah from --pull-never signet)")" "$built/run/rootfs"
cd "$built/run"

says() {
  jq -e "$1" config.json >/dev/null || { echo "the image's configuration is not: $1" >&2; jq . config.json >&2; exit 1; }
}
says '.User == "65532:65532" and .Entrypoint == ["/signet"] and .Cmd == ["serve", "all"]'
says '.StopSignal == "SIGTERM" and .Healthcheck.Test == ["CMD", "/signet", "healthcheck"]'
says '(.ExposedPorts | keys) == ["4444/tcp", "4445/tcp"] and (.Volumes | keys) == ["/data"]'
says '.Env | index("SERVE_ADMIN_HOST=0.0.0.0")'
says '.Labels["org.opencontainers.image.licenses"] == "Apache-2.0"'

# No shell, no package manager, no library: these files and no others.
diff - <(cd rootfs && find . ! -type d -printf '%P\n' | LC_ALL=C sort) <<'FILES'
etc/group
etc/passwd
etc/ssl/certs/ca-certificates.crt
signet
usr/bin/hydra
usr/bin/signet
FILES
# All of it belongs to root and is closed to others' hands, but the folder for SQLite.
strange=$(find rootfs ! -type l \( ! -user 0 -o -perm /022 \) ! -path rootfs/data)
[[ -z $strange ]] || { echo "not root's alone: $strange" >&2; exit 1; }
[[ $(stat -c '%u:%g' rootfs/data) == 65532:65532 ]] || { echo "/data is not the user's" >&2; exit 1; }

bytes=$(du -sb rootfs | cut -f1)
printf '✓ the image: %d kB, %d kB compressed\n' $((bytes / 1024)) $(($(tar -C rootfs -cf - . | gzip -1 | wc -c) / 1024))
[[ ${2:-dist} != dist || $bytes -le $MOST_BYTES ]] || { echo "more than $MOST_BYTES bytes" >&2; exit 1; }
