// What is remembered between two flows of one browser, and how a client asks for it (OpenID Connect Core 3.1.2.1).
import assert from "node:assert/strict";
import { authorizeUrl, idToken, redeem, signIn } from "../flow.mjs";
import { answerAt, arrives, consent, logIn, sessionCookie } from "../pages.mjs";
import { USER, register } from "../world.mjs";

/// A client for which login, and consent where `both`, have been remembered; and its ID token's claims.
async function remembered({ page, app }, both, over = {}) {
  const client = await register(app, over);
  await page.goto(authorizeUrl(client));
  await logIn(page, { remember: true });
  await consent(page, client.scope.split(" "), { remember: both });
  return { client, claims: await idToken(client, await redeem(client, await answerAt(page, app))) };
}

/// Goes through the flow without a page to act on: the answer at the client.
async function straight(page, app, client, over) {
  await page.goto(authorizeUrl(client, over));
  return answerAt(page, app);
}

async function loginRemembered(t) {
  const { client, claims } = await remembered(t, false);
  const cookie = await sessionCookie(t.context);
  assert.ok(cookie?.httpOnly && cookie.expires > Date.now() / 1000, JSON.stringify(cookie));
  await t.page.goto(authorizeUrl(client));
  await consent(t.page, ["openid"]); // the login page sends on by itself
  const again = await idToken(client, await redeem(client, await answerAt(t.page, t.app)));
  assert.equal(again.sid, claims.sid);
  assert.equal(again.auth_time, claims.auth_time);
}

async function loginNotRemembered({ page, app, context }) {
  const client = await register(app);
  await signIn(page, app, client);
  assert.equal(await sessionCookie(context), undefined);
  await page.goto(authorizeUrl(client));
  await arrives(page, "login");
}

async function bothRemembered(t) {
  const { client } = await remembered(t, true);
  const given = await redeem(client, await straight(t.page, t.app, client));
  assert.ok(given.id_token && given.refresh_token);
}

async function widerScope(t) {
  const { client } = await remembered(t, true, { scope: "openid profile" });
  await t.page.goto(authorizeUrl(client, { scope: "openid" }));
  await answerAt(t.page, t.app); // less than what was granted is not asked again
  const wider = await register(t.app);
  await t.page.goto(authorizeUrl(wider));
  await arrives(t.page, "consent"); // and no other client profits
}

async function otherBrowser(t) {
  const { client } = await remembered(t, true);
  const stranger = await (await t.profile()).newPage();
  await stranger.goto(authorizeUrl(client));
  await arrives(stranger, "login");
}

async function noneWithoutSession({ page, app }) {
  const answer = await straight(page, app, await register(app), { prompt: "none" });
  assert.equal(answer.error, "login_required", JSON.stringify(answer));
}

async function noneWithoutConsent(t) {
  const { client } = await remembered(t, false);
  const answer = await straight(t.page, t.app, client, { prompt: "none" });
  assert.equal(answer.error, "consent_required", JSON.stringify(answer));
}

async function noneRemembered(t) {
  const { client, claims } = await remembered(t, true);
  const answer = await straight(t.page, t.app, client, { prompt: "none" });
  assert.equal((await idToken(client, await redeem(client, answer))).sid, claims.sid);
}

/// These parameters make the user log in again, though both were remembered; consent is not asked.
const loginForced = (over) => async (t) => {
  const { client, claims } = await remembered(t, true);
  await t.page.goto(authorizeUrl(client, over));
  await logIn(t.page, { remember: true });
  const again = await idToken(client, await redeem(client, await answerAt(t.page, t.app)));
  assert.ok(again.sub === USER && again.auth_time >= claims.auth_time);
};

async function consentForced(t) {
  const { client } = await remembered(t, true);
  await t.page.goto(authorizeUrl(client, { prompt: "consent" }));
  await consent(t.page, ["openid"]);
  await redeem(client, await answerAt(t.page, t.app));
}

async function loginHint({ page, app }) {
  await page.goto(authorizeUrl(await register(app), { login_hint: "somebody@example.com" }));
  await arrives(page, "login");
  assert.equal(await page.inputValue("#email"), "somebody@example.com");
}

export default {
  "a remembered login skips the login page": loginRemembered,
  "a login that is not remembered leaves no session": loginNotRemembered,
  "remembered login and consent: straight to the client": bothRemembered,
  "a remembered consent is for its scopes and client": widerScope,
  "what one browser remembers is not another's": otherBrowser,
  "prompt=none without a session": noneWithoutSession,
  "prompt=none without a remembered consent": noneWithoutConsent,
  "prompt=none with both remembered": noneRemembered,
  "prompt=login asks again": loginForced({ prompt: "login" }),
  "max_age=0 asks again": loginForced({ max_age: "0" }),
  "prompt=consent asks again": consentForced,
  "login_hint reaches the login page": loginHint,
};
