// One authorization code flow as the client and its user go through it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { answerAt, consent, logIn } from "./pages.mjs";
import { fresh, tokens, verified, world } from "./world.mjs";

/// The authorization request's URL; members of `over` replace the usual parameters, null removes one.
export function authorizeUrl(client, over = {}) {
  const usual = {
    client_id: client.client_id,
    redirect_uri: client.redirect_uris[0],
    response_type: "code",
    scope: client.scope,
    state: fresh("state-of"),
    nonce: fresh("nonce-of"),
  };
  const wanted = Object.entries({ ...usual, ...over }).filter(([, value]) => value !== null);
  return `${world.public}/oauth2/auth?${new URLSearchParams(wanted)}`;
}

/// RFC 7636 section 4.2, S256.
export function pkce() {
  const verifier = fresh("a-verifier-of-at-least-forty-three-characters");
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  return { verifier, params: { code_challenge: challenge, code_challenge_method: "S256" } };
}

/// Login, consent to `grant` (default: all that is asked), back at the client: the answer's parameters, state checked.
export async function walk(page, app, client, { over = {}, grant, remember = false } = {}) {
  const url = authorizeUrl(client, over);
  const asked = new URL(url).searchParams;
  await page.goto(url);
  await logIn(page, { remember });
  await consent(page, grant ?? asked.get("scope").split(" "), { remember });
  const answer = await answerAt(page, app);
  assert.equal(answer.state, asked.get("state"), JSON.stringify(answer));
  return { ...answer, nonce: asked.get("nonce") };
}

/// The code of an answer, redeemed.
export function redeem(client, answer, more = {}) {
  assert.ok(answer.code, JSON.stringify(answer));
  const redirect_uri = client.redirect_uris[0];
  return tokens(client, { grant_type: "authorization_code", code: answer.code, redirect_uri, ...more });
}

/// Both together: tokens of a fresh login and consent.
export async function signIn(page, app, client, options = {}) {
  return redeem(client, await walk(page, app, client, options), options.redeem);
}

/// The claims of an ID token of `client`, its signature, issuer, audience, times and at_hash checked.
export async function idToken(client, given) {
  const { claims, header } = await verified(given.id_token, { audience: client.client_id });
  assert.equal(header.alg, "RS256");
  const half = createHash("sha256").update(given.access_token ?? "").digest().subarray(0, 16);
  if (given.access_token) assert.equal(claims.at_hash, half.toString("base64url"));
  for (const name of ["sub", "exp", "iat", "auth_time", "rat", "jti", "sid"]) assert.ok(claims[name], `${name} is missing`);
  return claims;
}
