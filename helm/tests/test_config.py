"""The rendered configuration, read by the real program with the files and variables that the pod would have."""

import base64
import json
import os
import subprocess

import pytest
import yaml
from conftest import CASES, SIGNET, objects, of_kind, one, server


def environment(case, folder):
    docs = objects(case)
    container = next(each for each in server(docs)[1]["containers"] if each["name"] == "signet")
    secrets = {key: base64.b64decode(value).decode() for doc in of_kind(docs, "Secret") for key, value in doc["data"].items()}
    samples = {"dsn": "postgres://db/signet", "redis-url": "redis://cache:6379", "cookie": "c" * 20 + "0123456789abcdef",
               "system": "s" * 20 + "0123456789abcdef"}
    keys = {"dsn": "dsn", "redis-url": "redisUrl", "cookie": "secretsCookie", "system": "secretsSystem"}
    env = {"PATH": os.environ["PATH"]}
    for each in container.get("env", []):
        if each["name"].endswith("_FILE"):
            file = each["value"].split("/")[-1]
            # Ours are lists, one secret a line.
            (folder / file).write_text(secrets.get(keys[file], samples[file]))
            env[each["name"]] = str(folder / file)
        elif "value" in each:
            env[each["name"]] = each["value"]
    config = one([doc for doc in docs if "signet.yaml" in doc.get("data", {})], "ConfigMap")["data"]["signet.yaml"]
    (folder / "signet.yaml").write_text(config)
    return env, folder / "signet.yaml"


@pytest.mark.parametrize("case", CASES)
def test_the_program_takes_the_configuration(case, tmp_path):
    env, path = environment(case, tmp_path)
    done = subprocess.run([SIGNET, "config", "validate", "-c", path], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_settings_arrive(tmp_path):
    env, path = environment("postgres-redis", tmp_path)
    said = subprocess.run([SIGNET, "config", "status", "-c", path, "--format", "json"], env=env, capture_output=True, text=True, check=True).stdout
    status = json.loads(said)
    rows = {row["key"]: row for row in (status if isinstance(status, list) else status["items"])}
    expected = {"serve.shutdown.drain_delay": "5s", "serve.shutdown.timeout": "25s", "introspection.local_entries": "1000000",
                "urls.self.issuer": "https://auth.example.com/", "serve.admin.host": "0.0.0.0", "log.format": "json"}
    for key, value in expected.items():
        assert (rows[key]["value"], rows[key]["source"].split()[0]) == (value, "file"), rows[key]
    for key, variable in {"dsn": "DSN_FILE", "secrets.system": "SECRETS_SYSTEM_FILE", "redis.url": "REDIS_URL_FILE"}.items():
        assert rows[key]["source"] == f"environment {variable}"
