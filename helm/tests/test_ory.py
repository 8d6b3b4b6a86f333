"""Every key of Ory's chart, as ory_values.yaml lists them: none is dropped in silence."""

import re

import pytest
import yaml
from conftest import CHART, HERE, helm, template, values
from kubelet import write

KEYS = yaml.safe_load((HERE / "ory_values.yaml").read_text())
README = (CHART / "README.md").read_text()


def laid(path, value):
    """The key as values; a value with the key's own first word in it brings what must change with it."""
    names = path.split(".")
    if isinstance(value, dict) and names[0] in value:
        return value
    for name in reversed(names):
        value = {name: value}
    return value


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ory")
    base = ("-f", values("ory"), "-f", write(folder / "base.yaml", KEYS["base"]))
    return lambda path=None, value=None, ok=True: template(
        *base, *(("-f", write(folder / "key.yaml", laid(path, value))) if path else ()), ok=ok)


@pytest.fixture(scope="module")
def plain(rendered):
    return rendered()


@pytest.mark.parametrize("path", KEYS["mapped"])
def test_a_mapped_key_has_an_effect(rendered, plain, path):
    assert rendered(path, KEYS["mapped"][path]) != plain


@pytest.mark.parametrize("path", KEYS["refused"])
def test_a_refused_key_is_named(rendered, path):
    said = rendered(path, KEYS["refused"][path], ok=False)
    assert (f"{path} is of Ory's chart" in said or "secrets.generate=true needs a look" in said
            or f"additional properties '{path}' not allowed" in said), said


@pytest.mark.parametrize("path", KEYS["idle"])
def test_an_idle_key_has_no_effect(rendered, plain, path):
    assert rendered(path, KEYS["idle"][path]) == plain


def test_idle_keys_are_named(tmp_path):
    """In the README's last row, by themselves or with all that is beside them; in the notes of an install."""
    row = next(line for line in README.splitlines() if line.endswith("`clients` does without it |"))
    named = set(re.findall(r"`([\w.-]+)`", row))
    files = [arg for path, value in KEYS["idle"].items() for arg in ("-f", write(tmp_path / f"{path}.yaml", laid(path, value)))]
    notes = helm("install", "rel", CHART, "--dry-run=client", "-f", values("ory"), *files)
    said = set(re.findall(r"[\w-]+(?:\.[\w-]+)*", notes.split("have no effect here:")[1].splitlines()[0]))
    for path in KEYS["idle"]:
        top = path.split(".")[0]
        assert path in named or top in named, f"README: {path}"
        assert path in said or top in said, f"notes: {path}"


def test_the_list_and_the_schema_know_the_same_keys():
    """Keys that only Ory's chart has; those of `job` and `cronjob` are free in the schema."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]
    listed = {path for kind in ("mapped", "refused", "idle") for path in KEYS[kind]}
    for top in ("hydra", "secret", "deployment"):
        missing = [name for name in schema[top]["properties"] if not any(path.startswith(f"{top}.{name}") for path in listed)]
        assert not missing, (top, missing)
