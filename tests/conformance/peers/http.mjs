/** A small HTTP server on a free port of this machine; handlers get a fetch `Request` and give a `Response`. */
import { createServer } from "node:http";

export const json = (value, status = 200, headers = {}) =>
  new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers } });

const bytes = (request) =>
  new Promise((resolve) => {
    const parts = [];
    request.on("data", (part) => parts.push(part)).on("end", () => resolve(Buffer.concat(parts)));
  });

/** `routes`: {"POST /token": handler}. A refusal of the library is answered with its OAuth error. */
export async function listen(routes, seen) {
  const server = createServer(async (incoming, outgoing) => {
    const url = new URL(incoming.url, base);
    const body = await bytes(incoming);
    const init = { method: incoming.method, headers: incoming.headers, ...(incoming.method === "GET" ? {} : { body }) };
    const handler = routes[`${incoming.method} ${url.pathname}`];
    let answer;
    try {
      answer = handler ? await handler(new Request(url, init), url) : json({ error: "not_found" }, 404);
    } catch (error) {
      answer = json(error.errorResponse ?? { error: "server_error", error_description: String(error.message) }, error.status ?? 400);
      seen.push({ path: url.pathname, refused: error.errorResponse?.error ?? "", why: String(error.message), because: String(error.cause?.message ?? error.cause ?? error.stack) });
    }
    seen.push({ method: incoming.method, path: url.pathname, status: answer.status });
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
    outgoing.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://localhost:${server.address().port}`;
  server.unref();
  return { base, close: () => server.close() };
}

export const form = async (request) => Object.fromEntries(new URLSearchParams(await request.text()));
