// The public keys.
import { check } from 'k6';
import http from 'k6/http';
import { BASE, json, load } from './lib.js';

export const options = load('jwks', 200, {
  'http_req_duration{name:jwks}': ['p(99)<100'],
});

export default function () {
  const found = json(http.get(`${BASE}/.well-known/jwks.json`, { tags: { name: 'jwks' } }), 200);
  check(found, { 'there are keys': ({ keys }) => keys.length > 0 });
}
