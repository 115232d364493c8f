/**
 * Other people's libraries behind one pipe: a JSON object a line in, `{id, op, args}`; one out, `{id, ok}` or `{id, error}`.
 * Each operation is one call of a peer's public API; nothing here corrects what a peer does.
 */
import { setGlobalConfig } from "@openid4vc/openid4vci";
import { createInterface } from "node:readline";

import * as auth0 from "./auth0.mjs";
import * as issuer from "./issuer.mjs";
import * as owf from "./owf.mjs";
import * as presenter from "./presenter.mjs";
import * as sdJwt from "./sd_jwt.mjs";
import * as status from "./status.mjs";
import * as verifier from "./verifier.mjs";
import * as wallet from "./wallet.mjs";

const operations = { auth0, issuer, owf, presenter, sd_jwt: sdJwt, status, verifier, wallet };

async function answer({ id, op, args }) {
  const [peer, name] = op.split(".");
  try {
    return { id, ok: (await operations[peer][name](args)) ?? null };
  } catch (error) {
    return { id, error: { kind: error?.constructor?.name ?? "Error", message: String(error?.message ?? error) } };
  }
}

setGlobalConfig({ allowInsecureUrls: true }); // http://localhost
console.log = console.error; // some libraries print; the pipe is for answers
for await (const line of createInterface({ input: process.stdin })) {
  answer(JSON.parse(line)).then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
}
