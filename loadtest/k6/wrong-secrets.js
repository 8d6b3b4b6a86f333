// Of ten iterations one guesses the secret of the client whose right secret the others use: they must not feel it.
import exec from 'k6/execution';
import { forget, guess, issue, load, machine } from './lib.js';

export const options = load('wrong_secrets', 100, {
  'http_req_duration{name:client_credentials}': ['p(99)<250'],
});

// The secret was right once before anybody guesses.
export function setup() {
  const client = machine();
  issue(client);
  return client;
}

export default function (client) {
  if (exec.scenario.iterationInTest % 10 === 0) {
    guess(client);
  } else {
    issue(client);
  }
}

export function teardown(client) {
  forget(client);
}
