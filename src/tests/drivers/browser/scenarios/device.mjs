// The device flow (RFC 8628): a device without a browser, and the user's browser elsewhere.
import assert from "node:assert/strict";
import { idToken } from "../flow.mjs";
import { arrives, consent, deny, logIn } from "../pages.mjs";
import { USER, asClient, introspect, refused, register, tokens, until } from "../world.mjs";

const GRANT = "urn:ietf:params:oauth:grant-type:device_code";

/// A device client and what it shows to its user.
async function device(app) {
  const client = await register(app, { grant_types: [GRANT, "refresh_token"], response_types: [] });
  const begun = await asClient(client, "/oauth2/device/auth", { client_id: client.client_id, scope: client.scope });
  assert.equal(begun.status, 200, JSON.stringify(begun.body));
  const form = { grant_type: GRANT, device_code: begun.body.device_code, client_id: client.client_id };
  return { client, form, shows: begun.body };
}

async function verify(page, shows, { typed = false, code } = {}) {
  await page.goto(typed ? shows.verification_uri : shows.verification_uri_complete);
  await arrives(page, "user code");
  if (!typed) assert.equal(await page.inputValue("#code"), shows.user_code);
  if (typed) await page.fill("#code", code ?? shows.user_code);
  await page.click("#verify");
}

/// The device's poll until it is no longer told to wait.
function polled({ client, form }, wanted) {
  return until(async () => {
    const answer = await asClient(client, "/oauth2/token", form);
    const waits = ["authorization_pending", "slow_down"].includes(answer.body.error);
    if (!waits) assert.equal(answer.body.error, wanted, JSON.stringify(answer.body));
    return waits ? null : answer.body;
  }, "the device's tokens");
}

const granting = (...grant) => async ({ page, app }) => {
  const one = await device(app);
  await refused(one.client, one.form, "authorization_pending");
  await verify(page, one.shows);
  await logIn(page);
  await consent(page, grant);
  await arrives(page, "device success");
  const given = await polled(one);
  assert.deepEqual((given.scope ?? "").split(" ").filter(Boolean).sort(), [...grant].sort());
  assert.equal("refresh_token" in given, grant.includes("offline_access"), "refresh token");
  assert.equal("id_token" in given, grant.includes("openid"), "ID token");
  if (given.id_token) assert.equal((await idToken(one.client, given)).sub, USER);
  assert.ok((await introspect(given.access_token)).active);
  const again = await asClient(one.client, "/oauth2/token", one.form);
  assert.equal(again.status, 400, "a device code is good once");
};

async function typedCode({ page, app }) {
  const one = await device(app);
  await verify(page, one.shows, { typed: true });
  await logIn(page);
  await consent(page, ["openid", "offline_access"]);
  await arrives(page, "device success");
  const { refresh_token } = await polled(one);
  await tokens(one.client, { grant_type: "refresh_token", refresh_token });
}

async function wrongCode({ page, app }) {
  const one = await device(app);
  const refusal = page.waitForResponse((answer) => answer.request().method() === "POST");
  await verify(page, one.shows, { typed: true, code: "XXXXXXXX" });
  assert.ok((await refusal).status() >= 400, "the app was told no");
  const { body } = await asClient(one.client, "/oauth2/token", one.form);
  assert.ok(["authorization_pending", "slow_down"].includes(body.error), JSON.stringify(body));
}

async function codeTwice({ page, app, profile }) {
  const one = await device(app);
  await verify(page, one.shows);
  await logIn(page);
  await consent(page, ["openid"]);
  await arrives(page, "device success");
  const late = await (await profile()).newPage();
  const refusal = late.waitForResponse((answer) => answer.request().method() === "POST");
  await verify(late, one.shows);
  assert.ok((await refusal).status() >= 400, "the app was told no");
}

const denied = (place) => async ({ page, app }) => {
  const one = await device(app);
  await verify(page, one.shows);
  if (place === "consent") await logIn(page);
  await deny(page, place);
  await polled(one, "access_denied");
};

export default {
  "offline_access and openid: all three tokens": granting("offline_access", "openid"),
  "offline_access: no ID token": granting("offline_access"),
  "openid: no refresh token": granting("openid"),
  "nothing granted: an access token alone": granting(),
  "the user types the code": typedCode,
  "a wrong code": wrongCode,
  "a code that was used": codeTwice,
  "denied at login": denied("login"),
  "denied at consent": denied("consent"),
};
