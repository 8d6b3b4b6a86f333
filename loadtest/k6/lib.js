// What the scripts share: where the server is, its clients, and the requests. BASE is its public URL, ADMIN its admin
// URL; RATE (iterations a second) and DURATION change the load.
import { check, fail } from 'k6';
import { randomBytes, sha256 } from 'k6/crypto';
import encoding from 'k6/encoding';
import http from 'k6/http';

export const BASE = (__ENV.BASE || 'http://127.0.0.1:4444').replace(/\/$/, '');
export const ADMIN = (__ENV.ADMIN || 'http://127.0.0.1:4445').replace(/\/$/, '');
const CALLBACK = 'http://127.0.0.1:4446/callback';

// An open loop: iterations begin at this rate whatever the server does, and none may be dropped.
export function load(name, rate, thresholds) {
  return {
    scenarios: {
      [name]: {
        executor: 'constant-arrival-rate',
        rate: Number(__ENV.RATE || rate),
        timeUnit: '1s',
        duration: __ENV.DURATION || '30s',
        preAllocatedVUs: 50,
        maxVUs: 500,
      },
    },
    thresholds: {
      checks: ['rate>0.999'],
      dropped_iterations: ['count==0'],
      ...thresholds,
    },
  };
}

// Registers a client that may use client_credentials.
export function machine(more = {}) {
  return register({ grant_types: ['client_credentials'], scope: 'load', ...more });
}

// Registers a client that users sign in at.
export function web() {
  return register({
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    redirect_uris: [CALLBACK],
    scope: 'openid offline load',
  });
}

function register(registration) {
  const body = {
    client_name: 'signet-loadtest',
    token_endpoint_auth_method: 'client_secret_basic',
    access_token_strategy: 'opaque',
    ...registration,
  };
  const made = json(http.post(`${ADMIN}/admin/clients`, JSON.stringify(body), asJson('clients')), 201);
  return { id: made.client_id, secret: made.client_secret };
}

// Deletes clients, and with them their tokens.
export function forget(...clients) {
  for (const client of clients) {
    http.del(`${ADMIN}/admin/clients/${client.id}`, null, { tags: { name: 'clients' } });
  }
}

// One token by client_credentials.
export function issue(client) {
  return token(client, { grant_type: 'client_credentials', scope: 'load' }, 'client_credentials').access_token;
}

// The next tokens of a chain.
export function refresh(client, refreshToken) {
  return token(client, { grant_type: 'refresh_token', refresh_token: refreshToken }, 'refresh');
}

// A token request with a wrong secret. It is refused, or told to wait.
export function guess(client) {
  const params = { headers: basic({ id: client.id, secret: text() }), tags: { name: 'wrong secret' } };
  const answer = http.post(`${BASE}/oauth2/token`, { grant_type: 'client_credentials', scope: 'load' }, params);
  check(answer, { 'a wrong secret is refused': ({ status }) => [401, 429, 503].includes(status) });
}

// Asks whether a token is active; it must be, or it must not.
export function introspect(accessToken, active = true) {
  const answer = http.post(`${ADMIN}/admin/oauth2/introspect`, { token: accessToken }, { tags: { name: 'introspect' } });
  check(json(answer, 200), { [`token is ${active ? '' : 'not '}active`]: (found) => found.active === active });
}

// Revokes a token.
export function revoke(client, accessToken) {
  const params = { headers: basic(client), tags: { name: 'revoke' } };
  const answer = http.post(`${BASE}/oauth2/revoke`, { token: accessToken }, params);
  check(answer, { 'revoke: 200': (found) => found.status === 200 });
}

// A token with another character in the middle of its last part, which is its signature.
export function tampered(token) {
  const start = token.lastIndexOf('.') + 1;
  const at = Math.floor((start + token.length) / 2);
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
}

// Asks for the claims of a user.
export function userinfo(accessToken) {
  const params = { headers: { Authorization: `Bearer ${accessToken}` }, tags: { name: 'userinfo' } };
  check(json(http.get(`${BASE}/userinfo`, params), 200), { 'user has a sub': (found) => Boolean(found.sub) });
}

// The whole authorization code flow: this script is the browser, the login and consent app, and the client.
export function codeFlow(client, subject) {
  const jar = new http.CookieJar();
  const verifier = text();
  const state = text();
  let at = `/oauth2/auth?${query({
    client_id: client.id,
    redirect_uri: CALLBACK,
    response_type: 'code',
    scope: 'openid offline',
    state,
    nonce: text(),
    code_challenge: sha256(verifier, 'base64rawurl'),
    code_challenge_method: 'S256',
  })}`;
  const login = browse(jar, at, 'authorize', 'login_challenge');
  app('GET', 'login', login);
  at = app('PUT', 'login/accept', login, { subject, remember: false, remember_for: 3600 });
  const consent = browse(jar, at, 'login verified', 'consent_challenge');
  const asked = app('GET', 'consent', consent);
  at = app('PUT', 'consent/accept', consent, {
    grant_scope: asked.requested_scope,
    grant_access_token_audience: asked.requested_access_token_audience,
    remember: false,
    remember_for: 3600,
    session: { access_token: { tenant: 'load' }, id_token: { name: 'Load Test' } },
  });
  const code = browse(jar, at, 'code', 'code');
  const form = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier };
  return token(client, form, 'tokens');
}

function token(client, form, name) {
  return json(http.post(`${BASE}/oauth2/token`, form, { headers: basic(client), tags: { name } }), 200);
}

// The browser goes somewhere and is sent on; the parameter of that name in the address.
function browse(jar, path, name, wanted) {
  const answer = http.get(BASE + path, { jar, redirects: 0, tags: { name } });
  const found = param(answer.headers.Location || '', wanted);
  if (!check(answer, { [`${name}: redirect`]: () => found !== '' })) {
    fail(`${name}: ${answer.status} ${answer.headers.Location} ${answer.body}`);
  }
  return found;
}

// A request of the login and consent app. What an accepted one answers is where the browser goes back to, without the
// host: the server may know itself by another address than BASE.
function app(method, what, challenge, body) {
  const kind = what.split('/')[0];
  const url = `${ADMIN}/admin/oauth2/auth/requests/${what}?${query({ [`${kind}_challenge`]: challenge })}`;
  const params = asJson(what);
  const found = json(method === 'GET' ? http.get(url, params) : http.put(url, JSON.stringify(body), params), 200);
  return body ? found.redirect_to.slice(found.redirect_to.indexOf('/oauth2/auth')) : found;
}

// The body of an answer, which must have that status.
export function json(answer, status) {
  if (!check(answer, { 'status is right': (found) => found.status === status })) {
    fail(`${answer.status} instead of ${status}: ${answer.body}`);
  }
  return answer.json();
}

function asJson(name) {
  return { headers: { 'Content-Type': 'application/json' }, tags: { name } };
}

function basic({ id, secret }) {
  const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
  return { Authorization: `Basic ${encoding.b64encode(pair)}` };
}

function query(pairs) {
  return Object.entries(pairs).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
}

function param(url, name) {
  const found = new RegExp(`[?&]${name}=([^&#]*)`).exec(url);
  return found ? decodeURIComponent(found[1].replace(/\+/g, ' ')) : '';
}

// What nobody can guess.
export function text() {
  return encoding.b64encode(randomBytes(32), 'rawurl');
}
