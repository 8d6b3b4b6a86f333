// The authorization code flow and its neighbours: which tokens come, and what is in them.
import assert from "node:assert/strict";
import { authorizeUrl, idToken, pkce, redeem, signIn, walk } from "../flow.mjs";
import { answerAt, consent, logIn } from "../pages.mjs";
import { USER, admin, asClient, fresh, introspect, refused, register, tokens, verified, world } from "../world.mjs";

/// The tokens of a flow in which the user ticks exactly these scopes.
const granting = (...grant) => async ({ page, app }) => {
  const client = await register(app);
  const given = await signIn(page, app, client, { grant });
  assert.deepEqual((given.scope ?? "").split(" ").filter(Boolean).sort(), [...grant].sort());
  assert.equal("refresh_token" in given, grant.includes("offline_access"), "refresh token");
  assert.equal("id_token" in given, grant.includes("openid"), "ID token");
  const seen = await introspect(given.access_token);
  assert.ok(seen.active && seen.sub === USER && seen.client_id === client.client_id, JSON.stringify(seen));
};

/// What comes straight from the authorization endpoint for a response type, in the fragment.
const hybrid = (response_type, over = {}) => async ({ page, app }) => {
  const client = await register(app, {
    grant_types: ["authorization_code", "refresh_token", "implicit"],
    response_types: ["code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"],
  });
  const answer = await walk(page, app, client, { over: { response_type, ...over } });
  const parts = response_type.split(" ");
  assert.equal("code" in answer, parts.includes("code"));
  assert.equal("access_token" in answer, parts.includes("token"));
  assert.equal("id_token" in answer, parts.includes("id_token"));
  if (answer.id_token) {
    const claims = await idToken(client, answer);
    assert.equal(claims.nonce, answer.nonce);
    assert.equal("c_hash" in claims, parts.includes("code"));
  }
  if (answer.access_token) assert.ok((await introspect(answer.access_token)).active);
  if (answer.code) await redeem(client, answer);
};

async function idTokenOfTheLogin({ page, app }) {
  const before = Math.floor(Date.now() / 1000);
  const client = await register(app);
  const answer = await walk(page, app, client);
  const claims = await idToken(client, await redeem(client, answer));
  assert.equal(claims.sub, USER);
  assert.equal(claims.nonce, answer.nonce);
  assert.ok(claims.auth_time >= before && claims.auth_time <= claims.iat && claims.exp > claims.iat, JSON.stringify(claims));
}

async function skipConsent({ page, app }) {
  const client = await register(app, { skip_consent: true });
  await page.goto(authorizeUrl(client));
  await logIn(page);
  const given = await redeem(client, await answerAt(page, app));
  assert.ok(given.id_token && given.refresh_token && given.access_token);
}

async function codeTwice({ page, app }) {
  const client = await register(app);
  const answer = await walk(page, app, client);
  const given = await redeem(client, answer);
  const again = { grant_type: "authorization_code", code: answer.code, redirect_uri: app.callback };
  await refused(client, again, "invalid_grant");
  assert.equal((await introspect(given.access_token)).active, false);
  assert.equal((await introspect(given.refresh_token)).active, false);
}

async function wrongVerifier({ page, app }) {
  const client = await register(app, { token_endpoint_auth_method: "none" });
  const { verifier, params } = pkce();
  const answer = await walk(page, app, client, { over: params });
  const form = { grant_type: "authorization_code", code: answer.code, redirect_uri: app.callback };
  await refused(client, { ...form, code_verifier: `${verifier}x` }, "invalid_grant");
  await refused(client, form, "invalid_grant");
  await tokens(client, { ...form, code_verifier: verifier });
}

// RFC 6749 section 3.1: POST too; what was in the body must come through login and consent.
async function postedRequest({ page, app }) {
  const client = await register(app);
  const asked = Object.fromEntries(new URL(authorizeUrl(client)).searchParams);
  await page.goto(app.home);
  await page.evaluate(([action, fields]) => {
    const form = Object.assign(document.createElement("form"), { action, method: "post" });
    for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement("input"), { name, value }));
    document.body.append(form);
    form.submit();
  }, [`${world.public}/oauth2/auth`, asked]);
  await logIn(page);
  await consent(page, ["openid"]);
  const answer = await answerAt(page, app);
  assert.equal(answer.state, asked.state);
  assert.equal((await idToken(client, await redeem(client, answer))).nonce, asked.nonce);
}

async function formPost({ page, app }) {
  const client = await register(app);
  const answer = await walk(page, app, client, { over: { response_mode: "form_post" } });
  assert.equal(new URL(page.url()).search, "", "nothing in the address");
  const { method } = await app.hears("/callback", (given) => given.state === answer.state);
  assert.equal(method, "POST");
  await redeem(client, answer);
}

async function jwtAccessToken({ page, app }) {
  const client = await register(app, { access_token_strategy: "jwt" });
  const given = await signIn(page, app, client);
  assert.equal(given.access_token.split(".").length, 3);
  assert.equal(given.refresh_token.split(".").length, 2);
  const { claims } = await verified(given.access_token);
  assert.equal(claims.sub, USER);
  assert.equal(claims.client_id, client.client_id);
  assert.ok(claims.jti && claims.exp > claims.iat);
  assert.deepEqual([...claims.scp].sort(), client.scope.split(" ").sort());
  assert.ok((await introspect(given.access_token)).active);
}

async function accessTokenOfTheServer({ page, app }) {
  const { access_token } = await signIn(page, app, await register(app));
  if (world.jwt) await verified(access_token);
  else assert.match(access_token, /^ory_at_[\w-]+\.[\w-]+$/);
}

async function clientCredentials({ app }) {
  const client = await register(app, { grant_types: ["client_credentials"], scope: "read openid offline_access" });
  const given = await tokens(client, { grant_type: "client_credentials", scope: "read" });
  assert.ok(given.access_token && !given.refresh_token && !given.id_token, JSON.stringify(given));
}

async function generatedSecret() {
  const made = await admin("POST", "/clients", { client_id: fresh("made"), grant_types: ["client_credentials"] });
  assert.equal(made.status, 201);
  assert.equal(made.body.client_secret.length, 26);
  const given = await asClient(made.body, "/oauth2/token", { grant_type: "client_credentials" });
  assert.equal(given.status, 200, JSON.stringify(given.body));
}

export default {
  "offline_access and openid: all three tokens": granting("offline_access", "openid"),
  "offline_access: no ID token": granting("offline_access"),
  "openid: no refresh token": granting("openid"),
  "nothing granted: an access token alone": granting(),
  "the ID token tells of this login": idTokenOfTheLogin,
  "a client that skips consent": skipConsent,
  "a code used twice ends its tokens": codeTwice,
  "PKCE: only the right verifier": wrongVerifier,
  "a request by POST": postedRequest,
  "an answer by form_post": formPost,
  "response type id_token": hybrid("id_token"),
  "response type id_token token": hybrid("id_token token"),
  "response type code id_token": hybrid("code id_token"),
  "response type code id_token token by form_post": hybrid("code id_token token", { response_mode: "form_post" }),
  "a client with JWT access tokens": jwtAccessToken,
  "access tokens as the server's strategy says": accessTokenOfTheServer,
  "client credentials: an access token alone": clientCredentials,
  "a generated client secret has 26 characters": generatedSecret,
};
