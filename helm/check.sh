#!/usr/bin/env bash
# check.sh [PYTEST ARGUMENT...]: everything that can be checked of the chart without a cluster, with the real helm (4, and
# the oldest 3), kubeconform, promtool and checkov. They are installed once under target/tools; Go, Node and Python are taken from PATH or installed too.
#   --update   writes the golden files and the README's table of values anew (read the diff)
# SIGNET_BIN is the program that checks rendered configurations; else a built one under target/ is taken, or one is built.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
scripts=src/tests/scripts

HELM=v4.3.1
HELM_OLDEST=v3.18.6 # of those that the README names
KUBECONFORM=v0.7.0
PYTHON=(pyyaml==6.0.3 pytest==8.4.2 jsonschema==4.25.1 kubernetes-validate==1.37.0)
CHECKOV=3.3.30
MODELS=(@kubernetes-models/{prometheus-operator@6.0.0,gateway-api@2.0.0,external-secrets@2.0.0,keda@2.0.0} typescript@5.9.3)

# once NAME VERSION COMMAND...: runs the command unless it did so before for this version.
once() {
  local stamp=$tools/.helm-$1
  [[ "$(cat "$stamp" 2>/dev/null)" == "$2" ]] && return
  echo "installing $1 $2" >&2
  "${@:3}"
  echo "$2" >"$stamp"
}

go_install() { GOBIN=${2:-$tools/bin} bash $scripts/go.sh "$tools/go-venv" go install "$1"; }

mkdir -p "$tools"
once python "${PYTHON[*]}" bash $scripts/venv.sh "$tools/helm-venv" "${PYTHON[@]}"
once schemas "${PYTHON[3]}" "$tools/helm-venv/bin/python" helm/tests/schemas.py "$tools/helm-schemas"
once checkov $CHECKOV bash $scripts/venv.sh "$tools/checkov-venv" "checkov==$CHECKOV"
bash $scripts/npm.sh "$tools/helm-npm" "${MODELS[@]}"
once kubeconform $KUBECONFORM go_install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM"
once helm $HELM go_install "helm.sh/helm/v4/cmd/helm@$HELM"
once helm3 $HELM_OLDEST go_install "helm.sh/helm/v3/cmd/helm@$HELM_OLDEST" "$tools/helm3"
command -v promtool >/dev/null || bash $scripts/install.sh prometheus
command -v gpg >/dev/null || bash $scripts/install.sh gnupg

if [[ -z ${SIGNET_BIN:-} ]]; then
  cargo build --locked --bin signet
  SIGNET_BIN=$target/debug/signet
fi
export SIGNET_BIN SIGNET_TOOLS=$tools
exec bash $scripts/services.sh "$tools/helm-venv/bin/pytest" -p no:cacheprovider -rf --tb=short -v helm/tests "$@"
