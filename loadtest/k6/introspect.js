// Introspection of live tokens, issued before.
import { forget, introspect, issue, load, machine } from './lib.js';

export const options = load('introspect', 200, {
  'http_req_duration{name:introspect}': ['p(99)<250'],
});

export function setup() {
  const client = machine();
  return { client, tokens: Array.from({ length: 100 }, () => issue(client)) };
}

export default function ({ tokens }) {
  introspect(tokens[Math.floor(Math.random() * tokens.length)]);
}

export function teardown({ client }) {
  forget(client);
}
