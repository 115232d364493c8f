/** @sd-jwt/jwt-status-list: make a list and its token, read one. */
import { createHeaderAndPayload, getListFromStatusListJWT, StatusList } from "@sd-jwt/jwt-status-list";

import { b64u, signer } from "./keys.mjs";

const part = (value) => b64u(Buffer.from(JSON.stringify(value)));

export function token({ entries, bits, payload, header, key }) {
  const list = new StatusList(entries, bits);
  const made = createHeaderAndPayload(list, payload, { alg: "ES256", typ: "statuslist+jwt", ...header });
  const input = `${part(made.header)}.${part(made.payload)}`;
  return `${input}.${signer(key)(input)}`;
}

export function read({ token, indices }) {
  const list = getListFromStatusListJWT(token);
  return indices.map((index) => list.getStatus(index));
}

export const unpack = ({ lst, bits }) => StatusList.decompressStatusList(lst, bits).statusList;
export const pack = ({ entries, bits }) => new StatusList(entries, bits).compressStatusList();
