// The browser, and every page a user meets: whose it is, and what the user does there.
import assert from "node:assert/strict";
import { drivers, load } from "./packages.mjs";
import { PASSWORD, USER, world } from "./world.mjs";

const PATIENCE = 30_000;

/// Headless Chromium; without its sandbox, which root cannot have.
export async function launch() {
  const { chromium } = (await load("playwright-core")).default;
  return chromium.launch({
    executablePath: `${drivers}/bin/chromium`,
    chromiumSandbox: false,
    args: ["--disable-dev-shm-usage"],
  });
}

/// A browser profile of its own: no cookies yet.
export async function profile(browser) {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  context.setDefaultNavigationTimeout(PATIENCE);
  return context;
}

const PLACES = {
  login: () => `${world.consent}/login`,
  consent: () => `${world.consent}/consent`,
  logout: () => `${world.consent}/logout`,
  "user code": () => `${world.consent}/device/verify`,
  "device success": () => `${world.consent}/device/success`,
  "error": () => `${world.public}/oauth2/fallbacks/error`,
  "signed out by default": () => `${world.public}/oauth2/fallbacks/logout/callback`,
};

/// Waits until the browser stands at one of PLACES or at an address; fails with what it shows instead.
export async function arrives(page, place) {
  const wanted = PLACES[place]?.() ?? place;
  const there = (url) => url.href === wanted || url.href.startsWith(`${wanted}?`) || url.href.startsWith(`${wanted}#`);
  try {
    await page.waitForURL(there);
  } catch {
    const shown = await page.locator("body").innerText({ timeout: 1000 }).catch(() => "nothing");
    throw new Error(`expected ${place}, is at ${page.url()}: ${shown.slice(0, 400)}`);
  }
}

export async function logIn(page, { remember = false, password = PASSWORD } = {}) {
  await arrives(page, "login");
  await page.fill("#email", USER);
  await page.fill("#password", password);
  if (remember) await page.check("#remember");
  await page.click("#accept");
}

/// Grants these scopes of those that the page offers.
export async function consent(page, scopes, { remember = false } = {}) {
  await arrives(page, "consent");
  for (const scope of scopes) await page.check(`.grant_scope[value="${scope}"]`);
  if (remember) await page.check("#remember");
  await page.click("#accept");
}

export async function deny(page, place) {
  await arrives(page, place);
  await page.click("#reject");
}

export async function confirmLogout(page) {
  await arrives(page, "logout");
  await page.click("#accept");
}

/// What the callback was given: an authorization answer's parameters.
export async function answerAt(page, app) {
  await arrives(page, app.callback);
  return JSON.parse(await page.locator("#answer").textContent());
}

/// The public listener's error page with this error; its parameters.
export async function errorPage(page, error) {
  await arrives(page, "error");
  const given = Object.fromEntries(new URL(page.url()).searchParams);
  assert.equal(given.error, error, given.error_description);
  assert.ok((await page.locator("body").innerText()).includes(error), "the page names the error");
  return given;
}

/// The login session's cookie, if the browser has it.
export async function sessionCookie(context) {
  const cookies = await context.cookies(world.public);
  return cookies.find((cookie) => cookie.name === "ory_hydra_session_dev");
}
