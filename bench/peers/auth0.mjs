/** @auth0/mdl: it brings its own cryptography. */
import { X509Certificate } from "node:crypto";

import { b64u, load, unb64u } from "./libraries.mjs";

const { Document, MDoc, Verifier } = load("@auth0/mdl");

const pem = (der) => new X509Certificate(Buffer.from(der, "base64url")).toString();

class Day extends Date {
  toISOString() {
    return super.toISOString().slice(0, 10);
  }
}

/** Seal, digests, device signature, dates. The chain is switched off: it would be checked anew for every presentation. */
export function verify({ responses, namespace, trusted, transcript, expect }) {
  const verifier = new Verifier(trusted.map(pem));
  const given = { encodedSessionTranscript: unb64u(transcript), disableCertificateChainValidation: true };
  const raw = responses.map(unb64u);
  let turn = 0;
  return async () => {
    const mdoc = await verifier.verify(raw[turn++ % raw.length], given);
    const items = mdoc.documents[0].issuerSigned.nameSpaces[namespace];
    if (items.find((item) => item.elementIdentifier === "name").elementValue !== expect) throw new Error("let something else through");
  };
}

export function issue({ doctype, elements, dates, key, chain, deviceKey, validity }) {
  const issuerCertificate = chain.map(pem);
  const validityInfo = Object.fromEntries(Object.entries(validity).map(([name, text]) => [name, new Date(text)]));
  const values = { ...elements, ...Object.fromEntries(Object.entries(dates).map(([name, day]) => [name, new Day(day)])) };
  return async () => {
    const document = new Document(doctype).useDigestAlgorithm("SHA-256");
    document.addIssuerNameSpace(doctype, values);
    document.addValidityInfo(validityInfo);
    document.addDeviceKeyInfo({ deviceKey });
    return b64u(new MDoc([await document.sign({ issuerPrivateKey: key, issuerCertificate, alg: "ES256" })]).encode());
  };
}
