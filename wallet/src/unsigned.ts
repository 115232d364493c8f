/**
 * A request that nobody signed (OpenID4VP 1.0 section 5.9.3, prefix redirect_uri), and the one case in which it is answered.
 * Promises: what reaches the consent screen is exactly one purpose that the country's signed purposes document marks for anyone: its items
 * and no others, of its document, once; the answer goes to the address that is the client's name. Trusts: that document, and nothing
 * whoever asks says of itself. Keeps nothing. Refuses: everything else without a signature, as HAIP 1.0 section 5.1 wants of all of it
 * (docs/divergences.md says why this case is safe). Tells nobody why.
 */
import type { Query } from "./dcql.ts";
import { allowedUrl, type Link } from "./links.ts";
import { Problem } from "./problem.ts";
import type { Listed, Purposes } from "./purposes.ts";
import { type Asked, understood } from "./request.ts";

type UnsignedLink = Extract<Link, { kind: "unsigned" }>;
export const PREFIX = "redirect_uri:";

/** 1 the client is the address of the answer  2 encrypted direct_post, nonce, query  3 a purpose for anyone, and exactly its items. */
export async function openUnsigned({ parameters }: UnsignedLink, purposes: Purposes, base: string): Promise<Asked> {
  const clientId = parameters["client_id"] ?? "";
  const address = clientId.slice(PREFIX.length);
  if (/[\s\\]/.test(address)) throw new Problem("bad_request", "client_id"); // what a browser would mend is not the same text
  const { host } = allowedUrl(address, base);
  // Section 5.9.3 lets it be left out; it may not be another.
  if ((parameters["response_uri"] ?? address) !== address) throw new Problem("bad_request", "response_uri of another client");
  const state = parameters["state"] ?? null;
  if (state !== null && !/^[A-Za-z0-9._~-]+$/.test(state)) throw new Problem("bad_request", "state");
  const said = await understood({
    ...parameters,
    dcql_query: json(parameters["dcql_query"]),
    client_metadata: json(parameters["client_metadata"]),
  });
  const party = { id: "", name: { ko: host, en: host } };
  const refused = (): Problem => new Problem("registration_required", "", { party: party.name, anyone: true });
  if (said.transactions.length > 0 || parameters["transaction_data"] !== undefined) throw refused();
  const purpose = (await purposes.list()).purposes.find(({ id, anyone }) => id === parameters["mapae_purpose"] && anyone);
  if (!purpose || !exactly(purpose, said.query) || parameters["dcql_query"]?.includes("intent_to_retain")) throw refused();
  return { ...said, clientId, responseUri: address, state, party, purpose, stranger: null, anyone: true, knownAt: null };
}

function json(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem("bad_request", "not JSON");
  }
}

/** One presentation of one document, in either format: whether there is an answer at all must not tell more than yes or no. */
function exactly({ document, items }: Listed, { credentials, sets }: Query): boolean {
  const formats = new Set(credentials.map(({ format }) => format));
  const once = sets.length === 1 && sets[0]?.required === true && sets[0].options.every((option) => option.length === 1);
  if (formats.size !== credentials.length || !once) return false;
  return credentials.every((one) => {
    const mdoc = one.format === "mso_mdoc";
    const type = mdoc ? document.doctype : one.format === "dc+sd-jwt" ? document.vct : "";
    const wanted = items.map((item) => JSON.stringify(mdoc ? [document.namespace, item] : [item])).toSorted();
    const asked = (one.claims ?? []).map(({ path }) => JSON.stringify(path)).toSorted();
    const plain = !one.claimSets && !one.authorities && !one.multiple && one.bound && !(one.claims ?? []).some(({ values }) => values);
    return type !== "" && one.type.length === 1 && one.type[0] === type && plain && JSON.stringify(asked) === JSON.stringify(wanted);
  });
}
