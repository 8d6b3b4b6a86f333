// Apache with mod_auth_openidc, from Debian's package: a page that only the logged-in user sees.
import assert from "node:assert/strict";
import { startApache } from "../apache.mjs";
import { arrives, confirmLogout, consent, logIn } from "../pages.mjs";
import { USER, introspect, issuer, register } from "../world.mjs";

const PORT = process.env.APACHE_PORT;

async function protectedPage({ page, app }) {
  const origin = `http://127.0.0.1:${PORT}`;
  const client = await register(app, {
    redirect_uris: [`${origin}/protected/callback`],
    post_logout_redirect_uris: [`${origin}/open.html`],
    scope: "openid profile",
  });
  const apache = await startApache(PORT, client);
  try {
    await throughIt(page, apache);
  } catch (error) {
    throw new Error(`${error.message}\nApache says:\n${apache.said().slice(-4000)}`);
  } finally {
    await apache.close();
  }
}

async function throughIt(page, { origin }) {
  const home = `${origin}/protected/`;
  await page.goto(home);
  await logIn(page, { remember: true });
  await consent(page, ["openid", "profile"], { remember: true });
  await arrives(page, home);
  assert.equal(await page.locator("#sub").innerText(), USER);
  assert.equal(await page.locator("#iss").innerText(), issuer);
  assert.equal((await introspect(await page.locator("#token").innerText())).active, true);

  await page.goto(`${home}callback?logout=${encodeURIComponent(`${origin}/open.html`)}`);
  await confirmLogout(page);
  await arrives(page, `${origin}/open.html`);
  await page.goto(home);
  await arrives(page, "login");
}

export default { "log in, see the claims, log out": protectedPage };
