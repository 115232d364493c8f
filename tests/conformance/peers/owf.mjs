/** @owf/mdoc: issue, present, verify, session transcripts; and what only a bad issuer or holder would make with its classes. */
import {
  CoseKey,
  DateOnly,
  DeviceEngagement,
  DeviceKey,
  DeviceNamespaces,
  DeviceRequest,
  DeviceResponse,
  DeviceSignedItems,
  Document,
  DocRequest,
  EReaderKey,
  Holder,
  Issuer,
  IssuerAuth,
  IssuerNamespaces,
  IssuerSigned,
  IssuerSignedItem,
  ItemsRequest,
  SessionTranscript,
  SignatureAlgorithm,
  Verifier,
} from "@owf/mdoc";
import { X509Certificate, X509ChainBuilder } from "@peculiar/x509";
import { timingSafeEqual } from "node:crypto";

import { b64u, hasher, hmac, macKey, random, signer, unb64u, verifier } from "./keys.mjs";
import { fromJson, toJson } from "./values.mjs";

const names = { [SignatureAlgorithm.ES256]: "ES256", [SignatureAlgorithm.ES384]: "ES384" };

/** Keys as the library hands them over: making a MAC it gives COSE keys, checking one it gives 0x04 || x || y, and d. */
const rawPublic = (raw) => ({ kty: "EC", crv: "P-256", x: b64u(raw.slice(1, 33)), y: b64u(raw.slice(33, 65)) });
const plainJwk = ({ kty, crv, x, y, d }) => ({ kty, crv, x, y, d });
const publicJwk = (bytes) => (bytes.length === 65 ? rawPublic(bytes) : plainJwk(CoseKey.decode(bytes).jwk));
const privateJwk = (bytes) => (bytes.length === 32 ? { ...macPublic, d: b64u(bytes) } : plainJwk(CoseKey.decode(bytes).jwk));

let macPublic; // node cannot make a private JWK from d alone

export const context = {
  crypto: {
    random,
    digest: ({ digestAlgorithm, bytes }) => hasher(bytes, digestAlgorithm),
    calculateEphemeralMacKey: ({ privateKey, publicKey, sessionTranscriptBytes, info }) => {
      const key = macKey({
        privateJwk: privateJwk(privateKey),
        publicJwk: publicJwk(publicKey),
        transcriptBytes: sessionTranscriptBytes,
        info,
      });
      return CoseKey.create({ keyType: 4, k: key, algorithm: 5 });
    },
  },
  cose: {
    sign1: {
      sign: ({ toBeSigned, key, algorithm }) =>
        unb64u(signer({ ...key.jwk, alg: undefined, key_ops: undefined }, names[algorithm ?? key.algorithm] ?? "ES256")(toBeSigned)),
      verify: ({ key, sign1 }) => {
        const { kty, crv, x, y } = key.jwk;
        return verifier({ kty, crv, x, y }, sign1.signatureAlgorithmName)(sign1.toBeSigned, b64u(sign1.signature));
      },
    },
    mac0: {
      sign: ({ key, toBeAuthenticated }) => hmac(key.k ?? key.privateKey, toBeAuthenticated),
      verify: ({ mac0, key }) => timingSafeEqual(mac0.tag, hmac(key.k ?? key.privateKey, mac0.toBeAuthenticated)),
    },
  },
  x509: {
    getIssuerNameField: ({ certificate, field }) => new X509Certificate(certificate).issuerName.getField(field),
    getPublicKey: async ({ certificate }) => {
      const key = await new X509Certificate(certificate).publicKey.export();
      return CoseKey.fromJwk(await crypto.subtle.exportKey("jwk", key));
    },
    verifyCertificateChain: async ({ trustedCertificates, x5chain, now }) => {
      const anchors = trustedCertificates.map((der) => new X509Certificate(der));
      const builder = new X509ChainBuilder({ certificates: [...anchors, ...x5chain.slice(1).map((der) => new X509Certificate(der))] });
      const chain = await builder.build(new X509Certificate(x5chain[0]));
      const root = chain.at(-1);
      if (!anchors.some((anchor) => anchor.equal(root))) throw new Error("no trusted anchor");
      for (const [at, one] of chain.entries()) {
        const by = chain[Math.min(at + 1, chain.length - 1)];
        if (!(await one.verify({ publicKey: by.publicKey, date: now }))) throw new Error("a certificate does not hold");
      }
    },
    getCertificateData: ({ certificate }) => {
      const read = new X509Certificate(certificate);
      const { issuer, subject, serialNumber, notBefore, notAfter } = read;
      return { issuerName: issuer, subjectName: subject, serialNumber, thumbprint: "", notBefore, notAfter, pem: read.toString("pem") };
    },
  },
};

const moments = (validity) => Object.fromEntries(Object.entries(validity).map(([name, text]) => [name, new Date(text)]));
const ders = (list) => list.map(unb64u);

export async function issue({ doctype, namespaces, key, chain, deviceKey, validity, status, alg = "ES256", digest = "SHA-256" }) {
  const issuer = new Issuer(doctype, context);
  for (const [namespace, elements] of Object.entries(namespaces)) {
    issuer.addIssuerNamespace(namespace, Object.fromEntries(fromJson(elements, DateOnly)));
  }
  const signed = await issuer.sign({
    signingKey: CoseKey.fromJwk(key),
    algorithm: SignatureAlgorithm[alg],
    digestAlgorithm: digest,
    validityInfo: moments(validity),
    deviceKeyInfo: { deviceKey: DeviceKey.fromJwk(deviceKey) },
    certificates: ders(chain),
  });
  if (!status) return signed.encodedForOid4Vci;
  // The library has no word for the status of the second edition's draft, so its security object gets one more member.
  const { issuerAuth } = signed;
  const mso = issuerAuth.mobileSecurityObject;
  mso.decodedStructure.set("status", fromJson(status, DateOnly));
  const options = {
    payload: mso,
    protectedHeaders: issuerAuth.protectedHeaders,
    unprotectedHeaders: issuerAuth.unprotectedHeaders,
    signingKey: CoseKey.fromJwk(key),
    algorithm: SignatureAlgorithm[alg],
  };
  const again = IssuerSigned.create({ issuerNamespaces: signed.issuerNamespaces, issuerAuth: await IssuerAuth.create(options, context) });
  return again.encodedForOid4Vci;
}

/** The issuer-signed part, bent: what a holder could do with the library's own classes. */
function bent(signed, { alter, duplicate, addNamespace, move }) {
  const spaces = new Map([...signed.issuerNamespaces.issuerNamespaces].map(([name, items]) => [name, [...items]]));
  const first = [...spaces.keys()][0];
  const again = (item, value) =>
    IssuerSignedItem.fromOptions({
      digestId: item.digestId, random: item.random, elementIdentifier: item.elementIdentifier, elementValue: value,
    });
  if (alter) spaces.set(first, spaces.get(first).map((item) => (item.elementIdentifier in alter ? again(item, fromJson(alter[item.elementIdentifier], DateOnly)) : item)));
  if (duplicate) spaces.set(first, spaces.get(first).flatMap((item) => [item, item]));
  if (addNamespace) {
    spaces.set(addNamespace, [IssuerSignedItem.fromOptions({ digestId: 0, random: random(32), elementIdentifier: "added", elementValue: true })]);
  }
  if (move) {
    spaces.set(move, spaces.get(first));
    spaces.delete(first);
  }
  return IssuerSigned.create({ issuerNamespaces: IssuerNamespaces.create({ issuerNamespaces: spaces }), issuerAuth: signed.issuerAuth });
}

async function transcriptOf({ kind, engagement, readerKey, ...rest }) {
  const given = { ...rest, jwkThumbprint: rest.thumbprint ? unb64u(rest.thumbprint) : undefined };
  if (kind === "qr") {
    return SessionTranscript.forQrHandover({
      deviceEngagement: DeviceEngagement.decode(unb64u(engagement)), eReaderKey: EReaderKey.decode(unb64u(readerKey)),
    });
  }
  if (kind === "raw") return SessionTranscript.decode(unb64u(rest.raw));
  return kind === "dc_api" ? SessionTranscript.forOid4VpDcApi(given, context) : SessionTranscript.forOid4Vp(given, context);
}

export async function transcript(args) {
  return b64u((await transcriptOf(args)).encode());
}

function request(doctype, wanted) {
  const namespaces = Object.fromEntries(Object.entries(wanted).map(([name, items]) => [name, Object.fromEntries(items.map((item) => [item, false]))]));
  return DeviceRequest.create({ docRequests: [DocRequest.create({ itemsRequest: ItemsRequest.create({ docType: doctype, namespaces }) })] });
}

export async function present({ card, doctype, wanted, transcript, holder, reader, bend, deviceElements }) {
  const signingKey = CoseKey.fromJwk({ alg: reader ? "HS256" : "ES256", ...holder });
  macPublic = { kty: holder.kty, crv: holder.crv, x: holder.x, y: holder.y };
  const deviceNamespaces =
    deviceElements &&
    DeviceNamespaces.create({
      deviceNamespaces: new Map(
        Object.entries(deviceElements).map(([name, items]) => [name, DeviceSignedItems.create({ deviceSignedItems: fromJson(items, DateOnly) })]),
      ),
    });
  const response = await Holder.createDeviceResponseForDeviceRequest(
    {
      deviceRequest: request(doctype, wanted),
      sessionTranscript: await transcriptOf(transcript),
      issuerSigned: [IssuerSigned.fromEncodedForOid4Vci(card)],
      deviceNamespaces,
      ...(reader ? { mac: { signingKey, ephemeralKey: CoseKey.fromJwk(reader) } } : { signature: { signingKey } }),
    },
    context,
  );
  if (!bend) return response.encodedForOid4Vp;
  const [document] = response.documents;
  const spoiled = Document.create({
    docType: bend.doctype ?? document.docType, issuerSigned: bent(document.issuerSigned, bend), deviceSigned: document.deviceSigned,
  });
  const documents = bend.twice ? [spoiled, spoiled] : [spoiled];
  return DeviceResponse.createSimple({ documents, status: bend.status ?? 0 }).encodedForOid4Vp;
}

export async function verify({ response, transcript, trusted, now, reader, doctype, wanted }) {
  if (reader) macPublic = { kty: reader.kty, crv: reader.crv, x: reader.x, y: reader.y };
  const deviceResponse = DeviceResponse.fromEncodedForOid4Vp(response);
  await Verifier.verifyDeviceResponse(
    {
      deviceResponse,
      sessionTranscript: await transcriptOf(transcript),
      trustedCertificates: ders(trusted),
      now: new Date(now),
      skewSeconds: 60,
      ephemeralReaderKey: reader && CoseKey.fromJwk(reader),
      deviceRequest: wanted && request(doctype, wanted),
    },
    context,
  );
  return shown(deviceResponse.documents[0].issuerSigned);
}

function shown(signed) {
  return toJson(
    new Map([...signed.issuerNamespaces.issuerNamespaces].map(([name, items]) => [name, new Map(items.map((item) => [item.elementIdentifier, item.elementValue]))])),
  );
}

export async function check({ card, trusted, now }) {
  const issuerSigned = IssuerSigned.fromEncodedForOid4Vci(card);
  await Holder.verifyIssuerSigned({ issuerSigned, trustedCertificates: ders(trusted), now: new Date(now), skewSeconds: 60 }, context);
  return shown(issuerSigned);
}
