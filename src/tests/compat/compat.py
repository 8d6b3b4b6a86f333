#!/usr/bin/env python3
"""Ask a Hydra-compatible server a fixed list of questions and write down its answers.

    compat.py record --public URL --admin URL -o FILE [--only PREFIX] [--groups "health meta ..."]
    compat.py diff RECORDED FILE [--allow ALLOWED] [--groups "health meta ..."]

A group is what stands before the first slash of an id. With groups that need no user's login, asking stops where
the login flow begins, and `diff` looks at these groups alone.

`record` writes one JSON object per exchange: an id, the request, and the answer with everything that
changes from run to run replaced by a typed placeholder (<uuid>, <ory_at>, <time>, <jwt {...}> ...), so
that two recordings of the same behaviour are equal. `diff` compares two recordings id by id and prints
what differs, field by field; ALLOWED is a JSON file {id or "id path": reason} of differences that are meant.
Standard library only. The server must run with --dev, DCR enabled, pairwise and public subjects, and the
login, consent, logout, device and error URLs at http://127.0.0.1:9020/{login,consent,logout,device,error,...}
(nothing needs to listen there: this script plays the app).
"""
import argparse, base64, fnmatch, hashlib, http.client, json, os, re, sys, time
from urllib.parse import urlencode, urlsplit, parse_qsl, quote

# ----------------------------------------------------------------- placeholders
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
ORY = re.compile(r"\bory_(at|rt|ac|dc)_[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)?")
HEX32 = re.compile(r"\b[0-9a-f]{32}\b")
TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*")
LONG = re.compile(r"[A-Za-z0-9_\-]{60,}={0,2}(%3D){0,2}")
NUM_TIME_KEYS = {"exp", "iat", "nbf", "auth_time", "rat", "updated_at_unix", "requested_at"}
SECRET_KEYS = {"client_secret", "user_code", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y", "x5t", "at_hash", "c_hash", "jti", "kid"}


def b64json(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def jwt_shape(m):
    try:
        h, p, _ = m.group(0).split(".")
        return "<jwt " + json.dumps({"header": norm(b64json(h)), "claims": norm(b64json(p))}, sort_keys=True) + ">"
    except Exception:
        return "<jwt?>"


class Names:
    """Values this run made up (client ids, states ...) and the stable names that stand for them."""
    def __init__(self): self.map = {}
    def name(self, value, label): self.map[value] = "<" + label + ">"; return value
    def hide(self, s):
        for v in sorted(self.map, key=len, reverse=True):
            if v: s = s.replace(v, self.map[v]).replace(quote(v, safe=""), self.map[v])
        return s


NAMES = Names()


def norm_str(s):
    s = NAMES.hide(s)
    s = JWT.sub(jwt_shape, s)
    s = ORY.sub(lambda m: "<ory_%s>" % m.group(1), s)
    s = UUID.sub("<uuid>", s)
    s = HEX32.sub("<hex32>", s)
    s = TIME.sub("<time>", s)
    s = LONG.sub("<opaque>", s)
    return re.sub(r"(user_code=)[A-Za-z0-9]{6,12}\b", r"\1<user_code>", s)


def round_up(seconds):
    """A second or two may have passed since the token was issued."""
    return seconds + 60 - seconds % 60 if seconds % 60 > 55 else seconds


def html_shape(page):
    """Of a page only what a program could rely on: its title and its form."""
    title = re.search(r"<title>(.*?)</title>", page, re.S | re.I)
    form = re.search(r"<form[^>]*\baction=[\"']([^\"']*)", page, re.I)
    inputs = re.findall(r"<input[^>]*\bname=[\"']([^\"']*)[\"'][^>]*\bvalue=[\"']([^\"']*)", page, re.I)
    return {"title": title and " ".join(title[1].split()), "form": form and norm_str(form[1]), "inputs": sorted((k, norm_str(v)) for k, v in inputs)}


def norm(v, key=None):
    if isinstance(v, dict): return {k: norm(v[k], k) for k in v}
    if isinstance(v, list): return [norm(x, key) for x in v]
    if isinstance(v, str):
        if key in SECRET_KEYS and v: return "<%s:%d>" % (key, len(v)) if key == "client_secret" else "<%s>" % key
        return norm_str(v)
    if isinstance(v, bool) or v is None: return v
    if isinstance(v, (int, float)) and key in NUM_TIME_KEYS: return "<unix>"
    if isinstance(v, int) and key == "expires_in": return round_up(v)
    return v


def in_order(body):
    """A list on its own has no promised order."""
    return sorted(body, key=lambda x: json.dumps(x, sort_keys=True)) if isinstance(body, list) else body


def norm_url(u):
    s = urlsplit(u)
    q = sorted((k, norm_str(v)) for k, v in parse_qsl(s.query, keep_blank_values=True))
    f = sorted((k, str(round_up(int(v))) if k == "expires_in" else norm_str(v)) for k, v in parse_qsl(s.fragment, keep_blank_values=True))
    # RFC 9207: a parameter of its own, so that it can be allowed without hiding the others.
    iss = sorted(v for k, v in q + f if k == "iss")
    q, f = [p for p in q if p[0] != "iss"], [p for p in f if p[0] != "iss"]
    return {"url": norm_str("%s://%s%s" % (s.scheme, s.netloc, s.path)) if s.netloc else norm_str(s.path), "query": q, **({"fragment": f} if f else {}), **({"iss": iss} if iss else {})}


KEEP = {"content-type", "cache-control", "pragma", "location", "www-authenticate", "link", "allow", "access-control-allow-origin"}

# ----------------------------------------------------------------- exchanges
class Agent:
    """One browser-like cookie jar plus direct calls; each call is written down."""
    def __init__(self, public, admin, out, only=None, groups=None):
        self.groups = groups
        self.base = {"public": public.rstrip("/"), "admin": admin.rstrip("/")}
        self.out, self.only, self.jar, self.seen = out, only, {}, set()
        NAMES.name(self.base["public"], "public"); NAMES.name(self.base["admin"], "admin")

    def fresh_browser(self): self.jar = {}

    def call(self, id, side, method, path, *, form=None, js=None, body=None, headers=None, auth=None, cookies=False, keep_body=True):
        url = path if "://" in path else self.base[side] + path
        s = urlsplit(url)
        h = {k: v for k, v in (headers or {}).items()}
        if form is not None: body = urlencode(form, doseq=True); h.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if js is not None: body = json.dumps(js); h.setdefault("Content-Type", "application/json")
        if auth: h["Authorization"] = "Basic " + base64.b64encode(("%s:%s" % (quote(auth[0], safe=""), quote(auth[1], safe=""))).encode()).decode()
        if cookies and self.jar: h["Cookie"] = "; ".join("%s=%s" % kv for kv in self.jar.items())
        c = http.client.HTTPConnection(s.hostname, s.port or 80, timeout=30)
        c.request(method, s.path + ("?" + s.query if s.query else ""), body=body, headers=h)
        r = c.getresponse(); raw = r.read().decode("utf-8", "replace"); c.close()
        set_cookies, ended = [], []
        for k, v in r.getheaders():
            if k.lower() == "set-cookie":
                name, _, rest = v.partition("="); value = rest.split(";")[0]
                attrs = sorted(a.strip().split("=")[0].lower() + ("=" + a.strip().split("=")[1] if "=" in a and a.strip().split("=")[0].lower() in ("samesite", "path", "max-age") else "") for a in rest.split(";")[1:])
                shown_name = re.sub(r"_\d{5,}$", "_<suffix>", name)
                if value == "" and "_csrf" in name: ended.append(shown_name)
                else: set_cookies.append({"name": shown_name, "attrs": attrs, "cleared": value == ""})
                if cookies:
                    if value == "": self.jar.pop(name, None)
                    else: self.jar[name] = value
        hd = {k.lower(): v for k, v in r.getheaders() if k.lower() in KEEP}
        loc = hd.get("location")
        shown = {k: (norm_url(v) if k == "location" else norm_str(v)) for k, v in hd.items()}
        try: data = json.loads(raw)
        except Exception: data = None
        if not id.startswith("-") and (not self.only or id.startswith(self.only)) and in_groups(id, self.groups):
            if id in self.seen: raise SystemExit("duplicate id " + id)
            self.seen.add(id)
            rec = {"id": id, "request": {"on": side, "method": method, "path": norm_str(path if "://" not in path else s.path + ("?" + s.query if s.query else "")),
                   **({"form": norm(form)} if form is not None else {}), **({"json": norm(js)} if js is not None else {}),
                   **({"headers": {k: norm_str(v) for k, v in (headers or {}).items()}} if headers else {}), **({"basic": True} if auth else {})},
                   "status": r.status, "headers": shown, **({"set_cookies": sorted(set_cookies, key=lambda x: x["name"])} if set_cookies else {}), **({"ended_cookies": sorted(ended)} if ended else {}),
                   "body": "<not kept>" if not keep_body else in_order(norm(data)) if data is not None
                            else html_shape(raw) if "html" in hd.get("content-type", "") else norm_str(raw[:4000])}
            self.out.write(json.dumps(rec, sort_keys=True) + "\n")
        return r.status, data, loc, raw


NO_USER = {"health", "meta", "clients", "token", "introspect", "revoke", "tokens", "keys", "userinfo"}


def in_groups(id, groups):
    return not groups or id.split("/")[0] in groups


def q(loc, key):
    s = urlsplit(loc or "")
    for part in (s.query, s.fragment):
        for k, v in parse_qsl(part):
            if k == key: return v
    return None


# ----------------------------------------------------------------- the questions
def run(a):
    C = lambda id, *x, **k: a.call(id, *x, **k)
    # health, metadata
    for side in ("public", "admin"):
        C("health/%s/alive" % side, side, "GET", "/health/alive"); C("health/%s/ready" % side, side, "GET", "/health/ready")
    C("health/admin/version", "admin", "GET", "/version", keep_body=False)
    C("meta/openid-configuration", "public", "GET", "/.well-known/openid-configuration")
    C("meta/oauth-authorization-server", "public", "GET", "/.well-known/oauth-authorization-server")
    C("meta/jwks", "public", "GET", "/.well-known/jwks.json")
    C("meta/admin-on-public", "public", "GET", "/admin/clients"); C("meta/unknown-path", "public", "GET", "/nope"); C("meta/unknown-admin", "admin", "GET", "/nope")
    C("meta/token-get", "public", "GET", "/oauth2/token")

    # clients
    n = lambda v: NAMES.name(v, v.split("-", 1)[1] if v.startswith("cmp-") else v)
    _, m2m, *_ = C("clients/create-m2m", "admin", "POST", "/admin/clients", js={"client_id": n("cmp-m2m"), "client_secret": "m2m-secret", "grant_types": ["client_credentials"], "scope": "read write offline", "audience": ["https://api.example.com"]})
    C("clients/create-duplicate", "admin", "POST", "/admin/clients", js={"client_id": "cmp-m2m"})
    _, gen, *_ = C("clients/create-empty", "admin", "POST", "/admin/clients", js={})
    C("clients/create-no-prefix", "admin", "POST", "/clients", js={"client_id": n("cmp-noprefix"), "client_name": "v1 path"})
    for i, (what, body) in enumerate({
            "short-secret": {"client_secret": "12345"}, "bad-redirect-fragment": {"redirect_uris": ["https://a.example/cb#f"]}, "bad-redirect-rel": {"redirect_uris": ["/cb"]},
            "javascript-redirect": {"redirect_uris": ["javascript:alert(1)"]}, "bad-auth-method": {"token_endpoint_auth_method": "nonsense"}, "pkjwt-without-keys": {"token_endpoint_auth_method": "private_key_jwt"},
            "jwks-and-uri": {"jwks": {"keys": []}, "jwks_uri": "https://a.example/jwks"}, "bad-subject-type": {"subject_type": "odd"}, "bad-userinfo-alg": {"userinfo_signed_response_alg": "HS256"},
            "bad-post-logout": {"redirect_uris": ["https://a.example/cb"], "post_logout_redirect_uris": ["https://b.example/x"]}, "bad-lifespan": {"client_credentials_grant_access_token_lifespan": "soon"},
            "lifespan": {"client_id": "cmp-life", "client_credentials_grant_access_token_lifespan": "90m"}, "cors-bad": {"allowed_cors_origins": ["https://a.example/path"]}, "unknown-field": {"client_id": "cmp-unk", "no_such_field": 1},
            "strategy-bad": {"access_token_strategy": "paseto"}, "strategy-jwt": {"client_id": "cmp-jwt", "client_secret": "jwt-secret", "access_token_strategy": "jwt", "grant_types": ["client_credentials"], "scope": "read write"},
            "none": {"client_id": "cmp-public", "token_endpoint_auth_method": "none", "redirect_uris": ["http://127.0.0.1:9010/callback"], "grant_types": ["authorization_code", "refresh_token"], "scope": "openid offline profile"}}.items()):
        if "client_id" in body: n(body["client_id"])
        C("clients/create-" + what, "admin", "POST", "/admin/clients", js=body)
    C("clients/create-malformed", "admin", "POST", "/admin/clients", body="{", headers={"Content-Type": "application/json"})
    C("clients/create-array", "admin", "POST", "/admin/clients", js=[])
    C("clients/get", "admin", "GET", "/admin/clients/cmp-m2m"); C("clients/get-missing", "admin", "GET", "/admin/clients/cmp-none-such")
    C("clients/list-page", "admin", "GET", "/admin/clients?page_size=2", keep_body=False); C("clients/list-name", "admin", "GET", "/admin/clients?client_name=v1%20path"); C("clients/list-bad-token", "admin", "GET", "/admin/clients?page_token=zzz"); C("clients/list-page-size-0", "admin", "GET", "/admin/clients?page_size=0&client_name=v1%20path")
    C("clients/put", "admin", "PUT", "/admin/clients/cmp-noprefix", js={"client_name": "put", "scope": "a b"}); C("clients/put-missing", "admin", "PUT", "/admin/clients/cmp-none-such", js={"client_name": "x"})
    C("clients/put-secret", "admin", "PUT", "/admin/clients/cmp-noprefix", js={"client_name": "put", "client_secret": "new-secret"})
    C("clients/patch", "admin", "PATCH", "/admin/clients/cmp-noprefix", js=[{"op": "replace", "path": "/client_name", "value": "patched"}, {"op": "add", "path": "/audience/-", "value": "https://x.example"}])
    C("clients/patch-id", "admin", "PATCH", "/admin/clients/cmp-noprefix", js=[{"op": "replace", "path": "/client_id", "value": "other"}]); C("clients/patch-test-op", "admin", "PATCH", "/admin/clients/cmp-noprefix", js=[{"op": "test", "path": "/client_name", "value": "x"}]); C("clients/patch-malformed", "admin", "PATCH", "/admin/clients/cmp-noprefix", js={"op": "replace"})
    C("clients/lifespans", "admin", "PUT", "/admin/clients/cmp-noprefix/lifespans", js={"refresh_token_grant_access_token_lifespan": "30s", "authorization_code_grant_id_token_lifespan": "1h30m"})
    C("clients/rotate-secret", "admin", "POST", "/admin/clients/cmp-noprefix/secrets/rotate"); C("clients/rotate-drop", "admin", "DELETE", "/admin/clients/cmp-noprefix/secrets/rotate"); C("clients/rotate-public", "admin", "POST", "/admin/clients/cmp-public/secrets/rotate")
    C("clients/delete", "admin", "DELETE", "/admin/clients/cmp-noprefix"); C("clients/delete-again", "admin", "DELETE", "/admin/clients/cmp-noprefix")

    # client_credentials and client authentication
    cc = {"grant_type": "client_credentials"}; me = ("cmp-m2m", "m2m-secret")
    T = lambda id, form, **k: C("token/" + id, "public", "POST", "/oauth2/token", form=form, **k)
    _, t1, *_ = T("cc", {**cc, "scope": "read"}, auth=me)
    T("cc-post-instead-of-basic", {**cc, "client_id": "cmp-m2m", "client_secret": "m2m-secret"}); T("cc-wrong-secret", cc, auth=("cmp-m2m", "wrong")); T("cc-unknown-client", cc, auth=("cmp-zzz", "wrong"))
    T("cc-no-credentials", cc); T("cc-scope-not-allowed", {**cc, "scope": "admin"}, auth=me); T("cc-no-scope", cc, auth=me); T("cc-audience", {**cc, "audience": "https://api.example.com"}, auth=me); T("cc-audience-path", {**cc, "audience": "https://api.example.com/v1"}, auth=me); T("cc-audience-bad", {**cc, "audience": "https://evil.example"}, auth=me)
    T("unknown-grant", {"grant_type": "magic"}, auth=me); T("no-grant", {"scope": "x"}, auth=me); T("empty", {}); T("grant-not-allowed", {"grant_type": "refresh_token", "refresh_token": "x"}, auth=me); T("password-grant", {"grant_type": "password", "username": "a", "password": "b"}, auth=me)
    T("duplicate-grant", {"grant_type": ["client_credentials", "client_credentials"]}, auth=me); T("public-client-cc", {**cc, "client_id": "cmp-public"}); T("basic-not-base64", cc, headers={"Authorization": "Basic %%%"}); T("both-methods", {**cc, "client_id": "cmp-m2m", "client_secret": "m2m-secret"}, auth=me)
    C("token/json-body", "public", "POST", "/oauth2/token", js=cc); C("token/query-only", "public", "POST", "/oauth2/token?grant_type=client_credentials", form={}, auth=me)
    _, tj, *_ = T("cc-jwt", {**cc, "scope": "read write"}, auth=("cmp-jwt", "jwt-secret"))
    at = (t1 or {}).get("access_token", ""); jat = (tj or {}).get("access_token", "")

    # introspection, revocation
    I = lambda id, form, **k: C("introspect/" + id, "admin", "POST", "/admin/oauth2/introspect", form=form, **k)
    I("access", {"token": at}); I("access-no-prefix", {"token": at.replace("ory_at_", "")}); I("access-scope-ok", {"token": at, "scope": "read"}); I("access-scope-missing", {"token": at, "scope": "write"}); I("garbage", {"token": "garbage"}); I("tampered", {"token": at[:-2] + ("AA" if not at.endswith("AA") else "BB")}); I("empty", {}); I("empty-token", {"token": ""}); I("jwt", {"token": jat}); I("hint-wrong", {"token": at, "token_type_hint": "refresh_token"}); I("hint-odd", {"token": at, "token_type_hint": "odd"}); I("with-basic", {"token": at}, auth=me)
    C("introspect/no-prefix-path", "admin", "POST", "/oauth2/introspect", form={"token": at}); C("introspect/get", "admin", "GET", "/admin/oauth2/introspect?token=x")
    R = lambda id, form, **k: C("revoke/" + id, "public", "POST", "/oauth2/revoke", form=form, **k)
    R("other-client", {"token": at}, auth=("cmp-jwt", "jwt-secret")); I("after-other-revoked", {"token": at}); R("wrong-secret", {"token": at}, auth=("cmp-m2m", "no")); R("no-auth", {"token": at}); R("unknown-token", {"token": "zzz"}, auth=me); R("empty", {}, auth=me); R("own", {"token": at}, auth=me); R("own-again", {"token": at}, auth=me); I("after-revoke", {"token": at})
    T("-cc2", {**cc, "scope": "read"}, auth=me)
    C("tokens/delete-by-client", "admin", "DELETE", "/admin/oauth2/tokens?client_id=cmp-m2m"); C("tokens/delete-no-client", "admin", "DELETE", "/admin/oauth2/tokens")
    C("userinfo/no-token", "public", "GET", "/userinfo"); C("userinfo/garbage", "public", "GET", "/userinfo", headers={"Authorization": "Bearer zzz"})

    # keys
    K = lambda id, m, p, **k: C("keys/" + id, "admin", m, "/admin/keys" + p, **k)
    for alg in ("RS256", "ES256", "EdDSA", "PS256", "ES512", "HS256", "nope"): K("create-" + alg, "POST", "/cmp-set", js={"alg": alg, "use": "sig", "kid": "k-" + alg})
    K("create-empty", "POST", "/cmp-set", js={}); K("get-set", "GET", "/cmp-set"); K("get-key", "GET", "/cmp-set/k-ES256"); K("get-missing-set", "GET", "/cmp-none"); K("get-missing-key", "GET", "/cmp-set/zzz"); K("delete-key", "DELETE", "/cmp-set/k-ES256"); K("delete-key-again", "DELETE", "/cmp-set/k-ES256"); K("delete-set", "DELETE", "/cmp-set"); K("delete-set-again", "DELETE", "/cmp-set"); K("put-empty-set", "PUT", "/cmp-set2", js={"keys": []})

    if a.groups and a.groups <= NO_USER: return

    # authorization code flow
    web = "cmp-web"; n(web); cb = "http://127.0.0.1:9010/callback"; ws = (web, "web-secret")
    C("flow/client", "admin", "POST", "/admin/clients", js={"client_id": web, "client_secret": "web-secret", "redirect_uris": [cb, "http://127.0.0.1:9010/cb2?x=1"], "grant_types": ["authorization_code", "refresh_token", "implicit"], "response_types": ["code", "id_token", "token", "code id_token"], "scope": "openid offline profile photos", "audience": ["https://api.example.com"], "post_logout_redirect_uris": ["http://127.0.0.1:9010/bye"], "client_name": "Web", "logo_uri": "https://a.example/logo.png", "metadata": {"k": 1}})
    base = {"client_id": web, "response_type": "code", "redirect_uri": cb, "scope": "openid offline", "state": "state-12345678", "nonce": "nonce-12345678"}
    A = lambda id, p, **k: C("auth/" + id, "public", "GET", "/oauth2/auth?" + urlencode(p), cookies=True, **k)
    for id, ch in {"unknown-client": {"client_id": "cmp-zzz"}, "bad-redirect": {"redirect_uri": "https://evil.example/"}, "redirect-case": {"redirect_uri": cb.upper()}, "redirect-port": {"redirect_uri": "http://127.0.0.1:9011/callback"}, "bad-scope": {"scope": "openid admin"}, "bad-audience": {"audience": "https://evil.example"}, "no-state": {"state": None}, "short-state": {"state": "short"}, "bad-response-type": {"response_type": "code token"}, "no-response-type": {"response_type": None}, "short-nonce": {"nonce": "n"}, "prompt-none": {"prompt": "none"}, "prompt-none-login": {"prompt": "none login"}, "prompt-odd": {"prompt": "odd"}, "pkce-plain": {"code_challenge": "a" * 43, "code_challenge_method": "plain"}, "pkce-odd": {"code_challenge": "a" * 43, "code_challenge_method": "S512"}, "mode-odd": {"response_mode": "pigeon"}, "mode-query-token": {"response_type": "id_token", "response_mode": "query"}, "max-age-bad": {"max_age": "x"}, "hint-bad": {"id_token_hint": "zzz"}, "request-bad": {"request": "zzz"}, "registration": {"registration": "{}"}, "login-verifier-bad": {"login_verifier": "zzz"}, "consent-verifier-bad": {"consent_verifier": "zzz"}, "no-redirect": {"redirect_uri": None}, "no-client": {"client_id": None}}.items():
        p = {**base, **ch}; p = {k: v for k, v in p.items() if v is not None}
        a.fresh_browser(); A(id, p)
    C("auth/empty", "public", "GET", "/oauth2/auth"); C("auth/post", "public", "POST", "/oauth2/auth", form=base)

    L = "/admin/oauth2/auth/requests/login"; N = "/admin/oauth2/auth/requests/consent"

    def login(tag, params, accept=None, reject=None, record=True):
        p = tag if record else "-" + tag
        _, _, loc, _ = A(tag + "/start" , params) if record else C("-" + tag, "public", "GET", "/oauth2/auth?" + urlencode(params), cookies=True)
        lc = q(loc, "login_challenge") or ""
        C(p + "/login-get", "admin", "GET", L + "?login_challenge=" + quote(lc))
        if reject is not None: _, d, *_ = C(p + "/login-reject", "admin", "PUT", L + "/reject?login_challenge=" + quote(lc), js=reject)
        else: _, d, *_ = C(p + "/login-accept", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), js={"subject": "foo@bar.com", **(accept or {})})
        return lc, (d or {}).get("redirect_to", "")

    def consent(tag, to, accept=None, reject=None, record=True):
        p = tag if record else "-" + tag
        _, _, loc, _ = C(p + "/login-verify", "public", "GET", to, cookies=True)
        cc_ = q(loc, "consent_challenge") or ""
        C(p + "/consent-get", "admin", "GET", N + "?consent_challenge=" + quote(cc_))
        if reject is not None: _, d, *_ = C(p + "/consent-reject", "admin", "PUT", N + "/reject?consent_challenge=" + quote(cc_), js=reject)
        else: _, d, *_ = C(p + "/consent-accept", "admin", "PUT", N + "/accept?consent_challenge=" + quote(cc_), js={"grant_scope": ["openid", "offline"], "session": {"id_token": {"name": "Foo"}, "access_token": {"role": "r"}}, **(accept or {})})
        return cc_, (d or {}).get("redirect_to", "")

    # the plain case, with remember
    a.fresh_browser()
    lc, to = login("code", base, {"remember": True, "remember_for": 3600, "acr": "1", "amr": ["pwd"], "context": {"k": "v"}})
    C("code/login-accept-again", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), js={"subject": "foo@bar.com"})
    C("code/login-accept-no-subject", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), js={}); C("code/login-accept-malformed", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), body="{", headers={"Content-Type": "application/json"})
    cc1, to2 = consent("code", to, {"remember": True, "remember_for": 3600})
    _, _, loc, _ = C("code/consent-verify", "public", "GET", to2, cookies=True)
    code = q(loc, "code") or ""
    C("code/consent-verify-again", "public", "GET", to2, cookies=True); C("code/login-get-after", "admin", "GET", L + "?login_challenge=" + quote(lc)); C("code/consent-get-after", "admin", "GET", N + "?consent_challenge=" + quote(cc1)); C("code/consent-accept-after", "admin", "PUT", N + "/accept?consent_challenge=" + quote(cc1), js={"grant_scope": ["openid"]})
    ex = {"grant_type": "authorization_code", "code": code, "redirect_uri": cb}
    T("code-wrong-redirect", {**ex, "redirect_uri": "http://127.0.0.1:9010/cb2?x=1"}, auth=ws); T("code-other-client", ex, auth=me); T("code-verifier-unasked", {**ex, "code_verifier": "a" * 43}, auth=ws)
    _, tk, *_ = T("code", ex, auth=ws)
    tk = tk or {}; at, rt, idt = tk.get("access_token", ""), tk.get("refresh_token", ""), tk.get("id_token", "")
    I("user-access", {"token": at}); I("user-refresh", {"token": rt}); C("userinfo/get", "public", "GET", "/userinfo", headers={"Authorization": "Bearer " + at}); C("userinfo/post", "public", "POST", "/userinfo", headers={"Authorization": "Bearer " + at}); C("userinfo/refresh-token", "public", "GET", "/userinfo", headers={"Authorization": "Bearer " + rt}); C("userinfo/id-token", "public", "GET", "/userinfo", headers={"Authorization": "Bearer " + idt})
    C("sessions/consent-list", "admin", "GET", "/admin/oauth2/auth/sessions/consent?subject=foo%40bar.com"); C("sessions/consent-list-none", "admin", "GET", "/admin/oauth2/auth/sessions/consent?subject=nobody"); C("sessions/consent-list-no-subject", "admin", "GET", "/admin/oauth2/auth/sessions/consent")
    # refresh
    rf = {"grant_type": "refresh_token", "refresh_token": rt}
    T("refresh-other-client", rf, auth=me); _, r2, *_ = T("refresh", rf, auth=ws); r2 = r2 or {}
    I("access-after-refresh", {"token": at}); T("refresh-narrow", {"grant_type": "refresh_token", "refresh_token": r2.get("refresh_token", ""), "scope": "openid"}, auth=ws); T("refresh-reuse", rf, auth=ws); I("refresh-after-reuse", {"token": r2.get("refresh_token", "")}); I("access-after-reuse", {"token": r2.get("access_token", "")}); T("refresh-garbage", {"grant_type": "refresh_token", "refresh_token": "zzz"}, auth=ws); T("refresh-missing", {"grant_type": "refresh_token"}, auth=ws)
    T("code-replay", ex, auth=ws)
    # remembered: skip
    _, _, loc, _ = A("remembered/start", base); lc = q(loc, "login_challenge") or ""
    C("remembered/login-get", "admin", "GET", L + "?login_challenge=" + quote(lc)); C("remembered/other-subject", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), js={"subject": "other"})
    _, d, *_ = C("remembered/login-accept", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), js={"subject": "foo@bar.com"})
    _, _, loc, _ = C("remembered/login-verify", "public", "GET", (d or {}).get("redirect_to", "/"), cookies=True); ch = q(loc, "consent_challenge") or ""
    C("remembered/consent-get", "admin", "GET", N + "?consent_challenge=" + quote(ch))
    _, d, *_ = C("remembered/consent-accept", "admin", "PUT", N + "/accept?consent_challenge=" + quote(ch), js={"grant_scope": ["openid"]})
    C("remembered/consent-verify", "public", "GET", (d or {}).get("redirect_to", "/"), cookies=True)
    A("remembered/prompt-none", {**base, "prompt": "none"}); A("remembered/prompt-login", {**base, "prompt": "login"}); A("remembered/max-age-0", {**base, "max_age": "0"}); A("remembered/hint-ok", {**base, "prompt": "none", "id_token_hint": idt}); A("remembered/hint-access-token", {**base, "id_token_hint": at})
    # logout
    G = "/admin/oauth2/auth/requests/logout"
    C("logout/no-session", "public", "GET", "/oauth2/sessions/logout"); C("logout/state-no-hint", "public", "GET", "/oauth2/sessions/logout?state=12345678", cookies=True); C("logout/bad-hint", "public", "GET", "/oauth2/sessions/logout?id_token_hint=zzz", cookies=True); C("logout/bad-post-logout", "public", "GET", "/oauth2/sessions/logout?" + urlencode({"id_token_hint": idt, "post_logout_redirect_uri": "https://evil.example"}), cookies=True)
    _, _, loc, _ = C("logout/start", "public", "GET", "/oauth2/sessions/logout?" + urlencode({"id_token_hint": idt, "post_logout_redirect_uri": "http://127.0.0.1:9010/bye", "state": "state-12345678"}), cookies=True); ch = q(loc, "logout_challenge") or ""
    C("logout/get", "admin", "GET", G + "?logout_challenge=" + quote(ch)); C("logout/reject", "admin", "PUT", G + "/reject?logout_challenge=" + quote(ch))
    _, _, loc, _ = C("logout/start2", "public", "GET", "/oauth2/sessions/logout?" + urlencode({"id_token_hint": idt, "post_logout_redirect_uri": "http://127.0.0.1:9010/bye", "state": "state-12345678"}), cookies=True); ch = q(loc, "logout_challenge") or ""
    _, d, *_ = C("logout/accept", "admin", "PUT", G + "/accept?logout_challenge=" + quote(ch)); C("logout/finish", "public", "GET", (d or {}).get("redirect_to", "/"), cookies=True); C("logout/finish-again", "public", "GET", (d or {}).get("redirect_to", "/"), cookies=True); C("logout/get-after", "admin", "GET", G + "?logout_challenge=" + quote(ch)); C("logout/get-garbage", "admin", "GET", G + "?logout_challenge=zzz"); C("logout/get-missing", "admin", "GET", G)
    A("logout/session-gone", {**base, "prompt": "none"})
    # challenges that are wrong
    for kind, path in (("login", L), ("consent", N)):
        C("challenge/%s-missing" % kind, "admin", "GET", path); C("challenge/%s-garbage" % kind, "admin", "GET", path + "?%s_challenge=zzz" % kind); C("challenge/%s-cross" % kind, "admin", "GET", path + "?%s_challenge=" % kind + quote(cc1 if kind == "login" else lc)); C("challenge/%s-short-name" % kind, "admin", "GET", path + "?challenge=zzz"); C("challenge/%s-accept-garbage" % kind, "admin", "PUT", path + "/accept?%s_challenge=zzz" % kind, js={"subject": "x"})
    # rejections
    a.fresh_browser(); _, to = login("reject-login", base, reject={"error": "access_denied", "error_description": "The resource owner denied the request"}); C("reject-login/finish", "public", "GET", to, cookies=True)
    a.fresh_browser(); _, to = login("reject-login-empty", base, reject={}); C("reject-login-empty/finish", "public", "GET", to, cookies=True)
    a.fresh_browser(); _, to = login("reject-consent", base); _, to2 = consent("reject-consent", to, reject={"error": "access_denied", "error_description": "No thanks", "error_hint": "hint", "status_code": 403}); C("reject-consent/finish", "public", "GET", to2, cookies=True)
    # another browser
    a.fresh_browser(); _, to = login("other-browser", base); a.fresh_browser(); C("other-browser/login-verify", "public", "GET", to, cookies=True)
    a.fresh_browser(); _, to = login("other-browser2", base); cc2, to2 = consent("other-browser2", to); a.fresh_browser(); C("other-browser2/consent-verify", "public", "GET", to2, cookies=True)
    # PKCE, public client
    v = "v" * 50; chal = base64.urlsafe_b64encode(hashlib.sha256(v.encode()).digest()).rstrip(b"=").decode(); pub = {**base, "client_id": "cmp-public", "code_challenge": chal, "code_challenge_method": "S256"}
    a.fresh_browser(); _, to = login("pkce", pub, record=False); _, to2 = consent("pkce", to, record=False); _, _, loc, _ = C("pkce/consent-verify", "public", "GET", to2, cookies=True); pc = q(loc, "code") or ""
    px = {"grant_type": "authorization_code", "code": pc, "redirect_uri": cb, "client_id": "cmp-public"}
    T("pkce-wrong-verifier", {**px, "code_verifier": "w" * 50}); T("pkce-right-after-wrong", {**px, "code_verifier": v})
    a.fresh_browser(); _, to = login("pkce2", pub, record=False); _, to2 = consent("pkce2", to, record=False); _, _, loc, _ = C("-pkce2", "public", "GET", to2, cookies=True); T("pkce", {**px, "code": q(loc, "code") or "", "code_verifier": v})
    a.fresh_browser(); _, to = login("pkce3", pub, record=False); _, to2 = consent("pkce3", to, record=False); _, _, loc, _ = C("-pkce3", "public", "GET", to2, cookies=True); T("pkce-no-verifier", {**px, "code": q(loc, "code") or ""})
    # implicit, hybrid, form_post
    for tag, ch in {"implicit-id-token": {"response_type": "id_token"}, "implicit-token": {"response_type": "token"}, "hybrid": {"response_type": "code id_token"}, "form-post": {"response_mode": "form_post"}}.items():
        a.fresh_browser(); _, to = login(tag, {**base, **ch}, record=False); _, to2 = consent(tag, to, record=False); C(tag + "/finish", "public", "GET", to2, cookies=True)
    # sessions and revocation
    C("sessions/revoke-consent-none", "admin", "DELETE", "/admin/oauth2/auth/sessions/consent"); C("sessions/revoke-consent-subject-only", "admin", "DELETE", "/admin/oauth2/auth/sessions/consent?subject=foo%40bar.com"); C("sessions/revoke-consent-all", "admin", "DELETE", "/admin/oauth2/auth/sessions/consent?subject=foo%40bar.com&all=true"); C("sessions/revoke-login-none", "admin", "DELETE", "/admin/oauth2/auth/sessions/login"); C("sessions/revoke-login", "admin", "DELETE", "/admin/oauth2/auth/sessions/login?subject=foo%40bar.com"); C("sessions/revoke-login-sid", "admin", "DELETE", "/admin/oauth2/auth/sessions/login?sid=zzz"); I("after-consent-revoked", {"token": r2.get("access_token", "")})
    # dynamic registration
    _, reg, *_ = C("dcr/create", "public", "POST", "/oauth2/register", js={"client_name": "dyn", "redirect_uris": [cb]}); reg = reg or {}; rid, rat = reg.get("client_id", "no-such-client"), reg.get("registration_access_token", "x"); NAMES.name(rid, "dyn-id")
    C("dcr/with-secret", "public", "POST", "/oauth2/register", js={"client_secret": "averylongsecret"}); C("dcr/with-metadata", "public", "POST", "/oauth2/register", js={"metadata": {"a": 1}}); C("dcr/with-skip-consent", "public", "POST", "/oauth2/register", js={"skip_consent": True})
    H = {"Authorization": "Bearer " + rat}
    C("dcr/get", "public", "GET", "/oauth2/register/" + rid, headers=H); C("dcr/get-no-token", "public", "GET", "/oauth2/register/" + rid); C("dcr/get-wrong-token", "public", "GET", "/oauth2/register/" + rid, headers={"Authorization": "Bearer zzz"}); C("dcr/get-other", "public", "GET", "/oauth2/register/cmp-web", headers=H); C("dcr/put-secret", "public", "PUT", "/oauth2/register/" + rid, js={"client_secret": "averylongsecret"}, headers=H)
    _, reg, *_ = C("dcr/put", "public", "PUT", "/oauth2/register/" + rid, js={"client_name": "dyn2", "redirect_uris": [cb]}, headers=H); C("dcr/get-old-token", "public", "GET", "/oauth2/register/" + rid, headers=H)
    H = {"Authorization": "Bearer " + (reg or {}).get("registration_access_token", "x")}; C("dcr/delete", "public", "DELETE", "/oauth2/register/" + rid, headers=H); C("dcr/delete-again", "public", "DELETE", "/oauth2/register/" + rid, headers=H)
    # trust issuers
    J = "/admin/trust/grants/jwt-bearer/issuers"; jwk = {"kty": "EC", "crv": "P-256", "kid": "tk", "alg": "ES256", "use": "sig", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
    tr = {"issuer": "https://iss.example", "subject": "sub", "scope": ["read"], "jwk": jwk, "expires_at": "2036-01-01T00:00:00Z"}
    _, d, *_ = C("trust/create", "admin", "POST", J, js=tr); tid = (d or {}).get("id", "x")
    C("trust/duplicate", "admin", "POST", J, js=tr); C("trust/no-issuer", "admin", "POST", J, js={k: v for k, v in tr.items() if k != "issuer"}); C("trust/no-subject", "admin", "POST", J, js={k: v for k, v in tr.items() if k != "subject"}); C("trust/any", "admin", "POST", J, js={**{k: v for k, v in tr.items() if k != "subject"}, "issuer": "https://iss2.example", "allow_any_subject": True}); C("trust/no-expiry", "admin", "POST", J, js={k: v for k, v in tr.items() if k != "expires_at"}); C("trust/list", "admin", "GET", J); C("trust/get", "admin", "GET", J + "/" + tid); C("trust/get-bad-id", "admin", "GET", J + "/zzz"); C("trust/delete", "admin", "DELETE", J + "/" + tid); C("trust/delete-again", "admin", "DELETE", J + "/" + tid)
    # device flow
    n("cmp-dev"); C("device/client", "admin", "POST", "/admin/clients", js={"client_id": "cmp-dev", "client_secret": "dev-secret", "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"], "scope": "openid offline", "token_endpoint_auth_method": "client_secret_post"})
    dv = {"client_id": "cmp-dev", "client_secret": "dev-secret"}
    _, d, *_ = C("device/auth", "public", "POST", "/oauth2/device/auth", form={**dv, "scope": "openid offline"}); d = d or {}; uc, dc = d.get("user_code", ""), d.get("device_code", ""); NAMES.name(uc, "user-code")
    C("device/auth-bad-client", "public", "POST", "/oauth2/device/auth", form={"client_id": "zzz"}); C("device/auth-bad-scope", "public", "POST", "/oauth2/device/auth", form={**dv, "scope": "admin"}); C("device/auth-not-allowed", "public", "POST", "/oauth2/device/auth", form={"client_id": "cmp-web"}, auth=ws)
    dg = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": dc, **dv}; T("device-pending", dg); T("device-garbage", {**dg, "device_code": "zzz"})
    a.fresh_browser(); _, _, loc, _ = C("device/verify", "public", "GET", "/oauth2/device/verify?user_code=" + quote(uc), cookies=True); ch = q(loc, "device_challenge") or ""
    D = "/admin/oauth2/auth/requests/device/accept?device_challenge="
    C("device/accept-wrong-code", "admin", "PUT", D + quote(ch), js={"user_code": "ZZZZZZZZ"}); C("device/accept-garbage", "admin", "PUT", D + "zzz", js={"user_code": uc}); _, d, *_ = C("device/accept", "admin", "PUT", D + quote(ch), js={"user_code": uc})
    _, _, loc, _ = C("device/verified", "public", "GET", (d or {}).get("redirect_to", "/"), cookies=True); lc = q(loc, "login_challenge") or ""
    C("device/login-get", "admin", "GET", L + "?login_challenge=" + quote(lc)); _, d, *_ = C("device/login-accept", "admin", "PUT", L + "/accept?login_challenge=" + quote(lc), js={"subject": "foo@bar.com"}); _, to2 = consent("device", (d or {}).get("redirect_to", "/"), record=True); C("device/finish", "public", "GET", to2, cookies=True); T("device", dg); T("device-again", dg)


def asked_before_login(records):
    """The ids up to the start of the login flow; later ones of the same groups need a user."""
    out = []
    for r in records:
        if r["id"].startswith("flow/"): break
        out.append(r["id"])
    return set(out)


def any_order(address):
    """An address whose parameters stand in no order that a client may rely on."""
    if not isinstance(address, str): return address
    path, _, query = address.partition("?")
    return [path, sorted(parse_qsl(query, keep_blank_values=True))]


def show_diff(old, new, allowed, groups=None):
    A, B = ({r["id"]: r for r in map(json.loads, open(f))} for f in (old, new))
    bad, used = 0, set()
    if groups:
        early = asked_before_login(A.values()) if groups <= NO_USER else set(A)
        A = {id: r for id, r in A.items() if id in early and in_groups(id, groups)}

    def walk(id, path, x, y):
        nonlocal bad
        if path.endswith(("/request_url", "/redirect_to")): x, y = any_order(x), any_order(y)
        if x == y: return
        if isinstance(x, list) and isinstance(y, list) and len(x) == len(y) and all(isinstance(i, dict) for i in x + y):
            for n, (i, j) in enumerate(zip(x, y)): walk(id, "%s/%d" % (path, n), i, j)
            return
        if isinstance(x, dict) and isinstance(y, dict):
            for k in sorted(set(x) | set(y)): walk(id, path + "/" + k, x.get(k, "<absent>"), y.get(k, "<absent>"))
        elif fits := {p for p in allowed if fnmatch.fnmatch(id + " " + path, p) or fnmatch.fnmatch(id, p)}: used.update(fits)
        else:
            bad += 1; print("%s %s\n    was %s\n    now %s" % (id, path, json.dumps(x)[:600], json.dumps(y)[:600]))
    for id in A:
        if id not in B: bad += 1; print(id, "was not asked"); continue
        for f in ("status", "headers", "set_cookies", "ended_cookies", "body"): walk(id, f, A[id].get(f), B[id].get(f))
    stale = sorted(set(allowed) - used) if groups else []
    for p in stale: print("allowed, but there is no such difference: " + p)
    print("%d exchanges, %d differences, %d allowed" % (len(A), bad, len(used))); return 1 if bad or stale else 0


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter); s = p.add_subparsers(dest="cmd", required=True)
    r = s.add_parser("record"); r.add_argument("--public", required=True); r.add_argument("--admin", required=True); r.add_argument("-o", required=True); r.add_argument("--only"); r.add_argument("--groups")
    d = s.add_parser("diff"); d.add_argument("recorded"); d.add_argument("new"); d.add_argument("--allow"); d.add_argument("--groups")
    o = p.parse_args(); groups = set((o.groups or "").split())
    if o.cmd == "record":
        with open(o.o, "w") as f: run(Agent(o.public, o.admin, f, o.only, groups))
    else: sys.exit(show_diff(o.recorded, o.new, json.load(open(o.allow)) if o.allow else {}, groups))
