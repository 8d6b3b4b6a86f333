// run.mjs SCRIPT ITERATIONS: runs a k6 script as far as k6 itself is not needed for it: setup, so many iterations of one
// virtual user, teardown. A check that fails ends it with 1. It says nothing about speed.
import { register } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

register('./hooks.mjs', import.meta.url);
globalThis.__ENV = process.env;

const { failed } = await import('k6');
const { close } = await import('k6/http');
const { default: exec } = await import('k6/execution');
const script = await import(pathToFileURL(resolve(process.argv[2])));
const iterations = Number(process.argv[3]);

const [scenario] = Object.values(script.options.scenarios);
if (scenario.executor !== 'constant-arrival-rate' || !(scenario.rate > 0) || !script.options.thresholds.checks) {
  throw new Error(`unexpected options: ${JSON.stringify(script.options)}`);
}
// k6 hands the data on as JSON.
const data = JSON.parse(JSON.stringify(script.setup ? script.setup() : null));
for (let n = 0; n < iterations; n += 1) {
  exec.scenario.iterationInTest = n;
  script.default(data);
}
script.teardown?.(data);
close();
if (failed.length > 0) {
  console.error(`checks failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
