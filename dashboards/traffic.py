"""A little of everything that people and programs do with Signet, so that every panel has something to show."""

import base64
import http.client
import json
import secrets
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CALLBACK = "http://127.0.0.1:9010/callback"
SCOPE = "openid offline read"


class Hook(BaseHTTPRequestHandler):
    """The operator's side of the wire: a token hook that mostly agrees, and a receiver of logout tokens."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status = 403 if b"refused-by-hook" in body else 500 if b"hook-fails" in body else 204 if self.path == "/hook" else 200
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def hooks():
    """Starts it; where it answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body or b"{}")

    def location(self):
        return self.headers.get("location", "")


class Peer:
    """One replica, as clients, browsers and operators call it."""

    def __init__(self, public, admin, gateway, callee):
        self.public, self.admin, self.gateway, self.callee = public, admin, gateway, callee

    def ask(self, base, method, path, body=None, headers=None):
        at = urlsplit(base)
        if at.scheme == "https":
            line = http.client.HTTPSConnection(at.hostname, at.port, timeout=30, context=ssl._create_unverified_context())
        else:
            line = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
        line.request(method, path, body, headers or {})
        answer = Answer(line.getresponse())
        line.close()
        return answer

    def operate(self, method, path, body=None):
        return self.ask(self.admin, method, path, json.dumps(body) if body is not None else None, {"content-type": "application/json"})

    def form(self, path, fields, client=None, base=None):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if client:
            headers["authorization"] = "Basic " + base64.b64encode(f"{client[0]}:{client[1]}".encode()).decode()
        return self.ask(base or self.public, "POST", path, urlencode(fields), headers)

    def introspect(self, token):
        return self.form("/admin/oauth2/introspect", {"token": token}, base=self.admin)

    def create(self, **members):
        client = {
            "client_id": f"c-{secrets.token_hex(6)}", "client_secret": secrets.token_hex(12), "scope": SCOPE,
            "redirect_uris": [CALLBACK], "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"], **members,
        }
        made = self.operate("POST", "/admin/clients", client)
        assert made.status == 201, made.body
        return client["client_id"], client["client_secret"]


class Browser:
    """Cookies, and no redirect followed by itself."""

    def __init__(self, peer):
        self.peer, self.cookies = peer, {}

    def go(self, url):
        at = urlsplit(url)
        path = at.path + ("?" + at.query if at.query else "")
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.peer.ask(self.peer.public, "GET", path, headers={"cookie": cookies})
        for line in answer.headers.get_all("set-cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer.location()

    def decide(self, page, kind, how, body):
        challenge = parse_qs(urlsplit(page).query)[f"{kind}_challenge"][0]
        query = urlencode({f"{kind}_challenge": challenge})
        self.peer.operate("GET", f"/admin/oauth2/auth/requests/{kind}?{query}")
        answer = self.peer.operate("PUT", f"/admin/oauth2/auth/requests/{kind}/{how}?{query}", body)
        return answer.json().get("redirect_to", "")

    def consent(self, page, how="accept", **more):
        page = self.go(self.decide(page, "login", "accept", {"subject": "a-user", "remember": True}))
        body = {"grant_scope": SCOPE.split(), **more} if how == "accept" else {"error": "access_denied"}
        return self.go(self.decide(page, "consent", how, body))


def authorize(client, **more):
    query = {"client_id": client[0], "redirect_uri": CALLBACK, "response_type": "code", "scope": SCOPE, "state": "s" * 16, "nonce": "n" * 16}
    return "/oauth2/auth?" + urlencode({**query, **more})


def flow(peer, client):
    """Signs in, gets tokens, uses them up, logs out."""
    browser = Browser(peer)
    back = browser.consent(browser.go(authorize(client)))
    code = parse_qs(urlsplit(back).query)["code"][0]
    exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    tokens = peer.form("/oauth2/token", exchange, client).json()
    peer.ask(peer.public, "GET", "/userinfo", headers={"authorization": "Bearer " + tokens["access_token"]})
    for _ in range(2):  # the second is a reuse
        peer.form("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}, client)
    peer.introspect(tokens["access_token"])
    rejected = Browser(peer)
    page = rejected.go(authorize(client))
    rejected.go(rejected.decide(page, "login", "reject", {"error": "access_denied"}))
    rejected = Browser(peer)
    rejected.consent(rejected.go(authorize(client)), "reject")
    page = browser.go("/oauth2/sessions/logout?" + urlencode({"id_token_hint": tokens["id_token"]}))
    if "logout_challenge" in page:
        browser.go(browser.decide(page, "logout", "accept", None))


def device(peer):
    client = peer.create(grant_types=[DEVICE, "refresh_token"], redirect_uris=[])
    device = peer.form("/oauth2/device/auth", {"scope": SCOPE}, client).json()
    poll = {"grant_type": DEVICE, "device_code": device["device_code"]}
    peer.form("/oauth2/token", poll, client)
    browser = Browser(peer)
    challenge = parse_qs(urlsplit(browser.go("/oauth2/device/verify")).query)["device_challenge"][0]
    path = "/admin/oauth2/auth/requests/device/accept?" + urlencode({"device_challenge": challenge})
    peer.operate("PUT", path, {"user_code": "AAAAAAAA"})
    browser.consent(browser.go(peer.operate("PUT", path, {"user_code": device["user_code"]}).json()["redirect_to"]))
    peer.form("/oauth2/token", poll, client)


def machines(peer, opaque, signed):
    for client in (opaque, signed):
        token = peer.form("/oauth2/token", {"grant_type": "client_credentials", "scope": "read"}, client).json()["access_token"]
        for _ in range(6):
            peer.introspect(token)
        peer.form("/admin/oauth2/introspect/batch", [("token", token), ("token", "another")], base=peer.admin)
        peer.ask(peer.gateway, "GET", "/authz/read", headers={"authorization": "Bearer " + token})
        peer.form("/oauth2/revoke", {"token": token}, client)
        peer.introspect(token)
    peer.form("/oauth2/token", {"grant_type": "client_credentials", "scope": "none-of-its"}, opaque)
    peer.form("/oauth2/token", {"grant_type": "client_credentials"}, (opaque[0], secrets.token_hex(8)))
    peer.form("/oauth2/token", {"grant_type": "client_credentials", "client_id": opaque[0], "client_secret": opaque[1]})
    peer.form("/oauth2/token", {"grant_type": "password"}, opaque)
    peer.introspect("ory_at_forged.forged")
    peer.introspect("no token at all")


def operator(peer, client):
    peer.operate("GET", "/admin/clients")
    peer.operate("GET", "/admin/clients/nobody")
    peer.operate("PATCH", f"/admin/clients/{client[0]}", [{"op": "replace", "path": "/client_name", "value": secrets.token_hex(4)}])
    peer.operate("POST", "/admin/keys/of-a-test", {"alg": "ES256", "kid": secrets.token_hex(6), "use": "sig"})
    for path in ("/health/ready", "/.well-known/jwks.json", "/.well-known/openid-configuration", "/nowhere"):
        peer.ask(peer.public, "GET", path)


def run(peer, until):
    """All of it again and again, until then; how often."""
    hook = peer.callee + "/logout"
    web = peer.create(backchannel_logout_uri=hook)
    refused, failing = (peer.create(client_id=f"{name}-{secrets.token_hex(4)}") for name in ("refused-by-hook", "hook-fails"))
    opaque, signed = peer.create(), peer.create(access_token_strategy="jwt")
    # A rotation: a new key is published at once and signs a moment later.
    peer.operate("POST", "/admin/keys/hydra.openid.id-token", {"alg": "RS256", "kid": secrets.token_hex(6), "use": "sig"})
    rounds = 0
    while time.time() < until:
        machines(peer, opaque, signed)
        flow(peer, web)
        if rounds % 3 == 0:
            device(peer)
        for client in (refused, failing):
            peer.form("/oauth2/token", {"grant_type": "client_credentials"}, client)
        operator(peer, opaque)
        rounds += 1
        time.sleep(0.3)
    return rounds
