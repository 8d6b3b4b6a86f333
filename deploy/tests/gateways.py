"""gateways.py: every file in deploy/gateways is run by a test of cargo's or has a schema beside this, or is Istio's, whose
definitions resources.mjs has. Those that no test runs say NOT TESTED, and only those; the README's table says the same."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE, SCHEMAS = ROOT / "deploy/gateways", ROOT / "deploy/tests/gateways"
RUN = (ROOT / "src/tests/gateways/programs.rs").read_text()
README = (HERE / "README.md").read_text()
faults = []


def must(true, what):
    if not true:
        faults.append(what)


def run(name):
    """Whether a test names it, in one word or as folder/{name}.conf and the name."""
    folder, file = name.split("/")
    stem, _, kind = file.partition(".")
    return f'"{name}"' in RUN or (f'"{folder}/{{name}}.{kind}"' in RUN and f'"{stem}"' in RUN)


def table():
    """Whether the README says that it is tested, by the name of a folder or of a file in it."""
    rows = README.partition("| gateway | tested |")[2].partition("\n\n")[0]
    return {name: word.strip() != "no" for name, word in re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", rows, re.M)}


told = table()
names = [str(it.relative_to(HERE)) for it in sorted(HERE.glob("*/*"))]
for name in names:
    folder = name.split("/")[0]
    marked = "NOT TESTED" in (HERE / name).read_text()
    must(marked != run(name), f"{name}: {'a test runs it, and it says NOT TESTED' if marked else 'no test runs it, which it does not say'}")
    must(told.get(name, told.get(folder)) == run(name), f"README.md: the row of {name}")
    schema = (SCHEMAS / name).with_suffix(".json")
    must(run(name) or schema.exists() or folder == "istio", f"{name}: no test runs it and there is no {schema.relative_to(ROOT)}")
must({it.split("/")[0] for it in told} == {it.split("/")[0] for it in names}, "README.md: the table is not of these folders")
must(not [it for it in HERE.rglob("*") if it.is_file() and it.name != "README.md" and str(it.relative_to(HERE)) not in names], "a file in another depth")
if faults:
    raise SystemExit("\n".join(faults))
print(f"✓ {len(names)} files of gateways, {sum(run(name) for name in names)} run by tests, the others marked")
