// A day's traffic: of 100 iterations 60 introspect, 25 get a token by client_credentials, 10 refresh, 4 are whole
// sign-ins and one revokes.
import exec from 'k6/execution';
import { codeFlow, forget, introspect, issue, load, machine, refresh, revoke, web } from './lib.js';

export const options = load('mixed', 100, {
  'http_req_duration{name:introspect}': ['p(99)<250'],
  'http_req_duration{name:client_credentials}': ['p(99)<250'],
  'http_req_duration{name:refresh}': ['p(99)<250'],
  'http_req_duration{name:tokens}': ['p(99)<250'],
  'http_req_duration{name:revoke}': ['p(99)<250'],
});

let newest;

export function setup() {
  const service = machine();
  return { service, users: web(), tokens: Array.from({ length: 100 }, () => issue(service)) };
}

export default function ({ service, users, tokens }) {
  const n = exec.scenario.iterationInTest;
  const subject = `load-${n}`;
  const kind = ((n % 100) * 37) % 100;
  if (kind < 60) {
    introspect(tokens[n % tokens.length]);
  } else if (kind < 85) {
    issue(service);
  } else if (kind < 95) {
    const sent = newest || codeFlow(users, subject).refresh_token;
    newest = undefined;
    newest = refresh(users, sent).refresh_token;
  } else if (kind < 99) {
    codeFlow(users, subject);
  } else {
    revoke(service, issue(service));
  }
}

export function teardown({ service, users }) {
  forget(service, users);
}
