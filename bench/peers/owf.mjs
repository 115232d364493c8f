/** @owf/mdoc, given node:crypto and certificates that are parsed and checked once, as ours are. */
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, verify as check, X509Certificate } from "node:crypto";

import { b64u, load, once, unb64u } from "./libraries.mjs";

const { CoseKey, DateOnly, DeviceKey, DeviceResponse, Issuer, QrHandover, SessionTranscript, SignatureAlgorithm, Verifier } = load("@owf/mdoc");
const ieee = "ieee-p1363";

const publicKey = once(({ kty, crv, x, y }) => createPublicKey({ key: { kty, crv, x, y }, format: "jwk" }));
const privateKey = once(({ kty, crv, x, y, d }) => createPrivateKey({ key: { kty, crv, x, y, d }, format: "jwk" }));
const certificate = once((der) => new X509Certificate(Buffer.from(der, "base64url")));
const certified = once((der) => CoseKey.fromJwk(certificate(der).publicKey.export({ format: "jwk" })));
const issued = once((pair) => {
  const [leaf, anchor] = pair.split(" ").map((der) => certificate(der));
  if (!leaf.checkIssued(anchor) || !leaf.verify(anchor.publicKey)) throw new Error("no trusted anchor");
  return true;
});

export const context = {
  crypto: {
    random: (length) => new Uint8Array(randomBytes(length)),
    digest: ({ digestAlgorithm, bytes }) => new Uint8Array(createHash(digestAlgorithm.replace("-", "")).update(bytes).digest()),
  },
  cose: {
    sign1: {
      sign: ({ toBeSigned, key }) => new Uint8Array(sign("sha256", toBeSigned, { key: privateKey(key.jwk), dsaEncoding: ieee })),
      verify: ({ key, sign1 }) => check("sha256", sign1.toBeSigned, { key: publicKey(key.jwk), dsaEncoding: ieee }, sign1.signature),
    },
  },
  x509: {
    getIssuerNameField: ({ certificate: der, field }) =>
      certificate(b64u(der)).issuer.split("\n").filter((line) => line.startsWith(`${field}=`)).map((line) => line.slice(field.length + 1)),
    getPublicKey: ({ certificate: der }) => certified(b64u(der)),
    verifyCertificateChain: ({ trustedCertificates, x5chain }) => issued(`${b64u(x5chain[0])} ${b64u(trustedCertificates[0])}`),
    getCertificateData: ({ certificate: der }) => {
      const read = certificate(b64u(der));
      return {
        issuerName: read.issuer, subjectName: read.subject, serialNumber: read.serialNumber, thumbprint: read.fingerprint256,
        notBefore: read.validFromDate, notAfter: read.validToDate, pem: read.toString(),
      };
    },
  },
};

/** A handover the library does not know, with what it would write for one that it knows. */
class Handover extends QrHandover {
  get requiresReaderKey() {
    return false;
  }
  get requiresDeviceEngagement() {
    return false;
  }
  get encodedStructure() {
    return this.parts;
  }
}
const shown = ({ name, digest }) => {
  const handover = Object.assign(Handover.create(), { parts: [name, unb64u(digest)] });
  return SessionTranscript.create({ handover });
};

/** Chain, seal, digests, device signature, dates; the status by nobody. */
export function verify({ responses, namespace, trusted, now, handover, expect }) {
  const trustedCertificates = trusted.map(unb64u);
  const given = { ...handover, jwkThumbprint: handover.jwkThumbprint && unb64u(handover.jwkThumbprint) };
  let turn = 0;
  return async () => {
    const deviceResponse = DeviceResponse.fromEncodedForOid4Vp(responses[turn++ % responses.length]);
    const sessionTranscript = handover.digest ? shown(handover) : await SessionTranscript.forOid4Vp(given, context);
    await Verifier.verifyDeviceResponse({ deviceResponse, sessionTranscript, trustedCertificates, now: new Date(now) }, context);
    const items = deviceResponse.documents[0].issuerSigned.issuerNamespaces.issuerNamespaces.get(namespace);
    if (items.find((item) => item.elementIdentifier === "name").elementValue !== expect) throw new Error("let something else through");
  };
}

export function issue({ doctype, elements, dates, key, chain, deviceKey, validity }) {
  const signingKey = CoseKey.fromJwk(key);
  const certificates = chain.map(unb64u);
  const holder = DeviceKey.fromJwk(deviceKey);
  const validityInfo = Object.fromEntries(Object.entries(validity).map(([name, text]) => [name, new Date(text)]));
  const values = { ...elements, ...Object.fromEntries(Object.entries(dates).map(([name, day]) => [name, new DateOnly(day)])) };
  return async () => {
    const issuer = new Issuer(doctype, context).addIssuerNamespace(doctype, values);
    const signed = await issuer.sign({
      signingKey, algorithm: SignatureAlgorithm.ES256, digestAlgorithm: "SHA-256", validityInfo, certificates,
      deviceKeyInfo: { deviceKey: holder },
    });
    return signed.encodedForOid4Vci;
  };
}
