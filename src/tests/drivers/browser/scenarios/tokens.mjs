// The tokens' life after the flow: introspection, refresh, revocation, userinfo.
import assert from "node:assert/strict";
import { idToken, pkce, signIn, walk } from "../flow.mjs";
import { USER, asClient, introspect, issuer, refresh, refused, register, userinfo, verified, world } from "../world.mjs";

async function introspection({ page, app }) {
  const client = await register(app);
  const given = await signIn(page, app, client, { grant: ["openid", "offline_access"] });
  for (const kind of ["access_token", "refresh_token"]) {
    const seen = await introspect(given[kind]);
    const { active, sub, token_type, token_use, client_id, iss } = seen;
    const wanted = { active: true, sub: USER, token_type: "Bearer", token_use: kind, client_id: client.client_id, iss: issuer };
    assert.deepEqual({ active, sub, token_type, token_use, client_id, iss }, wanted);
    assert.deepEqual(seen.scope.split(" ").sort(), ["offline_access", "openid"]);
    assert.ok(seen.exp > seen.iat);
  }
  assert.equal((await introspect(given.access_token, "openid")).active, true);
  assert.equal((await introspect(given.access_token, "profile")).active, false);
}

async function refreshing({ page, app }) {
  const client = await register(app);
  const first = await signIn(page, app, client);
  const second = await refresh(client, first.refresh_token);
  for (const kind of ["access_token", "refresh_token", "id_token"]) assert.notEqual(second[kind], first[kind], kind);
  const [before, after] = [await idToken(client, first), await idToken(client, second)];
  for (const claim of ["sub", "sid", "auth_time", "nonce", "rat"]) assert.equal(after[claim], before[claim], claim);
  assert.equal((await introspect(first.access_token)).active, false);
  assert.equal((await introspect(second.access_token)).active, true);
  await refused(client, { grant_type: "refresh_token", refresh_token: first.refresh_token }, "invalid_grant");
  await refused(client, { grant_type: "refresh_token", refresh_token: second.refresh_token }, "invalid_grant");
  assert.equal((await introspect(second.access_token)).active, false);
}

/// The token endpoint as a single-page application calls it, from the app's origin (CORS).
function fromThePage(page, client, form) {
  return page.evaluate(
    async ([url, fields]) => (await fetch(url, { method: "POST", body: new URLSearchParams(fields) })).json(),
    [`${world.public}/oauth2/token`, { client_id: client.client_id, ...form }],
  );
}

async function refreshInABrowser({ page, app }) {
  const client = await register(app, { token_endpoint_auth_method: "none" });
  const { verifier, params } = pkce();
  const { code } = await walk(page, app, client, { over: params });
  const form = { grant_type: "authorization_code", code, redirect_uri: app.callback, code_verifier: verifier };
  const first = await fromThePage(page, client, form);
  assert.ok(first.refresh_token, JSON.stringify(first));
  const again = (token) => fromThePage(page, client, { grant_type: "refresh_token", refresh_token: token });
  const second = await again(first.refresh_token);
  assert.ok(second.refresh_token, JSON.stringify(second));
  assert.equal((await again(first.refresh_token)).error, "invalid_grant");
  assert.equal((await again(second.refresh_token)).error, "invalid_grant");
}

const revoked = (kind) => async ({ page, app }) => {
  const client = await register(app);
  const given = await signIn(page, app, client);
  assert.equal((await userinfo(given.access_token)).status, 200);
  const done = await asClient(client, "/oauth2/revoke", { token: given[kind] });
  assert.equal(done.status, 200);
  const after = await userinfo(given.access_token);
  assert.equal(after.status, 401);
  assert.equal(after.body.error, "request_unauthorized");
  await refused(client, { grant_type: "refresh_token", refresh_token: given.refresh_token }, "invalid_grant");
};

async function whoIsIt({ page, app }) {
  const client = await register(app);
  const given = await signIn(page, app, client);
  const { status, body, headers } = await userinfo(given.access_token);
  assert.equal(status, 200);
  assert.match(headers.get("content-type"), /^application\/json/);
  assert.equal(body.sub, USER);
  for (const claim of ["nonce", "at_hash", "c_hash", "exp", "sid", "jti"]) assert.ok(!(claim in body), claim);
  const wrong = await userinfo(given.refresh_token);
  assert.equal(wrong.status, 401);
  assert.match(wrong.headers.get("www-authenticate"), /^Bearer /);
}

async function signedUserinfo({ page, app }) {
  const client = await register(app, { userinfo_signed_response_alg: "RS256" });
  const { body, headers } = await userinfo((await signIn(page, app, client)).access_token);
  assert.match(headers.get("content-type"), /^application\/jwt/);
  const { claims } = await verified(body, { audience: client.client_id });
  assert.equal(claims.sub, USER);
}

export default {
  "introspection of access and refresh tokens": introspection,
  "a refresh gives new tokens, a second use ends all": refreshing,
  "refresh and its reuse by a page in the browser": refreshInABrowser,
  "a revoked access token": revoked("access_token"),
  "a revoked refresh token takes the access token along": revoked("refresh_token"),
  "userinfo": whoIsIt,
  "signed userinfo": signedUserinfo,
};
