"""authlib_client.py PUBLIC ADMIN ID: the life of one token through Authlib."""
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey
from authlib.oauth2.rfc7523 import PrivateKeyJWT

public, admin, client_id = sys.argv[1:4]
secret = "a-secret-for-the-driver"


def register(**fields):
    body = {"grant_types": ["client_credentials"], "response_types": [], "scope": "read write", **fields}
    answer = requests.post(admin + "/admin/clients", json=body, timeout=20)
    assert answer.status_code == 201, answer.text
    return answer.json()


def introspect(session, token):
    answer = session.introspect_token(admin + "/admin/oauth2/introspect", token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def life_of_a_token(session, expected_client):
    meta = requests.get(public + "/.well-known/openid-configuration", timeout=20).json()
    token = session.fetch_token(meta["token_endpoint"], grant_type="client_credentials", scope="read")
    assert token["access_token"] and token["token_type"].lower() == "bearer" and token["scope"] == "read", token
    seen = introspect(session, token["access_token"])
    assert seen["active"] and seen["client_id"] == expected_client and seen["scope"] == "read", seen
    answer = session.revoke_token(meta["revocation_endpoint"], token=token["access_token"])
    assert answer.status_code == 200, answer.text
    assert introspect(session, token["access_token"])["active"] is False


for method in ("client_secret_basic", "client_secret_post"):
    name = client_id + "-" + method
    register(client_id=name, client_secret=secret, token_endpoint_auth_method=method)
    life_of_a_token(OAuth2Session(name, secret, token_endpoint_auth_method=method, revocation_endpoint_auth_method=method, scope="read"), name)

key = JsonWebKey.generate_key("RSA", 2048, {"kid": "authlib", "alg": "RS256", "use": "sig"}, is_private=True)
name = client_id + "-private_key_jwt"
register(client_id=name, token_endpoint_auth_method="private_key_jwt", token_endpoint_auth_signing_alg="RS256",
         jwks={"keys": [key.as_dict(is_private=False)]})
session = OAuth2Session(name, key.as_pem(is_private=True), token_endpoint_auth_method="private_key_jwt",
                        revocation_endpoint_auth_method="private_key_jwt", scope="read")
session.register_client_auth_method(PrivateKeyJWT(public + "/oauth2/token", headers={"kid": "authlib"}))
life_of_a_token(session, name)
print("ok")
