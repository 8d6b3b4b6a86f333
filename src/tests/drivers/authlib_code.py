"""authlib_code.py PUBLIC ADMIN ID: login, consent and the tokens' life through Authlib, without a browser.

The redirects are followed by hand; where they lead to the login and consent app, this script is the app and answers on
the admin listener.
"""
import sys
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt
from authlib.oidc.core import CodeIDToken, UserInfo

public, admin, client_id = sys.argv[1:4]
secret, callback, subject = "a-secret-for-the-driver", "http://127.0.0.1:9/callback", "somebody"
scope = "openid offline_access read"
LOGIN = {"subject": subject, "remember": True, "remember_for": 600, "acr": "1", "amr": ["pwd"]}
SESSION = {"id_token": {"email": "somebody@example.com"}, "access_token": {"tenant": "one"}}


def register(name, **fields):
    body = {"client_id": name, "client_secret": secret, "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"], "scope": scope, "redirect_uris": [callback], **fields}
    answer = requests.post(admin + "/admin/clients", json=body, timeout=20)
    assert answer.status_code == 201, answer.text


def decide(kind, challenge, body):
    """What the login and consent app does: look at the request, accept it, send the browser back."""
    place = f"{admin}/admin/oauth2/auth/requests/{kind}"
    asked = requests.get(place, params={kind + "_challenge": challenge}, timeout=20)
    assert asked.status_code == 200 and asked.json()["client"]["client_id"].startswith(client_id), asked.text
    if kind == "consent":
        assert asked.json()["subject"] == subject, asked.text
        body = {**body, "grant_scope": asked.json()["requested_scope"]}
    done = requests.put(place + "/accept", params={kind + "_challenge": challenge}, json=body, timeout=20)
    assert done.status_code == 200, done.text
    return done.json()["redirect_to"]


def browse(browser, url):
    """From the authorization endpoint to the callback; returns its URL and the pages that were passed."""
    passed = []
    for _ in range(8):
        if url.startswith(callback):
            return url, passed
        answer = browser.get(url, allow_redirects=False, timeout=20)
        assert answer.status_code in (302, 303), f"{answer.status_code} {answer.text}"
        url = answer.headers["Location"]
        query = parse_qs(urlsplit(url).query)
        for kind, body in (("login", LOGIN), ("consent", {"session": SESSION, "remember": True, "remember_for": 600})):
            if kind + "_challenge" in query:
                passed.append(kind)
                url = decide(kind, query[kind + "_challenge"][0], body)
    raise AssertionError("too many redirects, the last to " + url)


def id_token(meta, token, name, nonce):
    keys = JsonWebKey.import_key_set(requests.get(meta["jwks_uri"], timeout=20).json())
    claims = jwt.decode(token["id_token"], keys, claims_cls=CodeIDToken, claims_params={
        "nonce": nonce, "client_id": name, "access_token": token["access_token"]}, claims_options={
        "iss": {"essential": True, "value": meta["issuer"]}, "aud": {"essential": True, "value": name}})
    claims.validate(leeway=5)
    assert claims["sub"] == subject and claims["email"] == "somebody@example.com", claims
    return claims


def introspected(session, token):
    answer = session.introspect_token(admin + "/admin/oauth2/introspect", token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def life_of_the_tokens(name, method):
    meta = requests.get(public + "/.well-known/openid-configuration", timeout=20).json()
    browser = requests.Session()
    session = OAuth2Session(name, None if method == "none" else secret, scope=scope, redirect_uri=callback,
                            token_endpoint_auth_method=method, revocation_endpoint_auth_method=method,
                            code_challenge_method="S256", token_endpoint=meta["token_endpoint"])
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = session.create_authorization_url(meta["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    landed, passed = browse(browser, url)
    assert passed == ["login", "consent"], passed
    token = session.fetch_token(meta["token_endpoint"], authorization_response=landed, state=state, code_verifier=verifier)
    assert token["refresh_token"] and token["token_type"].lower() == "bearer", token
    claims = id_token(meta, token, name, nonce)
    assert claims["acr"] == "1" and claims["amr"] == ["pwd"], claims

    info = UserInfo(session.get(meta["userinfo_endpoint"], timeout=20).json())
    assert info.sub == subject and info.email == "somebody@example.com", info
    seen = introspected(session, token["access_token"])
    assert seen["active"] and seen["sub"] == subject and seen["ext"] == {"tenant": "one"}, seen

    newer = session.refresh_token(meta["token_endpoint"], refresh_token=token["refresh_token"])
    assert newer["refresh_token"] != token["refresh_token"], newer
    assert id_token(meta, newer, name, nonce)["sid"] == claims["sid"]
    assert introspected(session, token["access_token"]) == {"active": False}

    # the same browser again: remembered, so that both requests are skipped; and prompt=none
    url, state = session.create_authorization_url(meta["authorization_endpoint"], code_verifier=verifier, nonce=nonce, prompt="none")
    landed, _ = browse(browser, url)
    assert parse_qs(urlsplit(landed).query).get("code"), landed

    answer = session.revoke_token(meta["revocation_endpoint"], token=newer["refresh_token"], token_type_hint="refresh_token")
    assert answer.status_code == 200, answer.text
    assert introspected(session, newer["access_token"]) == {"active": False}
    try:
        session.refresh_token(meta["token_endpoint"], refresh_token=newer["refresh_token"])
        raise AssertionError("a revoked refresh token was taken")
    except OAuthError as error:
        assert error.error == "invalid_grant", error


for method in ("client_secret_basic", "client_secret_post", "none"):
    name = f"{client_id}-{method}"
    register(name, token_endpoint_auth_method=method, **({"client_secret": ""} if method == "none" else {}))
    life_of_the_tokens(name, method)
print("ok")
