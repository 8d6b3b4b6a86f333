// Many flows of one browser at once: each tab finishes, with its own answer.
import assert from "node:assert/strict";
import { authorizeUrl, idToken, redeem } from "../flow.mjs";
import { answerAt, consent, logIn } from "../pages.mjs";
import { register } from "../world.mjs";

const TABS = 10;

/// Every step is done in all tabs before the next one is, so that all flows are under way together.
const together = (clientOf, options) => async ({ context, app }) => {
  const clients = await clientOf(app);
  const tabs = await Promise.all(
    Array.from({ length: TABS }, async (_, index) => {
      const client = clients[index % clients.length];
      return { client, url: authorizeUrl(client), page: await context.newPage() };
    }),
  );
  const all = (step) => Promise.all(tabs.map(step));
  await tabs[0].page.goto(tabs[0].url); // the login and consent app gives its own CSRF cookie to the first that comes
  await all((tab) => tab.page.goto(tab.url));
  await all((tab) => logIn(tab.page, options));
  await all((tab) => consent(tab.page, ["openid", "offline_access"], options));
  const answers = await all((tab) => answerAt(tab.page, app));
  const given = await all((tab, index) => redeem(tab.client, answers[index]));
  for (const [index, tab] of tabs.entries()) {
    const asked = new URL(tab.url).searchParams;
    assert.equal(answers[index].state, asked.get("state"));
    assert.equal((await idToken(tab.client, given[index])).nonce, asked.get("nonce"));
  }
  assert.equal(new Set(answers.map((answer) => answer.code)).size, TABS);
};

const one = async (app) => [await register(app)];
const two = async (app) => [await register(app), await register(app)];

export default {
  "ten tabs of one client": together(one, {}),
  "ten tabs of one client, remembered": together(one, { remember: true }),
  "ten tabs of two clients": together(two, {}),
};
