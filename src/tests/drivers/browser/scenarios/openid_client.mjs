// The npm package openid-client, unmodified, as the client; Chromium as its user's browser.
import assert from "node:assert/strict";
import { arrives, confirmLogout, consent, logIn } from "../pages.mjs";
import { load } from "../packages.mjs";
import { USER, fresh, issuer, register, world } from "../world.mjs";

const oidc = await load("openid-client");
const jose = await load("jose");

const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks]; // http; and every signature is checked

/// The package's configuration from discovery.
const discovered = (client, auth, more = []) =>
  oidc.discovery(new URL(world.public), client.client_id, undefined, auth, { execute: [...execute, ...more] });

const basic = (client) => discovered(client, oidc.ClientSecretBasic(client.client_secret));

/// The browser's way through the authorization endpoint: what came back, and what to hold it against.
async function authorized(page, app, config, over = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), maxAge: 300, idTokenExpected: true };
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: app.callback,
    scope: "openid offline_access",
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    max_age: "300",
    ...over,
  });
  await page.goto(url.href);
  await logIn(page, { remember: true });
  await consent(page, ["openid", "offline_access"]);
  await arrives(page, app.callback);
  return { url: new URL(page.url()), checks };
}

async function signIn(page, app, config) {
  const { url, checks } = await authorized(page, app, config);
  return oidc.authorizationCodeGrant(config, url, checks);
}

async function wholeLife({ page, app }) {
  const client = await register(app, { post_logout_redirect_uris: [app.signedOut] });
  const config = await basic(client);
  assert.equal(config.serverMetadata().issuer, issuer);
  const first = await signIn(page, app, config);
  assert.equal(first.claims().sub, USER);
  assert.equal((await oidc.fetchUserInfo(config, first.access_token, USER)).sub, USER);

  const second = await oidc.refreshTokenGrant(config, first.refresh_token);
  assert.equal(second.claims().sub, USER);
  const atAdmin = new oidc.Configuration(
    { ...config.serverMetadata(), introspection_endpoint: `${world.admin}/admin/oauth2/introspect` },
    client.client_id,
    undefined,
    oidc.ClientSecretBasic(client.client_secret),
  );
  oidc.allowInsecureRequests(atAdmin);
  assert.equal((await oidc.tokenIntrospection(atAdmin, second.access_token)).active, true);
  await oidc.tokenRevocation(config, second.refresh_token);
  assert.equal((await oidc.tokenIntrospection(atAdmin, second.access_token)).active, false);
  await assert.rejects(oidc.fetchUserInfo(config, second.access_token, USER));

  const state = oidc.randomState();
  const bye = { id_token_hint: second.id_token, post_logout_redirect_uri: app.signedOut, state };
  await page.goto(oidc.buildEndSessionUrl(config, bye).href);
  await confirmLogout(page);
  await arrives(page, app.signedOut);
  assert.equal(new URL(page.url()).searchParams.get("state"), state);
}

const authenticatedBy = (method) => async ({ page, app }) => {
  const { publicKey, privateKey } = await jose.generateKeyPair("ES256");
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: fresh("key"), use: "sig", alg: "ES256" };
  const client = await register(app, {
    token_endpoint_auth_method: method,
    ...(method === "private_key_jwt" && { jwks: { keys: [jwk] }, token_endpoint_auth_signing_alg: "ES256", client_secret: undefined }),
  });
  const auth = {
    none: () => oidc.None(),
    client_secret_post: () => oidc.ClientSecretPost(client.client_secret),
    private_key_jwt: () => oidc.PrivateKeyJwt({ key: privateKey, kid: jwk.kid }),
  }[method]();
  const config = await discovered(client, auth);
  const given = await signIn(page, app, config);
  await oidc.refreshTokenGrant(config, given.refresh_token);
};

async function hybrid({ page, app }) {
  const client = await register(app, {
    grant_types: ["authorization_code", "refresh_token", "implicit"],
    response_types: ["code", "code id_token", "id_token"],
  });
  const config = await discovered(client, oidc.ClientSecretBasic(client.client_secret), [oidc.useCodeIdTokenResponseType]);
  const { url, checks } = await authorized(page, app, config);
  assert.equal((await oidc.authorizationCodeGrant(config, url, checks)).claims().sub, USER);
}

async function implicit({ page, app }) {
  const client = await register(app, { grant_types: ["implicit"], response_types: ["id_token"] });
  const config = await discovered(client, oidc.None(), [oidc.useIdTokenResponseType]);
  const { url, checks } = await authorized(page, app, config, { code_challenge: "", code_challenge_method: "" });
  const { expectedNonce, expectedState } = checks;
  assert.equal((await oidc.implicitAuthentication(config, url, expectedNonce, { expectedState })).sub, USER);
}

async function deviceGrant({ page, app }) {
  const client = await register(app, { grant_types: [DEVICE, "refresh_token"], response_types: [] });
  const config = await basic(client);
  const begun = await oidc.initiateDeviceAuthorization(config, { scope: "openid offline_access" });
  const polling = oidc.pollDeviceAuthorizationGrant(config, begun, undefined, { signal: AbortSignal.timeout(60_000) });
  polling.catch(() => {}); // seen below; until then it is not lost
  await page.goto(begun.verification_uri_complete);
  await arrives(page, "user code");
  await page.click("#verify");
  await logIn(page);
  await consent(page, ["openid", "offline_access"]);
  await arrives(page, "device success");
  const given = await polling;
  assert.equal(given.claims().sub, USER);
  await oidc.refreshTokenGrant(config, given.refresh_token);
}

async function deniedByTheUser({ page, app }) {
  const config = await basic(await register(app));
  const expectedState = oidc.randomState();
  await page.goto(oidc.buildAuthorizationUrl(config, { redirect_uri: app.callback, scope: "openid", state: expectedState }).href);
  await arrives(page, "login");
  await page.click("#reject");
  await arrives(page, app.callback);
  const redeemed = oidc.authorizationCodeGrant(config, new URL(page.url()), { expectedState });
  await assert.rejects(redeemed, (error) => error.error === "access_denied");
}

async function clientCredentials({ app }) {
  const config = await basic(await register(app, { grant_types: ["client_credentials"], scope: "read" }));
  const given = await oidc.clientCredentialsGrant(config, { scope: "read" });
  assert.ok(given.access_token && given.expiresIn() > 0);
}

export default {
  "code, PKCE, userinfo, refresh, introspection, revocation, logout": wholeLife,
  "a public client": authenticatedBy("none"),
  "client_secret_post": authenticatedBy("client_secret_post"),
  "private_key_jwt": authenticatedBy("private_key_jwt"),
  "response type code id_token": hybrid,
  "response type id_token": implicit,
  "device grant": deviceGrant,
  "denied by the user": deniedByTheUser,
  "client credentials": clientCredentials,
};
