// The discovery document.
import { check } from 'k6';
import http from 'k6/http';
import { BASE, json, load } from './lib.js';

export const options = load('discovery', 200, {
  'http_req_duration{name:discovery}': ['p(99)<100'],
});

export default function () {
  const found = json(http.get(`${BASE}/.well-known/openid-configuration`, { tags: { name: 'discovery' } }), 200);
  check(found, { 'there is an issuer': ({ issuer }) => Boolean(issuer) });
}
