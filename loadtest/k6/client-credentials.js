// One new token an iteration.
//   k6 run -e BASE=http://127.0.0.1:4444 -e ADMIN=http://127.0.0.1:4445 -e RATE=500 client-credentials.js
import { forget, issue, load, machine } from './lib.js';

export const options = load('client_credentials', 100, {
  'http_req_duration{name:client_credentials}': ['p(99)<250'],
});

export function setup() {
  return machine();
}

export default function (client) {
  issue(client);
}

export function teardown(client) {
  forget(client);
}
