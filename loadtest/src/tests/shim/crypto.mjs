// The module `k6/crypto`, as far as the scripts use it.
import { createHash, randomBytes as random } from 'node:crypto';

export function sha256(text, encoding) {
  if (encoding !== 'base64rawurl') throw new Error(`encoding ${encoding}`);
  return createHash('sha256').update(text).digest('base64url');
}

export function randomBytes(count) {
  return Uint8Array.from(random(count)).buffer;
}
