"""user.py HOME ADMIN: a user with a browser, and the login and consent app that it meets: visits the page of `token user`,
starts the flow, accepts login and consent on the administrative listener, and comes back with the code."""

import http.cookiejar
import json
import sys
import time
import urllib.parse
import urllib.request

home, admin = sys.argv[1:]


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), Stay())


def visit(url):
    """The answer's status and where it sends on to."""
    try:
        with browser.open(url) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get("Location", "")


def accept(kind, challenge, answer):
    url = f"{admin}/admin/oauth2/auth/requests/{kind}/accept?{kind}_challenge={urllib.parse.quote(challenge)}"
    request = urllib.request.Request(
        url, json.dumps(answer).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request) as said:
        return json.load(said)["redirect_to"]


for _ in range(100):
    try:
        assert visit(home) == (200, "")
        break
    except OSError:  # nobody listens yet, or only the engine does
        time.sleep(0.1)
_, at = visit(home + "perform-flow")
for _ in range(10):
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(at).query)
    if "login_challenge" in asked:
        at = accept("login", asked["login_challenge"][0], {"subject": "foo@bar.com"})
    elif "consent_challenge" in asked:
        at = accept("consent", asked["consent_challenge"][0], {"grant_scope": ["openid", "offline"]})
    else:
        code, at = visit(at)
        if code == 200:
            break
else:
    raise SystemExit("the flow does not end")
