// node run.mjs GROUP...: plays scenarios/GROUP.mjs on the servers of PUBLIC_URL, ADMIN_URL and CONSENT_URL with the
// browser of DRIVERS; one line each, "ok NAME" or "not ok NAME: reason". ONLY=TEXT plays those with TEXT in their name.
import { startApp } from "./app.mjs";
import { authorizeUrl } from "./flow.mjs";
import { launch, profile } from "./pages.mjs";
import { register, until, world } from "./world.mjs";

const LANES = 3; // scenarios under way at once
const LIMIT = 10 * 60_000; // of the whole run; a driver that hangs must end by itself

const app = await startApp(new URL(world.consent).hostname);
const browser = await launch();

/// One scenario in a browser profile of its own, closed whatever happens. `t.profile()` opens further ones.
async function play(steps) {
  const opened = [];
  const open = async () => {
    opened.push(await profile(browser));
    return opened.at(-1);
  };
  try {
    const context = await open();
    await steps({ app, context, page: await context.newPage(), profile: open, browser });
  } finally {
    for (const context of opened) await context.close();
  }
}

/// All that a flow needs is awake: the first login page of a browser, a template and a server takes its time.
async function warmUp({ page }) {
  const url = authorizeUrl(await register(app));
  await until(() => page.goto(url).then(() => page.locator("#email").isVisible()), "the first login page");
}

/// The scenarios of these groups; those of a group that must be `alone` last.
async function scenarios(groups) {
  const found = [];
  for (const group of groups) {
    const module = await import(`./scenarios/${group}.mjs`);
    for (const [name, steps] of Object.entries(module.default)) {
      found.push({ name: `${group}: ${name}`, steps, alone: module.alone ?? false });
    }
  }
  return found.filter(({ name }) => name.includes(process.env.ONLY ?? ""));
}

setTimeout(() => {
  console.log(`not ok ${LIMIT} ms are over`);
  process.exit(1);
}, LIMIT).unref();

let failed = 0;
async function run({ name, steps }) {
  const began = Date.now();
  try {
    await play(steps);
    console.log(`ok ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${name}: ${error.stack ?? error}`);
  }
}

async function lane(queue) {
  for (let next = queue.shift(); next; next = queue.shift()) await run(next);
}

await play(warmUp);
const all = await scenarios(process.argv.slice(2));
const shared = all.filter(({ alone }) => !alone);
await Promise.all(Array.from({ length: LANES }, () => lane(shared)));
await lane(all.filter(({ alone }) => alone));
await browser.close();
console.log(`${all.length - failed} of ${all.length} scenarios passed`);
process.exit(failed === 0 && all.length > 0 ? 0 : 1);
