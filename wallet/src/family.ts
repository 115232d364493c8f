/**
 * Requests in the Korean message family: a code holds an M200, its host gives the profile (M310) and takes the VP (M400) or a no (M900).
 * Promises: a profile is believed as far as its proof goes, which is the signed request of whoever asks; the answer is encrypted as any
 * other and goes to the host of the code. Trusts nothing. Keeps nothing. Refuses: other modes than direct (a browser has no line to a
 * proxy, and no app to hand to), a CI, a profile whose nonce or client is not its proof's.
 */
import { b64u, hex, text, unb64u, utf8 } from "./bytes.ts";
import { strictJson } from "./json.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";

/** Where such an answer goes. */
export interface FamilyWay {
  readonly host: string;
  readonly trxcode: string;
}
export interface Family extends FamilyWay {
  /** The profile, where the code brought it. */
  readonly profile: string | null;
}

const LONGEST = 16_384;
const TRXCODE = /^[A-Za-z0-9]{8,64}$/;
const CANCELLED = 20_901;
const NOT_DONE = 20_300;

/** Base64 of a JSON object, in either alphabet, with padding or without: nothing else that a camera reads looks like it. */
export const looksLikeFamily = (raw: string): boolean => /^e[wy][A-Za-z0-9+/_-]+={0,2}$/.test(raw);

function message(raw: string): Record<string, unknown> {
  if (raw.length > 4 * LONGEST) throw new Problem("too_large", "message");
  return strictJson(text(unb64u(raw.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_"))));
}

/** `allowed` says whether the host may be asked. */
export function parseM200(raw: string, allowed: (url: string) => unknown): Family {
  const said = message(raw);
  if (said["type"] !== "mip" || said["cmd"] !== "200") throw new Problem("bad_link", "not a code for this wallet");
  if (said["version"] !== "1.0.0") throw new Problem("unsupported", "message version");
  const { trxcode, host, mode, profile = null } = said;
  if (typeof trxcode !== "string" || !TRXCODE.test(trxcode) || typeof host !== "string") throw new Problem("bad_link", "trxcode or host");
  if (profile !== null && typeof profile !== "string") throw new Problem("bad_link", "profile");
  if (mode !== "direct") throw new Problem("unsupported", `mode ${String(mode)}`);
  if (said["ci"] === true) throw new Problem("unsupported", "ci");
  allowed(host);
  return { host: host.replace(/\/$/, ""), trxcode, profile };
}

const outer = (way: FamilyWay, cmd: string, more: Record<string, unknown>): Record<string, unknown> =>
  ({ type: "mip", version: "1.0.0", cmd, trxcode: way.trxcode, ...more });

async function say(net: Net, way: FamilyWay, door: string, said: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await net.json<{ result?: unknown; data?: unknown }>("POST", `${way.host}/mip/${door}`, { data: b64u(utf8(JSON.stringify(said))) });
  const data = typeof answer.data === "string" ? message(answer.data) : {};
  if (answer.result === true) return data;
  const code = Number(data["errcode"]);
  throw new Problem(code === 10_202 ? "expired" : code === 10_201 ? "session_spent" : "unavailable", `${code} ${String(data["errmsg"]).slice(0, 80)}`);
}

/** The signed request, and what the profile around it says of it. */
export async function familyRequest(net: Net, of: Family): Promise<{ request: string; nonce: unknown; clientId: unknown }> {
  const profile = of.profile ?? (await say(net, of, "profile", outer(of, "310", { request: "profile" })))["profile"];
  if (typeof profile !== "string") throw new Problem("malformed", "there is no profile");
  const whole = message(profile) as { id?: unknown; profile?: { nonce?: unknown }; proof?: { signatureValue?: unknown } };
  const request = whole.proof?.signatureValue;
  if (typeof request !== "string") throw new Problem("unsigned_request", "the profile has no proof");
  return { request, nonce: whole.profile?.nonce, clientId: whole.id };
}

/** M400: the encrypted answer, in hex, with the nonce as it was. */
export async function giveVp(net: Net, way: FamilyWay, nonce: string, jwe: string): Promise<void> {
  const vp = { presentType: 1, encryptType: 2, keyType: 1, authType: ["pin"], nonce, type: "VERIFY", data: hex(utf8(jwe)) };
  await say(net, way, "vp", outer(way, "400", { request: "presentation", vp }));
}

/** M900. Not reaching the verifier changes nothing for the holder. */
export async function sayNo(net: Net, way: FamilyWay, error: string): Promise<void> {
  const [errcode, errmsg] = error === "access_denied" ? [CANCELLED, "cancel by user"] : [NOT_DONE, "invalid profile data"];
  await say(net, way, "error", outer(way, "900", { errcode, errmsg })).catch(() => undefined);
}
