/** @auth0/mdl: issue, present, verify. Its response speaks presentation definitions; its transcripts are given as bytes. */
import { DeviceResponse, Document, MDoc, Verifier, parse } from "@auth0/mdl";
import { X509Certificate } from "@peculiar/x509";

import { b64u, unb64u } from "./keys.mjs";
import { fromJson, toJson } from "./values.mjs";

const pem = (der) => new X509Certificate(unb64u(der)).toString("pem");
/** Tag 24 around the transcript, as the library's documentation asks. */
const wrapped = (raw) => {
  const bytes = unb64u(raw);
  const length = bytes.length < 256 ? [0x58, bytes.length] : [0x59, bytes.length >> 8, bytes.length & 255];
  return new Uint8Array([0xd8, 0x18, ...length, ...bytes]);
};

/** The library has no class for a day outside the mDL namespace: a plain string is what its users can give. */
const Day = String;

export async function issue({ doctype, namespaces, key, chain, deviceKey, validity, digest = "SHA-256" }) {
  const document = new Document(doctype).useDigestAlgorithm(digest);
  for (const [namespace, elements] of Object.entries(namespaces)) {
    document.addIssuerNameSpace(namespace, Object.fromEntries(fromJson(elements, Day)));
  }
  document.addValidityInfo(Object.fromEntries(Object.entries(validity).map(([name, text]) => [name, new Date(text)])));
  document.addDeviceKeyInfo({ deviceKey });
  const signed = await document.sign({ issuerPrivateKey: key, issuerCertificate: chain.map(pem), alg: "ES256" });
  return b64u(new MDoc([signed]).encode());
}

export async function present({ mdoc, doctype, wanted, transcript, holder, reader }) {
  const fields = Object.entries(wanted).flatMap(([namespace, items]) =>
    items.map((item) => ({ path: [`$['${namespace}']['${item}']`], intent_to_retain: false })),
  );
  const definition = {
    id: "asked",
    input_descriptors: [{ id: doctype, format: { mso_mdoc: { alg: ["ES256"] } }, constraints: { limit_disclosure: "required", fields } }],
  };
  const response = DeviceResponse.from(unb64u(mdoc))
    .usingPresentationDefinition(definition)
    .usingSessionTranscriptBytes(wrapped(transcript));
  if (reader) response.authenticateWithMAC(holder, unb64u(reader), "HS256");
  else response.authenticateWithSignature(holder, "ES256");
  return b64u((await response.sign()).encode());
}

export async function verify({ response, transcript, trusted, reader }) {
  const mdoc = await new Verifier(trusted.map(pem)).verify(unb64u(response), {
    encodedSessionTranscript: wrapped(transcript),
    ephemeralReaderKey: reader && unb64u(reader),
  });
  return shown(mdoc);
}

export const read = ({ mdoc }) => shown(parse(unb64u(mdoc)));

function shown(mdoc) {
  const { nameSpaces } = mdoc.documents[0].issuerSigned;
  return toJson(
    new Map(Object.entries(nameSpaces).map(([name, items]) => [name, new Map(items.map((item) => [item.elementIdentifier, item.elementValue]))])),
  );
}
