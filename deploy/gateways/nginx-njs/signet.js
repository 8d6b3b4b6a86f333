// Asks Signet for the JWT of a token: 200 with it, 204 for one that is not active or lacks the scope. Anything else means
// that nobody knows, and nobody passes.
import crypto from 'crypto';

// The token of the one well-formed Authorization header, or nothing.
function token(r) {
  const found = /^bearer +([-._~+\/0-9A-Za-z]+=*) *$/i.exec(r.headersIn.Authorization || '');
  return found ? found[1] : '';
}

// What the token is called in the cache.
function hash(r) {
  return crypto.createHash('sha256').update(token(r)).digest('base64url');
}

async function check(r) {
  const presented = token(r);
  if (!presented) {
    return refuse(r, r.headersIn.Authorization ? ', error="invalid_token"' : '');
  }
  const form = 'token=' + encodeURIComponent(presented) + '&scope=' + encodeURIComponent(r.variables.signet_scope || '');
  const answer = await r.subrequest('/_introspect', { method: 'POST', body: form });
  if (answer.status === 204) {
    return refuse(r, ', error="invalid_token"');
  }
  if (answer.status !== 200) {
    r.error('introspection answered ' + answer.status);
    return r.return(503);
  }
  r.headersOut['X-Auth-Jwt'] = answer.responseText;
  r.return(204);
}

function refuse(r, error) {
  r.headersOut['WWW-Authenticate'] = 'Bearer realm="signet"' + error;
  r.return(401);
}

export default { token, hash, check };
