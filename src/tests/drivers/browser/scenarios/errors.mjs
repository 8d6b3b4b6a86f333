// What goes wrong: told to the client where its address is known to be right, on the error page otherwise.
import assert from "node:assert/strict";
import { authorizeUrl, redeem, walk } from "../flow.mjs";
import { answerAt, consent, deny, errorPage, logIn } from "../pages.mjs";
import { call, fresh, issuer, refused, register, until, world } from "../world.mjs";

const DENIED = "The resource owner denied the request";

/// The client is told `error`; `over` is what is wrong with the request.
const told = (error, over, client = {}) => async ({ page, app }) => {
  const url = authorizeUrl(await register(app, client), over);
  await page.goto(url);
  const answer = await answerAt(page, app);
  assert.equal(answer.error, error, JSON.stringify(answer));
  assert.equal(answer.state, new URL(url).searchParams.get("state") ?? undefined);
  assert.equal(answer.iss, issuer); // RFC 9207 section 2, in errors too
  assert.ok(answer.error_description && !answer.code);
};

/// Nobody but the user is told, on a page of the public listener.
const shown = (error, over, mentions) => async ({ page, app }) => {
  const url = authorizeUrl(await register(app), over);
  await page.goto(url);
  const given = await errorPage(page, error);
  assert.ok(given.error_description.includes(mentions), given.error_description);
  assert.ok(!app.heard.some((one) => one.given.state === new URL(url).searchParams.get("state")), "the client heard of it");
};

async function denied({ page, app }, atLogin) {
  const client = await register(app);
  const url = authorizeUrl(client);
  await page.goto(url);
  if (!atLogin) await logIn(page);
  await deny(page, atLogin ? "login" : "consent");
  const answer = await answerAt(page, app);
  assert.equal(answer.error, "access_denied");
  assert.equal(answer.error_description, DENIED);
  assert.equal(answer.state, new URL(url).searchParams.get("state"));
}

async function grantNotAllowed({ page, app }) {
  const client = await register(app, { grant_types: ["client_credentials"] });
  const answer = await walk(page, app, client);
  const form = { grant_type: "authorization_code", code: answer.code, redirect_uri: app.callback };
  await refused(client, form, "unauthorized_client");
}

async function wrongPassword({ page, app }) {
  const client = await register(app);
  await page.goto(authorizeUrl(client));
  await logIn(page, { password: "wrong" });
  await page.getByText("not correct").waitFor();
  await logIn(page);
  await consent(page, ["openid"]);
  await redeem(client, await answerAt(page, app));
}

/// The user clicks, but the browser is kept from following the login and consent app's answer: the link in it.
async function intercept(page, place, click) {
  let link;
  const keep = async (route) => {
    link = (await route.fetch({ maxRedirects: 0 })).headers().location;
    await route.fulfill({ contentType: "text/html", body: "kept" });
  };
  await page.route((url) => url.href === `${world.consent}/${place}`, keep);
  await click();
  return until(() => link, `the link of ${place}`);
}

/// Somebody else's browser that is sent to a link of this flow gets nowhere; the right browser still does.
const inAnotherBrowser = (place) => async ({ page, app, profile }) => {
  const client = await register(app);
  await page.goto(authorizeUrl(client));
  if (place === "consent") await logIn(page);
  const link = await intercept(page, place, () => (place === "login" ? logIn(page) : consent(page, ["openid"])));
  const stranger = await (await profile()).newPage();
  await stranger.goto(link);
  const answer = await answerAt(stranger, app);
  assert.ok(answer.error === "request_forbidden" && !answer.code, JSON.stringify(answer));
  await page.goto(link);
  if (place === "login") await consent(page, ["openid"]);
  await redeem(client, await answerAt(page, app));
};

async function consentLinkTwice({ page, app }) {
  const client = await register(app);
  await page.goto(authorizeUrl(client));
  await logIn(page);
  const link = await intercept(page, "consent", () => consent(page, ["openid"]));
  await page.goto(link);
  await redeem(client, await answerAt(page, app));
  await page.goto(link);
  const again = await answerAt(page, app);
  assert.ok(again.error === "access_denied" && !again.code, JSON.stringify(again));
}

async function madeUpVerifier({ page, app }) {
  await page.goto(authorizeUrl(await register(app), { login_verifier: fresh("made-up") }));
  const answer = await answerAt(page, app);
  assert.ok(answer.error === "access_denied" && !answer.code, JSON.stringify(answer));
}

async function errorStatus({ app }) {
  const bad = await call(authorizeUrl(await register(app), { client_id: fresh("nobody") }));
  assert.equal(bad.status, 302);
  const page = await call(bad.headers.get("location"));
  assert.equal(page.status, 500);
  assert.match(page.headers.get("content-type"), /^text\/html/);
}

export default {
  "denied at login": (t) => denied(t, true),
  "denied at consent": (t) => denied(t, false),
  "a wrong password is asked again": wrongPassword,
  "an unknown client": shown("invalid_client", { client_id: fresh("nobody") }, ""),
  "an address that is not the client's": shown("invalid_request", { redirect_uri: "http://127.0.0.1:9/other" }, "redirect_uri"),
  "the error page is HTML with status 500": errorStatus,
  "a scope that the client may not ask": told("invalid_scope", { scope: "openid everything" }),
  "an audience that the client may not ask": told("invalid_request", { audience: "https://api.example.com" }),
  "an unknown response type": told("unsupported_response_type", { response_type: "all" }),
  "a state that is too short": told("invalid_state", { state: "short" }),
  "a grant that the client does not have": grantNotAllowed,
  "a login link in another browser": inAnotherBrowser("login"),
  "a consent link in another browser": inAnotherBrowser("consent"),
  "a consent link used twice": consentLinkTwice,
  "a login verifier that nobody gave out": madeUpVerifier,
};
