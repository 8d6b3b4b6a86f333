// The module `k6/http`, as far as the scripts use it. k6 waits for an answer, so this does too: a thread fetches.
import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads';

const signal = new Int32Array(new SharedArrayBuffer(4));
const { port1: here, port2: there } = new MessageChannel();
const fetcher = new Worker(new URL('./fetcher.mjs', import.meta.url), {
  workerData: { port: there, signal },
  transferList: [there],
});

// Cookies of one browser at one origin.
class CookieJar {
  constructor() {
    this.pairs = new Map();
  }

  take(lines) {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === '' || /;\s*max-age=(0|-\d+)/i.test(line)) this.pairs.delete(name);
      else this.pairs.set(name, value);
    }
  }

  toString() {
    return [...this.pairs].map((pair) => pair.join('=')).join('; ');
  }
}

function request(method, url, body, params = {}) {
  if (!params.tags?.name) throw new Error(`${url} has no name: its measurements would have one for each address`);
  const headers = { ...params.headers };
  let text = body;
  if (body !== null && typeof body === 'object') {
    text = new URLSearchParams(body).toString();
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
  }
  if (params.jar?.pairs.size) headers.Cookie = params.jar.toString();
  Atomics.store(signal, 0, 0);
  here.postMessage({ url, options: { method, headers, body: text ?? undefined, redirect: 'manual' } });
  Atomics.wait(signal, 0, 0);
  const { error, status, found, cookies, content } = receiveMessageOnPort(here).message;
  if (error) throw new Error(`${method} ${url}: ${error}`);
  params.jar?.take(cookies);
  // k6 spells the names of headers its own way.
  const spelt = (name) => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
  const answered = Object.fromEntries(found.map(([name, value]) => [spelt(name), value]));
  return { status, headers: answered, body: content, json: () => JSON.parse(content) };
}

export function close() {
  fetcher.terminate();
}

export default {
  CookieJar,
  get: (url, params) => request('GET', url, null, params),
  post: (url, body, params) => request('POST', url, body, params),
  put: (url, body, params) => request('PUT', url, body, params),
  del: (url, body, params) => request('DELETE', url, body, params),
};
