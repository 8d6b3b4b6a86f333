// Chains of refresh tokens: each virtual user signs in once and then always sends its newest one.
import exec from 'k6/execution';
import { codeFlow, forget, load, refresh, web } from './lib.js';

export const options = load('refresh', 50, {
  'http_req_duration{name:refresh}': ['p(99)<250'],
});

let newest;

export function setup() {
  return web();
}

export default function (client) {
  newest = newest || codeFlow(client, `load-${exec.vu.idInTest}`).refresh_token;
  const sent = newest;
  // Whatever goes wrong, the same token is not sent twice.
  newest = undefined;
  newest = refresh(client, sent).refresh_token;
}

export function teardown(client) {
  forget(client);
}
