// The servers of this run, and what their operator and their clients say to them without a browser.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { load } from "./packages.mjs";

const { createRemoteJWKSet, jwtVerify } = await load("jose");

/// Base URLs without a trailing slash, and whether access tokens are JWTs.
export const world = {
  public: process.env.PUBLIC_URL,
  admin: process.env.ADMIN_URL,
  consent: process.env.CONSENT_URL,
  jwt: process.env.ACCESS_TOKENS === "jwt",
};
export const issuer = `${world.public}/`;

/// The one user of the login and consent app.
export const USER = "foo@bar.com";
export const PASSWORD = "foobar";

const PATIENCE = 30_000; // for one answer, in milliseconds: the machine may be busy

/// A name that no other scenario uses.
export const fresh = (prefix) => `${prefix}-${randomUUID().slice(0, 8)}`;

/// `form` posted, or a GET without one: status, headers and parsed body.
export async function call(url, { form, auth, bearer, method, json } = {}) {
  const headers = {};
  if (auth) headers.authorization = `Basic ${Buffer.from(auth.map(encodeURIComponent).join(":")).toString("base64")}`;
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  if (json !== undefined) headers["content-type"] = "application/json";
  const body = form ? new URLSearchParams(form) : json === undefined ? undefined : JSON.stringify(json);
  const wanted = method ?? (body === undefined ? "GET" : "POST");
  const answer = await fetch(url, { method: wanted, headers, body, redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
  const text = await answer.text();
  let parsed = text;
  try {
    parsed = JSON.parse(text);
  } catch {
    // no JSON: the text is the body
  }
  return { status: answer.status, headers: answer.headers, body: parsed };
}

/// A call on the admin listener; `path` after `/admin`.
export const admin = (method, path, json) => call(`${world.admin}/admin${path}`, { method, json });

/// A confidential client of the app with every scope and grant that a user's flow can use; `over` replaces members.
export async function register(app, over = {}) {
  const wanted = {
    client_id: fresh("app"),
    client_name: "The app",
    client_secret: "a-secret-for-the-driver",
    redirect_uris: [app.callback],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    scope: "openid offline_access profile",
    ...over,
  };
  if (wanted.token_endpoint_auth_method === "none") delete wanted.client_secret;
  const made = await admin("POST", "/clients", wanted);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return { ...made.body, client_secret: wanted.client_secret };
}

/// A form of this client to the public listener, authenticated by Basic, or by its bare id when it has no secret.
export function asClient(client, path, form) {
  return client.client_secret
    ? call(world.public + path, { form, auth: [client.client_id, client.client_secret] })
    : call(world.public + path, { form: { client_id: client.client_id, ...form } });
}

/// The token endpoint, expected to give tokens.
export async function tokens(client, form) {
  const answer = await asClient(client, "/oauth2/token", form);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.token_type, "bearer");
  assert.ok(answer.body.expires_in > 0);
  return answer.body;
}

/// The token endpoint, expected to refuse with this error.
export async function refused(client, form, error) {
  const answer = await asClient(client, "/oauth2/token", form);
  assert.equal(answer.body.error, error, `${answer.status} ${JSON.stringify(answer.body)}`);
}

export const refresh = (client, token) => tokens(client, { grant_type: "refresh_token", refresh_token: token });

export async function introspect(token, scope) {
  const answer = await call(`${world.admin}/admin/oauth2/introspect`, { form: scope ? { token, scope } : { token } });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

export const userinfo = (bearer) => call(`${world.public}/userinfo`, { bearer });

const keys = createRemoteJWKSet(new URL(`${world.public}/.well-known/jwks.json`));

/// Header and claims of a JWT that the published keys verify.
export async function verified(token, options = {}) {
  const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, ...options });
  return { claims: payload, header: protectedHeader };
}

/// Polls until `look` finds something; fails with `what` when it never does.
export async function until(look, what) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited ${PATIENCE} ms for ${what}`);
}
