// The thread that fetches for http.mjs.
import { workerData } from 'node:worker_threads';

const { port, signal } = workerData;

async function answer({ url, options }) {
  try {
    const found = await fetch(url, options);
    const content = await found.text();
    return { status: found.status, found: [...found.headers], cookies: found.headers.getSetCookie(), content };
  } catch (error) {
    return { error: `${error} ${error.cause ?? ''}` };
  }
}

port.on('message', async (asked) => {
  port.postMessage(await answer(asked));
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
});
