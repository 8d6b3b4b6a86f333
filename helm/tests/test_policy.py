"""checkov over everything rendered: no failure that is not explained in checkov.yaml."""

import json
import re
import subprocess

import yaml
from conftest import CASES, HERE, TOOLS, objects


def test_checkov(tmp_path):
    for case in CASES:
        docs = [doc for doc in objects(case) if not doc["metadata"]["name"].startswith("signet-from-vault")]
        (tmp_path / f"{case}.yaml").write_text(yaml.safe_dump_all(docs))
    done = subprocess.run([TOOLS / "checkov-venv/bin/checkov", "-d", tmp_path, "--framework", "kubernetes", "-o", "json", "--quiet",
                           "--skip-download", "--compact"], capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 500 and report["summary"]["parsing_errors"] == 0, report["summary"]
    rules = yaml.safe_load((HERE / "checkov.yaml").read_text())
    used, unexplained = set(), []
    for failure in report["results"]["failed_checks"]:
        kind, _, rest = failure["resource"].partition(".")
        case = failure["file_path"].strip("/").removesuffix(".yaml")
        where = f"{case}/{kind}/{rest.split('.', 1)[-1]}"
        hit = [index for index, rule in enumerate(rules) if rule["check"] == failure["check_id"] and re.fullmatch(rule["in"], where)]
        used.update(hit)
        if not hit:
            unexplained.append(f"{failure['check_id']} {where}: {failure['check_name']}")
    assert not unexplained, "\n".join(unexplained)
    assert used == set(range(len(rules))), f"no longer needed: {[rule for index, rule in enumerate(rules) if index not in used]}"
    print(f"checkov: {report['summary']['passed']} passed, {report['summary']['failed']} explained")
