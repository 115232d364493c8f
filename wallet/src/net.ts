/**
 * The only door to the network.
 * Promises: a server's refusal arrives as a `Problem` with the server's own code; no answer is `offline`; no redirect is followed
 * (OpenID4VP 1.0 errata: a wallet follows none from request_uri or response_uri). Trusts: TLS of the browser. Keeps: nothing.
 * Refuses: answers over 4 MiB, answers that are not what was asked for, addresses without TLS.
 */
import { Problem } from "./problem.ts";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

const LIMIT = 4 * 1024 * 1024;
const PATIENCE_MS = 20_000;

export class Net {
  constructor(
    private readonly raw: Fetch,
    private readonly base: string,
  ) {}

  /** A fetch for the protocol libraries: ours in every way but that it hands the answer back unread. */
  readonly fetch = (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => this.ask(input, init, PATIENCE_MS);

  private async ask(input: RequestInfo | URL, init: RequestInit, patience: number): Promise<Response> {
    const url = input instanceof Request ? input.url : String(input);
    if (!mayAsk(url, this.base)) throw new Problem("insecure_address", URL.canParse(url) ? new URL(url).origin : "");
    let response: Response;
    try {
      response = await this.raw(url, {
        ...init,
        redirect: "error",
        credentials: "omit",
        referrerPolicy: "no-referrer",
        cache: "no-store",
        signal: init.signal ? AbortSignal.any([AbortSignal.timeout(patience), init.signal]) : AbortSignal.timeout(patience),
      });
    } catch {
      if (init.signal?.aborted) throw new Problem("cancelled");
      throw new Problem("offline", new URL(url).host); // or a server that lets no page of another origin read its answers
    }
    // A browser gives even a 204 an (empty) body, and lets nobody make a new answer of such a status with one.
    if (response.body === null || [204, 205, 304].includes(response.status)) return response;
    const { status, statusText, headers } = response;
    return new Response(await wholeBody(response, url), { status, statusText, headers });
  }

  may(url: string): boolean {
    return mayAsk(url, this.base);
  }

  async json<T>(method: string, url: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const init: RequestInit = { method, headers: { Accept: "application/json", ...headers } };
    if (body !== undefined) {
      init.body = typeof body === "string" ? body : JSON.stringify(body);
      init.headers = { ...init.headers, "Content-Type": "application/json" };
    }
    const response = await this.fetch(url, init);
    if (!response.ok) throw await refusal(response);
    if (response.status === 204) return undefined as T;
    return (await response.json().catch(() => {
      throw new Problem("malformed", "the answer is not JSON");
    })) as T;
  }

  /** Bytes as they are, which may take a while; the answer is JSON. `signal` lets the holder change her mind. */
  async send(url: string, body: Uint8Array<ArrayBuffer>, headers: Record<string, string>, signal: AbortSignal, patience: number): Promise<unknown> {
    const response = await this.ask(url, { method: "POST", headers: { Accept: "application/json", ...headers }, body, signal }, patience);
    if (!response.ok) throw await refusal(response);
    return response.json().catch(() => {
      throw new Problem("malformed", "the answer is not JSON");
    });
  }

  /** With a form: by POST. */
  async text(url: string, accept: string, form?: URLSearchParams): Promise<string> {
    const posted = form && { method: "POST", body: form.toString() };
    const type = form && { "Content-Type": "application/x-www-form-urlencoded" };
    const response = await this.fetch(url, { ...posted, headers: { Accept: accept, ...type } });
    if (!response.ok) throw await refusal(response);
    const given = (response.headers.get("content-type") ?? "").split(";")[0]?.trim();
    if (given !== accept) throw new Problem("malformed", `expected ${accept}`);
    return response.text();
  }
}

/** Read to its end, or to the limit: a server's word about the length is not trusted, and half an answer is none. */
async function wholeBody(response: Response, url: string): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for (const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return new Blob(parts);
      parts.push(value);
      size += value.length;
      if (size > LIMIT) {
        void reader.cancel().catch(() => undefined);
        throw new Problem("too_large");
      }
    }
  } catch (thrown) {
    throw thrown instanceof Problem ? thrown : new Problem("offline", new URL(url).host);
  }
}

/**
 * https, or the wallet's own origin; and where that is this very machine (development, the demo country), other servers on it. Every
 * address is held to it, also those that a server's metadata names.
 */
export function mayAsk(url: string, base: string): boolean {
  if (!URL.canParse(url)) return false;
  const [asked, home] = [new URL(url), new URL(base)];
  if (asked.protocol !== "http:") return asked.protocol === "https:";
  const local = (hostname: string): boolean => ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return asked.origin === home.origin || (home.protocol === "http:" && local(home.hostname) && local(asked.hostname));
}

/** The error body of OAuth (error, error_description) and of our own doors (the same two members, and facts). */
export async function refusal(response: Response): Promise<Problem> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null);
  const facts = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const code = [facts["error"], facts["code"]].find((value): value is string => typeof value === "string");
  const detail = [facts["error_description"], facts["detail"]].find((value) => typeof value === "string");
  const byStatus = response.status === 413 ? "too_large" : response.status === 429 ? "too_often" : "unavailable";
  return new Problem(code ?? byStatus, String(detail ?? `HTTP ${response.status}`), { ...facts, status: response.status });
}
