# Sourced from the project's folder by the checks here and in deploy/prometheus: where tools are, installed when missing.
target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
mkdir -p "$tools"

# with_python NAME PACKAGE...: the Python of an environment of that name, in python.
with_python() {
  bash src/tests/scripts/venv.sh "$tools/$1" promql-parser==0.12.0 pyyaml==6.0.3 "${@:2}"
  python=$tools/$1/bin/python
}

# with_signet: the built program, in signet.
with_signet() {
  signet=${SIGNET:-$target/debug/signet}
  [[ -n ${SIGNET:-} ]] || cargo build --quiet --locked --workspace --bins
}

# with_loadtest: the load test's program, in loadtest.
with_loadtest() {
  loadtest=${SIGNET_LOADTEST:-$(dirname "$signet")/signet-loadtest}
  [[ -x $loadtest ]] || {
    cargo build --quiet --locked --package signet-loadtest
    loadtest=$target/debug/signet-loadtest
  }
}

# with_prometheus: prometheus and promtool, without starting the service that comes with them.
with_prometheus() {
  command -v promtool >/dev/null && command -v prometheus >/dev/null || bash src/tests/scripts/install.sh prometheus
}
