// Every iteration issues a token and revokes it; the threshold is about the revocation.
import { forget, issue, load, machine, revoke } from './lib.js';

export const options = load('revoke', 100, {
  'http_req_duration{name:revoke}': ['p(99)<250'],
});

export function setup() {
  return machine();
}

export default function (client) {
  revoke(client, issue(client));
}

export function teardown(client) {
  forget(client);
}
