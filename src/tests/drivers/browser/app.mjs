// A small relying party: a page to start from, the callback, and the two kinds of logout notices. It keeps what it heard.
import http from "node:http";
import { until } from "./world.mjs";

// Shows what came back in the query, the fragment or a form, the same way for all three.
const callbackPage = (given) => `<!doctype html><title>callback</title><pre id="answer"></pre><script>
const given = ${JSON.stringify(given).replaceAll("<", "\\u003c")};
for (const [key, value] of new URLSearchParams(location.hash.slice(1))) given[key] = value;
document.getElementById("answer").textContent = JSON.stringify(given);
</script>`;

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()));
}

async function answer(request, response, heard) {
  const url = new URL(request.url, "http://app");
  const given = { ...Object.fromEntries(url.searchParams), ...(await bodyOf(request)) };
  heard.push({ path: url.pathname, method: request.method, dest: request.headers["sec-fetch-dest"], given });
  const page = url.pathname === "/callback" ? callbackPage(given) : `<!doctype html><title>app</title><p>${url.pathname}</p>`;
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" });
  response.end(page);
}

/// Starts it on a free port of `host` ("localhost" is another site than "127.0.0.1" to a browser).
export async function startApp(host) {
  const heard = [];
  const server = http.createServer((request, response) => answer(request, response, heard));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://${host}:${server.address().port}`;
  const notice = (path, match) => heard.find((one) => one.path === path && match(one.given));
  return {
    origin,
    home: `${origin}/`,
    callback: `${origin}/callback`,
    signedOut: `${origin}/signed-out`,
    heard,
    /// Waits until `path` was called with parameters that `match`.
    hears: (path, match = () => true) => until(() => notice(path, match), `a call of ${path}`),
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
