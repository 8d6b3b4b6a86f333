// The npm package oauth4webapi, unmodified: it checks each answer to the letter of its RFC.
import assert from "node:assert/strict";
import { arrives, consent, logIn } from "../pages.mjs";
import { load } from "../packages.mjs";
import { USER, issuer, register, until, world } from "../world.mjs";

const oauth = await load("oauth4webapi");

const http = { [oauth.allowInsecureRequests]: true };
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";

/// RFC 8414 and OpenID Connect Discovery say the same.
async function server(algorithm) {
  const answer = await oauth.discoveryRequest(new URL(issuer), { ...http, algorithm });
  return oauth.processDiscoveryResponse(new URL(issuer), answer);
}

/// The package's view of the server and of a client with its credentials.
async function introduced(app, over = {}) {
  const made = await register(app, over);
  const auth = made.client_secret ? oauth.ClientSecretBasic(made.client_secret) : oauth.None();
  return { as: await server("oidc"), client: { client_id: made.client_id }, auth };
}

/// Through the browser: the callback's parameters, checked for state, `iss` and errors, and what the code is bound to.
async function authorized({ page, app }, { as, client }) {
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: app.callback,
    response_type: "code",
    scope: "openid offline_access",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    max_age: "300",
  });
  await page.goto(url.href);
  await logIn(page);
  await consent(page, ["openid", "offline_access"]);
  await arrives(page, app.callback);
  return { params: oauth.validateAuthResponse(as, client, new URL(page.url()), state), verifier, nonce };
}

async function signIn(t, known) {
  const { as, client, auth } = known;
  const { params, verifier, nonce } = await authorized(t, known);
  const answer = await oauth.authorizationCodeGrantRequest(as, client, auth, params, t.app.callback, verifier, http);
  const signed = answer.clone();
  const checks = { expectedNonce: nonce, maxAge: 300, requireIdToken: true };
  const given = await oauth.processAuthorizationCodeResponse(as, client, answer, checks);
  await oauth.validateApplicationLevelSignature(as, answer, http);
  assert.equal(signed.headers.get("cache-control"), "no-store");
  return given;
}

async function sameMetadata() {
  const [oidc, plain] = [await server("oidc"), await server("oauth2")];
  assert.deepEqual(plain, oidc);
}

/// RFC 9207: promised in the metadata, so that the package refuses an answer without `iss` or with another one.
async function issuerInTheAnswer(t) {
  const known = await introduced(t.app);
  assert.equal(known.as.authorization_response_iss_parameter_supported, true);
  const { params } = await authorized(t, known);
  assert.equal(params.get("iss"), issuer);
}

async function wholeLife(t) {
  const known = await introduced(t.app);
  const { as, client, auth } = known;
  const first = await signIn(t, known);
  assert.equal(oauth.getValidatedIdTokenClaims(first).sub, USER);

  const asked = await oauth.userInfoRequest(as, client, first.access_token, http);
  assert.equal((await oauth.processUserInfoResponse(as, client, USER, asked)).sub, USER);

  const refreshed = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token, http);
  const second = await oauth.processRefreshTokenResponse(as, client, refreshed);
  await oauth.validateApplicationLevelSignature(as, refreshed, http);
  assert.notEqual(second.refresh_token, first.refresh_token);

  const atAdmin = { ...as, introspection_endpoint: `${world.admin}/admin/oauth2/introspect` };
  const introspect = async (token) => {
    const answer = await oauth.introspectionRequest(atAdmin, client, auth, token, http);
    return oauth.processIntrospectionResponse(atAdmin, client, answer);
  };
  assert.equal((await introspect(second.access_token)).active, true);
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, second.access_token, http));
  assert.equal((await introspect(second.access_token)).active, false);

  const reuse = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token, http);
  await assert.rejects(oauth.processRefreshTokenResponse(as, client, reuse), (error) => error.error === "invalid_grant");
}

async function publicClient(t) {
  const given = await signIn(t, await introduced(t.app, { token_endpoint_auth_method: "none" }));
  assert.ok(given.refresh_token);
}

/// RFC 6750 section 3: what the WWW-Authenticate header says of a bad token can be parsed.
async function badBearer(t) {
  const { as, client } = await introduced(t.app);
  const asked = await oauth.userInfoRequest(as, client, "not-a-token", http);
  const refusal = oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck, asked);
  await assert.rejects(refusal, (error) => error.cause?.[0]?.scheme === "bearer");
}

async function badSecret(t) {
  const { as, client } = await introduced(t.app, { grant_types: ["client_credentials"] });
  const wrong = oauth.ClientSecretBasic("not-the-secret");
  const asked = await oauth.clientCredentialsGrantRequest(as, client, wrong, {}, http);
  assert.equal(asked.status, 401);
  await assert.rejects(oauth.processClientCredentialsResponse(as, client, asked), (error) => error instanceof Error);
}

async function deviceGrant({ page, app }) {
  const { as, client, auth } = await introduced(app, { grant_types: [DEVICE, "refresh_token"], response_types: [] });
  const asked = await oauth.deviceAuthorizationRequest(as, client, auth, { scope: "openid offline_access" }, http);
  const begun = await oauth.processDeviceAuthorizationResponse(as, client, asked);
  await page.goto(begun.verification_uri_complete);
  await arrives(page, "user code");
  await page.click("#verify");
  await logIn(page);
  await consent(page, ["openid", "offline_access"]);
  await arrives(page, "device success");
  const given = await until(async () => {
    const answer = await oauth.deviceCodeGrantRequest(as, client, auth, begun.device_code, http);
    return oauth.processDeviceCodeResponse(as, client, answer).catch((error) => {
      if (!["authorization_pending", "slow_down"].includes(error.error)) throw error;
    });
  }, "the device's tokens");
  assert.equal(oauth.getValidatedIdTokenClaims(given).sub, USER);
}

export default {
  "both discovery documents": sameMetadata,
  "code, userinfo, refresh, introspection, revocation, reuse": wholeLife,
  "iss in the authorization answer": issuerInTheAnswer,
  "a public client": publicClient,
  "a bad bearer token": badBearer,
  "a bad client secret": badSecret,
  "device grant": deviceGrant,
};
