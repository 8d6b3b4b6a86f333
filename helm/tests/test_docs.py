"""README.md: its table of values is made from the comments of values.yaml."""

import os
import re
import subprocess

import yaml
from conftest import CHART, HELM, HERE, REPO

README = CHART / "README.md"
START, END = "<!-- values: made by helm/check.sh --update -->\n", "<!-- /values -->"


def described():
    """(path, default, text) of each value: lists and texts are leaves; a map is one when a comment describes it or it is empty."""
    path, comment, rows = [], [], []
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for line in (CHART / "values.yaml").read_text().splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment = [stripped[4:].strip()] if stripped.startswith("# --") else comment and [*comment, stripped[1:].strip()]
            continue
        found = re.match(r"( *)([A-Za-z_-][\w-]*):(.*)", line)
        if not found:
            comment = []
            continue
        path = path[: len(found[1]) // 2] + [found[2]]
        value = defaults
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        leaf = not isinstance(value, dict) or not value
        if comment or leaf:
            rows.append((".".join(path), value if leaf else "", " ".join(comment)))
        comment = []
    return rows


def shown(value):
    if value == "" or value is None:
        return ""
    return "`" + yaml.safe_dump(value, default_flow_style=True, width=1000).replace("\n...", "").strip() + "`"


def table():
    lines = ["| value | default | what it does |", "|---|---|---|"]
    lines += [f"| `{path}` | {shown(value)} | {text} |" for path, value, text in described()]
    return "\n".join(lines) + "\n"


def test_the_table_of_values(update):
    text = README.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    now = f"{before}{START}{table()}{END}{after}"
    if update:
        README.write_text(now)
        return
    assert text == now, "run helm/check.sh --update"


def test_every_value_is_described():
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert {path.split(".")[0] for path, _, _ in described()} == set(defaults)


def test_the_mapping_names_every_key_of_ory_that_the_chart_knows():
    text = README.read_text()
    helper = (CHART / "templates/_ory.tpl").read_text()
    refused = re.findall(r'^  "((?:hydra|deployment|job|cronjob)\.[\w.]+)"', helper, re.M)
    assert len(refused) > 10
    missing = [key for key in refused if key.split(".")[-1] not in text]
    assert not missing


def test_a_release_is_signed_as_it_says(tmp_path):
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    env = {**os.environ, "GNUPGHOME": str(home), "KEY": "Signet's tests", "PATH": f"{os.path.dirname(HELM)}:{os.environ['PATH']}"}

    def run(command):
        return subprocess.run(["bash", "-euc", command], cwd=tmp_path, env=env, check=True, capture_output=True, text=True, timeout=60).stdout

    (tmp_path / "helm").symlink_to(REPO / "helm")
    releasing = README.read_text().split("## Releasing")[1]
    try:
        run('gpg --batch --quiet --pinentry-mode loopback --passphrase "" --quick-gen-key "$KEY" rsa2048 sign never')
        run(re.search(r"`(gpg --export-secret-keys .*?)`", releasing)[1].replace("gpg", "gpg --batch --pinentry-mode loopback --passphrase ''", 1))
        assert "Signed by: Signet's tests" in run(re.search(r"```bash\n(.*?)```", releasing, re.S)[1])
    finally:
        run("gpgconf --kill all")


def test_files_named_exist():
    for name in re.findall(r"`(ci/[\w.-]+)`", README.read_text()):
        assert (CHART / name).exists(), name
    assert HERE.exists()
