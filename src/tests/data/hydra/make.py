"""A small database of Hydra 2 for tests of `import hydra`: writes postgres.sql, sqlite.sql and keys.json beside itself.

Independent of Signet: tables by the names and types of Hydra's columns, keys sealed by Python's `cryptography`, secrets
hashed by Python's `hashlib` and libc. Keys and salts are fresh at every run, so the three files belong together.
    python3 make.py    # needs `cryptography`
"""

import base64
import crypt
import hashlib
import json
import os
import pathlib

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent
SECRET = "hydra-system-secret-of-some-length"
OLDER_SECRET = "an-older-system-secret-of-hydra"
NID = "24704dcb-0ab9-4bfa-a84c-405932ae53fe"

TYPES = {  # PostgreSQL, SQLite
    "text": ("text NOT NULL DEFAULT ''", "TEXT NOT NULL DEFAULT ''"),
    "text?": ("text", "TEXT"),
    "list": ("jsonb NOT NULL DEFAULT '[]'", "TEXT NOT NULL DEFAULT '[]'"),
    "object": ("jsonb NOT NULL DEFAULT '{}'", "TEXT NOT NULL DEFAULT '{}'"),
    "flag": ("boolean NOT NULL DEFAULT false", "INTEGER NOT NULL DEFAULT 0"),
    "flag?": ("boolean", "INTEGER"),
    "number": ("bigint", "INTEGER"),
    "moment": ("timestamp NOT NULL DEFAULT now()", "DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP"),
    "moment?": ("timestamp", "DATETIME"),
    "uuid": ("uuid NOT NULL", "CHAR(36) NOT NULL"),
}
GRANTS = {
    "authorization_code": ["access", "id", "refresh"],
    "client_credentials": ["access"],
    "implicit": ["access", "id"],
    "jwt_bearer": ["access"],
    "password": ["access", "refresh"],
    "refresh_token": ["id", "access", "refresh"],
    "device_authorization": ["id", "access", "refresh"],
}
TABLES = {
    "schema_migration": {"version": "text", "version_self": "number"},
    "networks": {"id": "uuid", "created_at": "moment", "updated_at": "moment"},
    "hydra_client": {
        "id": "text", "client_name": "text", "client_secret": "text", "scope": "text", "owner": "text",
        "policy_uri": "text", "tos_uri": "text", "client_uri": "text", "logo_uri": "text",
        "client_secret_expires_at": "number", "sector_identifier_uri": "text", "jwks": "text", "jwks_uri": "text",
        "token_endpoint_auth_method": "text", "request_object_signing_alg": "text",
        "userinfo_signed_response_alg": "text", "subject_type": "text", "pk_deprecated": "number",
        "created_at": "moment", "updated_at": "moment", "frontchannel_logout_uri": "text",
        "frontchannel_logout_session_required": "flag", "backchannel_logout_uri": "text",
        "backchannel_logout_session_required": "flag", "metadata": "text", "token_endpoint_auth_signing_alg": "text",
        **{f"{grant}_grant_{kind}_token_lifespan": "number" for grant, kinds in GRANTS.items() for kind in kinds},
        "pk": "text?", "registration_access_token_signature": "text", "nid": "uuid", "redirect_uris": "list",
        "grant_types": "list", "response_types": "list", "audience": "list", "allowed_cors_origins": "list",
        "contacts": "list", "request_uris": "list", "post_logout_redirect_uris": "list",
        "access_token_strategy": "text", "skip_consent": "flag", "skip_logout_consent": "flag?",
        "rotated_secrets": "text?",
    },
    "hydra_jwk": {
        "sid": "text", "kid": "text", "version": "number", "keydata": "text", "created_at": "moment", "pk": "uuid",
        "nid": "uuid",
    },
    "hydra_oauth2_flow": {
        "login_challenge": "text", "subject": "text", "request_url": "text", "client_id": "text",
        "requested_at": "moment", "oidc_context": "object", "login_session_id": "text?", "state": "number",
        "acr": "text", "login_authenticated_at": "moment?", "context": "object", "consent_challenge_id": "text?",
        "consent_skip": "flag", "consent_remember": "flag", "consent_remember_for": "number",
        "consent_handled_at": "moment?", "consent_error": "text?", "session_access_token": "object",
        "session_id_token": "object", "nid": "uuid", "requested_scope": "list", "requested_at_audience": "list",
        "amr": "list", "granted_scope": "list", "granted_at_audience": "list", "device_challenge_id": "text?",
    },
    "hydra_oauth2_obfuscated_authentication_session": {
        "subject": "text", "client_id": "text", "subject_obfuscated": "text", "nid": "uuid",
    },
    "hydra_oauth2_trusted_jwt_bearer_issuer": {
        "id": "uuid", "issuer": "text", "subject": "text", "scope": "text", "key_set": "text", "key_id": "text",
        "created_at": "moment", "expires_at": "moment", "nid": "uuid", "allow_any_subject": "flag",
    },
}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rs256(kid):
    private = rsa.generate_private_key(65537, 2048).private_numbers()
    public = private.public_numbers
    return {
        "use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": number(public.n), "e": number(public.e),
        "d": number(private.d), "p": number(private.p), "q": number(private.q), "dp": number(private.dmp1),
        "dq": number(private.dmq1), "qi": number(private.iqmp),
    }


def es256(kid):
    private = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    fixed = {"x": private.public_numbers.x, "y": private.public_numbers.y, "d": private.private_value}
    return {
        "use": "sig", "kty": "EC", "kid": kid, "crv": "P-256", "alg": "ES256",
        **{name: b64(value.to_bytes(32, "big")) for name, value in fixed.items()},
    }


def public(key):
    return {name: value for name, value in key.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}


def sealed(key, secret):
    nonce = os.urandom(12)
    body = AESGCM(hashlib.sha256(secret.encode()).digest()).encrypt(nonce, json.dumps(key).encode(), None)
    return base64.urlsafe_b64encode(nonce + body).decode()


def pbkdf2(secret):
    salt = os.urandom(16)
    key = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 25000, 32)
    plain = [base64.b64encode(part).rstrip(b"=").decode() for part in (salt, key)]
    return f"$pbkdf2-sha256$i=25000,l=32${plain[0]}${plain[1]}"


def bcrypt(secret):
    return crypt.crypt(secret, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 10)).replace("$2b$", "$2a$")


def client(id, **over):
    return {
        "id": id, "client_name": f"The client {id}", "nid": NID, "jwks": "{}", "metadata": "{}",
        "subject_type": "public", "token_endpoint_auth_method": "client_secret_basic", "pk_deprecated": 1,
        "userinfo_signed_response_alg": "none", "created_at": "2024-03-01 10:00:00",
        "updated_at": "2025-03-01 10:00:00", "registration_access_token_signature": "c2lnbmF0dXJl", **over,
    }


def web(id, **over):
    return client(id, **{
        "redirect_uris": ["http://127.0.0.1:9010/callback"], "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "scope": "openid offline read", "client_secret": pbkdf2("secret-of-web"), **over,
    })


def flow(number, subject, client_id, **over):
    return {
        "login_challenge": f"{number:032x}", "consent_challenge_id": f"c{number:031x}",
        "login_session_id": f"{number:08x}-0000-4000-8000-000000000000", "subject": subject, "client_id": client_id,
        "request_url": f"https://hydra.example/oauth2/auth?client_id={client_id}&response_type=code&scope=openid",
        "requested_at": "2025-06-01 08:00:00", "consent_handled_at": "2025-06-01 08:00:10", "state": 6,
        "login_authenticated_at": "2025-06-01 08:00:05", "consent_error": "{}", "consent_remember": True,
        "consent_remember_for": 0, "requested_scope": ["openid", "offline"], "amr": ["pwd"], "acr": "1", "nid": NID,
        "granted_scope": ["openid", "offline"], "session_id_token": {"email": f"{subject}@example.com"}, **over,
    }


KEYS = {"id-new": rs256("id-new"), "id-old": rs256("id-old"), "access-1": es256("access-1")}
PARTNER, OWN = es256("partner-1"), es256("assertions-1")

ROWS = {
    "schema_migration": [{"version": "20251115000000000001", "version_self": 0}],
    "networks": [{"id": NID}],
    "hydra_client": [
        client(
            "machine", client_secret=pbkdf2("secret-of-machine"), grant_types=["client_credentials"],
            scope="read write", audience=["https://api.example.com"], owner="team-a",
            metadata=json.dumps({"cost-centre": 7}), contacts=["a@example.com"],
            client_credentials_grant_access_token_lifespan=5400 * 10**9,
        ),
        client(
            "older-machine", client_secret=bcrypt("secret-of-older-machine"), grant_types=["client_credentials"],
            rotated_secrets=json.dumps([pbkdf2("its-secret-before")]), access_token_strategy="jwt", scope="read",
        ),
        web("web", post_logout_redirect_uris=["http://127.0.0.1:9010/bye"], skip_logout_consent=True),
        web("spa", token_endpoint_auth_method="none", redirect_uris=["https://spa.example/cb"]),
        web("pairwise", subject_type="pairwise"),
        client(
            "asserts", token_endpoint_auth_method="private_key_jwt", grant_types=["client_credentials"],
            jwks=json.dumps({"keys": [public(OWN)]}), token_endpoint_auth_signing_alg="ES256", scope="read",
        ),
        client(
            "bearer", client_secret=pbkdf2("secret-of-bearer"), scope="read",
            grant_types=["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        ),
        client("odd-hash", client_secret="$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA", grant_types=["client_credentials"]),
        web("runs-script", redirect_uris=["javascript:alert(1)"]),
    ],
    "hydra_jwk": [
        {"sid": set_, "kid": key["kid"], "version": 0, "keydata": sealed(key, secret), "created_at": made,
         "pk": f"00000000-0000-4000-8000-00000000000{place}", "nid": NID}
        for place, (set_, key, secret, made) in enumerate([
            ("hydra.openid.id-token", KEYS["id-old"], OLDER_SECRET, "2024-01-01 00:00:00"),
            ("hydra.openid.id-token", KEYS["id-new"], SECRET, "2025-01-01 00:00:00"),
            ("hydra.jwt.access-token", KEYS["access-1"], SECRET, "2024-01-01 00:00:00"),
            ("https://partner.example", public(PARTNER), SECRET, "2024-01-01 00:00:00"),
        ])
    ],
    "hydra_oauth2_flow": [
        flow(1, "ada", "web", requested_at="2025-01-01 08:00:00", granted_scope=["openid"]),
        flow(2, "ada", "web", context={"from": "login"}, oidc_context={"display": "page"}),
        flow(3, "bob", "web", consent_remember_for=3600),
        flow(4, "cyd", "web", consent_remember=False),
        flow(5, "dora", "web", consent_skip=True),
        flow(6, "eve", "web", consent_error='{"error":"access_denied"}', state=129),
        flow(7, "fay", "web", consent_remember_for=60 * 366 * 86400, consent_challenge_id="challenge-0007"),
        flow(8, "ada", "runs-script"),
        flow(9, "gil", "pairwise", state=None, consent_error=None),
    ],
    "hydra_oauth2_obfuscated_authentication_session": [
        {"subject": "gil", "client_id": "pairwise", "subject_obfuscated": "gil-as-they-know-him", "nid": NID},
    ],
    "hydra_oauth2_trusted_jwt_bearer_issuer": [
        {"id": f"11111111-0000-4000-8000-00000000000{place}", "issuer": issuer, "subject": "", "scope": "read",
         "key_set": issuer, "key_id": "partner-1", "expires_at": ends, "nid": NID, "allow_any_subject": True}
        for place, (issuer, ends) in enumerate([
            ("https://partner.example", "2099-01-01 00:00:00"), ("https://gone.example", "2020-01-01 00:00:00"),
        ])
    ],
}


def literal(value, kind, sqlite):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value)) if sqlite else str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    if sqlite and kind.startswith("moment"):
        text += "+00:00"
    return "'" + text.replace("'", "''") + "'"


def script(sqlite):
    lines = ["-- Written by make.py."]
    for table, columns in TABLES.items():
        defined = [f"    {name} {TYPES[kind][sqlite]}" for name, kind in columns.items()]
        lines.append(f"CREATE TABLE {table} (\n" + ",\n".join(defined) + "\n);")
    for table, rows in ROWS.items():
        for row in rows:
            values = [literal(value, TABLES[table][name], sqlite) for name, value in row.items()]
            lines.append(f"INSERT INTO {table} ({', '.join(row)})\nVALUES ({', '.join(values)});")
    return "\n".join(lines) + "\n"


(HERE / "postgres.sql").write_text(script(False))
(HERE / "sqlite.sql").write_text(script(True))
(HERE / "keys.json").write_text(json.dumps(KEYS, indent=1) + "\n")
