// Consents and sessions as the operator sees and ends them. Alone, because they are one user's, whom all scenarios share.
import assert from "node:assert/strict";
import { authorizeUrl, idToken, redeem, signIn, walk } from "../flow.mjs";
import { arrives } from "../pages.mjs";
import { USER, admin, introspect, register } from "../world.mjs";

export const alone = true;

const of = `subject=${encodeURIComponent(USER)}`;

async function listed(client) {
  const { status, body } = await admin("GET", `/oauth2/auth/sessions/consent?${of}&page_size=500`);
  assert.equal(status, 200, JSON.stringify(body));
  return body.filter((one) => one.consent_request.client.client_id === client.client_id);
}

async function ended(query) {
  const { status, body } = await admin("DELETE", `/oauth2/auth/sessions/${query}`);
  assert.equal(status, 204, JSON.stringify(body));
}

async function listAndEndAll({ page, app }) {
  const client = await register(app);
  const given = await signIn(page, app, client, { grant: ["openid", "offline_access"], remember: true });
  const [seen, ...more] = await listed(client);
  assert.equal(more.length, 0);
  assert.deepEqual([...seen.grant_scope].sort(), ["offline_access", "openid"]);
  assert.equal(seen.remember, true);
  assert.ok(!Number.isNaN(Date.parse(seen.handled_at)));
  assert.equal((await introspect(given.access_token)).active, true);

  await ended(`consent?${of}&all=true`);
  assert.deepEqual((await admin("GET", `/oauth2/auth/sessions/consent?${of}`)).body, []);
  for (const kind of ["access_token", "refresh_token"]) assert.equal((await introspect(given[kind])).active, false, kind);
}

async function endOneClients({ page, app }) {
  const [one, other] = [await register(app), await register(app)];
  const first = await signIn(page, app, one, { remember: true });
  await page.context().clearCookies();
  const second = await signIn(page, app, other);
  await ended(`consent?${of}&client=${one.client_id}`);
  assert.equal((await introspect(first.access_token)).active, false);
  assert.equal((await introspect(second.access_token)).active, true);
  assert.equal((await listed(other)).length, 1);
}

async function endTheLogin({ page, app }) {
  const client = await register(app);
  const given = await redeem(client, await walk(page, app, client, { remember: true }));
  assert.ok((await idToken(client, given)).sid);
  await ended(`login?${of}`);
  await page.goto(authorizeUrl(client));
  await arrives(page, "login");
  assert.equal((await introspect(given.access_token)).active, true, "tokens stay");
}

export default {
  "a consent is listed, and ended with its tokens": listAndEndAll,
  "one client's consent is ended, the others stay": endOneClients,
  "a user's login sessions are ended": endTheLogin,
};
