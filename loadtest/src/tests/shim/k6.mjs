// The module `k6`.
export const failed = [];

export function check(value, checks) {
  const wrong = Object.keys(checks).filter((name) => !checks[name](value));
  failed.push(...wrong);
  return wrong.length === 0;
}

export function sleep(seconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

export function fail(message) {
  throw new Error(message);
}
