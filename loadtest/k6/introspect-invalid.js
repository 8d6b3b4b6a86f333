// Introspection of what is no token: garbage, tampered with, expired, and of a client that was deleted, in turn.
import { sleep } from 'k6';
import exec from 'k6/execution';
import { forget, introspect, issue, load, machine, tampered, text } from './lib.js';

export const options = load('introspect_invalid', 200, {
  'http_req_duration{name:introspect}': ['p(99)<250'],
});

const EACH = 25;

export function setup() {
  const [live, short, gone] = [machine(), machine({ client_credentials_grant_access_token_lifespan: '1s' }), machine()];
  const many = (make) => Array.from({ length: EACH }, make);
  const kinds = [many(text), many(() => tampered(issue(live))), many(() => issue(short)), many(() => issue(gone))];
  forget(gone);
  sleep(2);
  return { clients: [live, short], tokens: many((_, n) => kinds.map((kind) => kind[n])).flat() };
}

export default function ({ tokens }) {
  introspect(tokens[exec.scenario.iterationInTest % tokens.length], false);
}

export function teardown({ clients }) {
  forget(...clients);
}
