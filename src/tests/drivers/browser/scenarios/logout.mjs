// Logout: by the user alone, by a client (RP-Initiated Logout 1.0), and how the clients hear of it (Front- and
// Back-Channel Logout 1.0).
import assert from "node:assert/strict";
import { authorizeUrl, idToken, signIn } from "../flow.mjs";
import { arrives, confirmLogout, errorPage, sessionCookie } from "../pages.mjs";
import { USER, admin, fresh, issuer, register, verified, world } from "../world.mjs";

const logoutUrl = (over = {}) => `${world.public}/oauth2/sessions/logout?${new URLSearchParams(over)}`;
const DONE = "Your log out request however succeeded.";

/// A user who is logged in and remembered: the client, its ID token and its claims.
async function loggedIn({ page, app }, over = {}, options = { remember: true }) {
  const client = await register(app, { post_logout_redirect_uris: [app.signedOut], ...over });
  const given = await signIn(page, app, client, options);
  return { client, hint: given.id_token, claims: await idToken(client, given) };
}

async function loggedOut({ page, context }, client) {
  assert.equal(await sessionCookie(context), undefined, "the session's cookie is gone");
  await page.goto(authorizeUrl(client));
  await arrives(page, "login");
}

async function withoutSession({ page }) {
  await page.goto(logoutUrl());
  await arrives(page, "signed out by default");
  assert.ok((await page.locator("body").innerText()).includes(DONE));
}

async function byTheUser(t) {
  const { client } = await loggedIn(t);
  assert.ok(await sessionCookie(t.context), "there is a session");
  await t.page.goto(logoutUrl());
  await confirmLogout(t.page);
  await arrives(t.page, "signed out by default");
  assert.ok((await t.page.locator("body").innerText()).includes(DONE));
  await loggedOut(t, client);
}

async function byTheClient(t) {
  const { client, hint } = await loggedIn(t);
  const state = fresh("state-of-logout");
  await t.page.goto(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: t.app.signedOut, state }));
  await confirmLogout(t.page);
  await arrives(t.page, t.app.signedOut);
  assert.equal(new URL(t.page.url()).searchParams.get("state"), state);
  await loggedOut(t, client);
}

async function withoutState(t) {
  const { client, hint } = await loggedIn(t);
  await t.page.goto(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: t.app.signedOut }));
  await confirmLogout(t.page);
  await arrives(t.page, t.app.signedOut);
  assert.equal(new URL(t.page.url()).search, "");
  await loggedOut(t, client);
}

async function elsewhere(t) {
  const { client, hint } = await loggedIn(t);
  await t.page.goto(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: `${t.app.origin}/elsewhere` }));
  await errorPage(t.page, "invalid_request");
  assert.ok(await sessionCookie(t.context), "still logged in");
  await t.page.goto(logoutUrl({ post_logout_redirect_uri: t.app.signedOut }));
  await errorPage(t.page, "invalid_request"); // nobody's address without a hint
  await t.page.goto(authorizeUrl(client));
  await arrives(t.page, t.app.callback);
}

/// Members of a client that wants both notices, each at an address of its own.
function listening(app) {
  const of = fresh("notice");
  const client = {
    frontchannel_logout_uri: `${app.origin}/front?of=${of}`,
    frontchannel_logout_session_required: true,
    backchannel_logout_uri: `${app.origin}/back?of=${of}`,
    backchannel_logout_session_required: true,
  };
  return { client, match: (given) => given.of === of };
}

async function isLogoutToken(token, client, sid) {
  const { claims } = await verified(token, { audience: client.client_id });
  assert.deepEqual(claims.events, { "http://schemas.openid.net/event/backchannel-logout": {} });
  assert.equal(claims.sid, sid);
  assert.equal(claims.sub, USER);
  assert.ok(claims.jti && claims.exp > claims.iat && claims.exp - claims.iat <= 120, JSON.stringify(claims));
  assert.ok(!("nonce" in claims));
}

async function bothChannels(t) {
  const { client: wanted, match } = listening(t.app);
  const { client, hint, claims } = await loggedIn(t, wanted);
  await t.page.goto(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: t.app.signedOut }));
  await confirmLogout(t.page);
  const front = await t.app.hears("/front", match);
  assert.equal(front.dest, "iframe");
  assert.equal(front.given.iss, issuer);
  assert.equal(front.given.sid, claims.sid);
  const back = await t.app.hears("/back", match);
  assert.equal(back.method, "POST");
  await isLogoutToken(back.given.logout_token, client, claims.sid);
  await arrives(t.page, t.app.signedOut);
  await loggedOut(t, client);
}

async function allClientsOfTheSession(t) {
  const [one, other, stranger] = [listening(t.app), listening(t.app), listening(t.app)];
  const { claims } = await loggedIn(t, one.client);
  const second = await register(t.app, { ...other.client, skip_consent: true });
  await t.page.goto(authorizeUrl(second));
  await arrives(t.page, t.app.callback);
  await register(t.app, stranger.client);
  await t.page.goto(logoutUrl());
  await confirmLogout(t.page);
  for (const { match } of [one, other]) {
    assert.equal((await t.app.hears("/front", match)).given.sid, claims.sid);
    await t.app.hears("/back", match);
  }
  await arrives(t.page, "signed out by default");
  assert.ok(!t.app.heard.some((notice) => stranger.match(notice.given)), "a client without a part in it was called");
}

async function notRemembered(t) {
  const { client: wanted, match } = listening(t.app);
  const { client, hint, claims } = await loggedIn(t, wanted, {});
  await t.page.goto(logoutUrl({ id_token_hint: hint, post_logout_redirect_uri: t.app.signedOut }));
  await confirmLogout(t.page);
  await isLogoutToken((await t.app.hears("/back", match)).given.logout_token, client, claims.sid);
  await arrives(t.page, t.app.signedOut);
}

async function byTheOperator(t) {
  const { client: wanted, match } = listening(t.app);
  const { client, claims } = await loggedIn(t, wanted);
  const done = await admin("DELETE", `/oauth2/auth/sessions/login?sid=${claims.sid}`);
  assert.equal(done.status, 204);
  await isLogoutToken((await t.app.hears("/back", match)).given.logout_token, client, claims.sid);
  await t.page.goto(authorizeUrl(client));
  await arrives(t.page, "login");
}

export default {
  "without a session: the default page": withoutSession,
  "by the user: logout page, default page": byTheUser,
  "by a client: logout page, back to it with its state": byTheClient,
  "by a client without state": withoutState,
  "an address that is not registered": elsewhere,
  "front- and back-channel are called": bothChannels,
  "every client of the session hears of it, no other": allClientsOfTheSession,
  "a login that was not remembered": notRemembered,
  "by the operator, with back-channel": byTheOperator,
};
