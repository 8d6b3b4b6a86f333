"""The commands of Hydra's five-minute tutorial, as they stand there, in the containers of quickstart.yml that play: a token for
a machine and its introspection; and a user's login, for whom a browser fills in the forms of the login and consent app."""

import http.cookiejar
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import engine  # noqa: E402

HYDRA = [*engine.CRUN, "exec", "hydra", "hydra"]
PUBLIC, ADMIN = "--endpoint=http://127.0.0.1:4444/", "--endpoint=http://127.0.0.1:4445/"
PAGE = "http://127.0.0.1:5555/"
USER = {"email": "foo@bar.com", "password": "foobar"}


def said(*words):
    return subprocess.run([*HYDRA, *words], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout


def client(*words):
    made = json.loads(said("create", "client", ADMIN, "--format", "json", *words))
    return ["--client-id", made["client_id"], "--client-secret", made["client_secret"]]


class Form(HTMLParser):
    """The one form of a page, filled in: every box is ticked, and of the buttons the first is pressed."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields = None, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        if tag == "form":
            self.action = of["action"]
        pressed = of.get("type") == "submit" and any(name == "submit" for name, _ in self.fields)
        if tag == "input" and of.get("name") and not pressed:
            self.fields.append((of["name"], USER.get(of["name"], of.get("value"))))


def browsed(url):
    """Follows a link and fills in whatever form comes, until a page has none; that page and how many forms there were."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    answer, forms = browser.open(url, timeout=30), 0
    while (form := Form(answer.read().decode())).action:
        body = urllib.parse.urlencode(form.fields).encode()
        answer = browser.open(urllib.parse.urljoin(answer.url, form.action), body, timeout=30)
        forms += 1
        assert forms < 5, f"the forms do not end: {answer.url}"
    return answer.url, forms


def there(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


def found(text, name):
    """What stands behind a name in the table that a command prints."""
    return next(line.split()[-1] for line in text.splitlines() if line.upper().replace(" ", "").startswith(name))


def machine():
    credentials = client("--grant-type", "client_credentials")
    token = found(said("perform", "client-credentials", PUBLIC, *credentials), "ACCESSTOKEN")
    about = json.loads(said("introspect", "token", "--format", "json-pretty", ADMIN, token))
    assert about["active"] and about["client_id"] == credentials[1], about


def user():
    credentials = client(
        "--grant-type", "authorization_code,refresh_token", "--response-type", "code,id_token",
        "--scope", "openid", "--scope", "offline", "--redirect-uri", PAGE + "callback",
    )
    scopes = ["--port", "5555", "--scope", "openid", "--scope", "offline"]
    command = [*HYDRA, "perform", "authorization-code", PUBLIC, *credentials, *scopes]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            engine.until("the page of the command is there", lambda: there(PAGE))
            at, forms = browsed(PAGE + "perform-flow")
            text = running.communicate(timeout=30)[0]
        finally:
            running.kill()
    assert at.startswith(PAGE + "callback") and forms == 2, f"{forms} forms, and then {at}"
    about = json.loads(said("introspect", "token", "--format", "json", ADMIN, found(text, "ACCESSTOKEN")))
    assert about["active"] and about["sub"] == USER["email"] and about["scope"] == "openid offline", about
    assert found(text, "REFRESHTOKEN").startswith("ory_rt_") and found(text, "IDTOKEN").count(".") == 2, text


def played(left_out):
    began = time.monotonic()
    machine()
    if "consent" in left_out:
        raise SystemExit("there is no login and consent app: CONSENT_APP names none")
    engine.until("the login and consent app listens", lambda: there("http://127.0.0.1:3000/"))
    user()
    print(f"✓ the tutorial's commands work: client-credentials, introspect, authorization-code, in {time.monotonic() - began:.1f} s")
