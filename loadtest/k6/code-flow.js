// A user's whole sign-in: eight requests an iteration.
import exec from 'k6/execution';
import { codeFlow, forget, load, web } from './lib.js';

export const options = load('code_flow', 20, {
  iteration_duration: ['p(99)<1500'],
  'http_req_duration{name:tokens}': ['p(99)<250'],
});

export function setup() {
  return web();
}

export default function (client) {
  codeFlow(client, `load-${exec.scenario.iterationInTest}`);
}

export function teardown(client) {
  forget(client);
}
