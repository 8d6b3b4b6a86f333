// The browser's part of the guide: HOME_URL is the page that `signet token user` serves.
import assert from "node:assert/strict";
import { arrives, consent, logIn } from "../pages.mjs";

const home = process.env.HOME_URL;

async function authorizeApplication({ page }) {
  await page.goto(home);
  await page.getByRole("link", { name: "Authorize application" }).click();
  await logIn(page);
  await consent(page, ["openid", "offline"]);
  await arrives(page, new URL("callback", home).href);
  const shown = await page.locator("body").innerText();
  assert.ok(!/error/i.test(shown), shown);
}

export default { "home page, login, consent, callback": authorizeApplication };
