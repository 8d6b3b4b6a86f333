// The claims of users, with access tokens of real sign-ins.
import { codeFlow, forget, load, userinfo, web } from './lib.js';

export const options = load('userinfo', 200, {
  'http_req_duration{name:userinfo}': ['p(99)<250'],
});

export function setup() {
  const client = web();
  return { client, tokens: Array.from({ length: 10 }, (_, n) => codeFlow(client, `load-${n}`).access_token) };
}

export default function ({ tokens }) {
  userinfo(tokens[Math.floor(Math.random() * tokens.length)]);
}

export function teardown({ client }) {
  forget(client);
}
