/**
 * Makes X.509 certificates (RFC 5280) with ECDSA keys on P-256, which node:crypto can read and verify but not make: a CA,
 * and what it signs for a server or a client.
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import {
  readElements,
  writeBits,
  writeExplicit,
  writeImplicit,
  writeInteger,
  writeObjectId,
  writeOctets,
  writeSequence,
  writeSet,
  writeText,
  writeTime,
  writeTrue,
} from './der.ts';

/** A certificate and its private key, as PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/** From when to when a certificate is valid; milliseconds since the epoch. */
export interface Validity {
  readonly from: number;
  readonly until: number;
}

/** Who signs: the CA's certificate and its key. */
export interface Signer {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** What a certificate says about its holder. */
export interface LeafWish {
  readonly usage: 'server' | 'client';
  readonly commonName: string;
  /** DNS names and IP addresses of a server. */
  readonly names: readonly string[];
}

/** Random bytes; a parameter, so that tests know the serial number. */
export type RandomBytes = (size: number) => Buffer;

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** The longest common name that RFC 5280 allows. */
const MAX_COMMON_NAME = 64;

/** A CA that signs itself. It may sign certificates of servers and clients, but no other CA. */
export function createAuthorityPair(validity: Validity, random: RandomBytes): CertificatePair {
  const { publicKey, privateKey } = createKeys();
  const keyId = keyIdOf(publicKey);
  // A name of its own: two CAs of the same name are told apart by few programs.
  const name = writeName(`muster-ca-${keyId.subarray(0, 4).toString('hex')}`);
  const extensions = [
    writeExtension(OID.basicConstraints, writeSequence(writeTrue(), writeInteger(Buffer.from([0]))), true),
    // keyCertSign and cRLSign, bits 5 and 6.
    writeExtension(OID.keyUsage, writeBits(Buffer.from([0b0000_0110]), 1), true),
    writeExtension(OID.subjectKeyId, writeOctets(keyId)),
  ];
  const content = { issuer: name, subject: name, publicKey, extensions, validity };
  return { cert: signCertificate(content, privateKey, random), key: exportKey(privateKey) };
}

/**
 * A certificate of a new key, signed by a CA.
 * @throws Error when the wish names something that no certificate can say, or when the CA's key is not on P-256.
 */
export function createLeafPair(
  wish: LeafWish,
  signer: Signer,
  validity: Validity,
  random: RandomBytes,
): CertificatePair {
  if (signer.key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error(
      `expected the CA to have a key on the curve P-256, found ${describeKey(signer.key)}; ` +
        'use a CA that muster certs made, or sign with the tools that made this one',
    );
  }
  const { subject, keyId: authorityKeyId } = readIdentity(signer.certificate);
  const { publicKey, privateKey } = createKeys();
  const extensions = [
    // Empty: no CA.
    writeExtension(OID.basicConstraints, writeSequence(), true),
    // digitalSignature, bit 0: all that TLS does with an ECDSA key.
    writeExtension(OID.keyUsage, writeBits(Buffer.from([0b1000_0000]), 7), true),
    writeExtension(
      OID.extendedKeyUsage,
      writeSequence(writeObjectId(wish.usage === 'server' ? OID.serverAuth : OID.clientAuth)),
    ),
    writeExtension(OID.subjectKeyId, writeOctets(keyIdOf(publicKey))),
    ...(authorityKeyId === undefined
      ? []
      : [writeExtension(OID.authorityKeyId, writeSequence(writeImplicit(0, authorityKeyId)))]),
    ...(wish.names.length === 0
      ? []
      : [writeExtension(OID.alternativeNames, writeSequence(...wish.names.map(writeAlternativeName)))]),
  ];
  const content = { issuer: subject, subject: writeName(wish.commonName), publicKey, extensions, validity };
  return { cert: signCertificate(content, signer.key, random), key: exportKey(privateKey) };
}

interface CertificateContent {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly validity: Validity;
}

function signCertificate(content: CertificateContent, key: KeyObject, random: RandomBytes): string {
  const { issuer, subject, publicKey, extensions, validity } = content;
  const algorithm = writeSequence(writeObjectId(OID.ecdsaWithSha256));
  const signed = writeSequence(
    // Version 3, which has extensions, is written as 2.
    writeExplicit(0, writeInteger(Buffer.from([2]))),
    writeInteger(createSerial(random)),
    algorithm,
    issuer,
    writeSequence(writeTime(new Date(validity.from)), writeTime(new Date(validity.until))),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    writeExplicit(3, writeSequence(...extensions)),
  );
  const certificate = writeSequence(signed, algorithm, writeBits(sign('sha256', signed, key)));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Positive, never zero, and 126 random bits: RFC 5280 allows 20 bytes, and browsers' rules ask for 64 random bits. */
function createSerial(random: RandomBytes): Buffer {
  const serial = Buffer.from(random(16));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

function createKeys(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function describeKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  const curve = asymmetricKeyDetails?.namedCurve;
  return `one of type ${asymmetricKeyType}${curve === undefined ? '' : ` on ${curve}`}`;
}

/** As RFC 7093 says, method 1: the first 160 bits of the SHA-256 of the key's bits. */
function keyIdOf(publicKey: KeyObject): Buffer {
  const [info] = readElements(publicKey.export({ type: 'spki', format: 'der' }));
  const bits = readElements(info!.content)[1]!.content.subarray(1);
  return createHash('sha256').update(bits).digest().subarray(0, 20);
}

function writeName(commonName: string): Buffer {
  if (commonName === '' || [...commonName].length > MAX_COMMON_NAME) {
    throw new Error(
      `expected a common name of 1 to ${MAX_COMMON_NAME} characters, found ${JSON.stringify(commonName)}; give a shorter one`,
    );
  }
  return writeSequence(writeSet(writeSequence(writeObjectId(OID.commonName), writeText(commonName))));
}

function writeExtension(id: string, value: Buffer, isCritical = false): Buffer {
  return writeSequence(writeObjectId(id), ...(isCritical ? [writeTrue()] : []), writeOctets(value));
}

const DNS_NAME = /^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** Whether a certificate can say it: a DNS name, or an IP address. */
export function isServerName(name: string): boolean {
  return isIP(name) !== 0 || (name.length <= 253 && DNS_NAME.test(name));
}

function writeAlternativeName(name: string): Buffer {
  if (!isServerName(name)) {
    throw new Error(`expected a DNS name or an IP address, found ${JSON.stringify(name)}; correct it`);
  }
  return isIP(name) === 0 ? writeImplicit(2, Buffer.from(name, 'ascii')) : writeImplicit(7, addressBytes(name));
}

/** 4 or 16 bytes. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  // URL writes an address in its one short form, in which the last words are never an IPv4 address.
  const short = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1);
  const [head = '', tail] = short.split('::');
  const wordsOf = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const [first, last] = [wordsOf(head), wordsOf(tail ?? '')];
  const zeros = new Array<number>(8 - first.length - last.length).fill(0);
  const bytes = Buffer.alloc(16);
  for (const [i, word] of [...first, ...zeros, ...last].entries()) bytes.writeUInt16BE(word, 2 * i);
  return bytes;
}

/** The subject as it is written, and the key's identifier if the certificate has one. */
function readIdentity(certificate: X509Certificate): { readonly subject: Buffer; readonly keyId: Buffer | undefined } {
  const [whole] = readElements(certificate.raw);
  const [signed] = readElements(whole!.content);
  const fields = readElements(signed!.content);
  // Version 1 has no version field.
  const first = fields[0]?.tag === 0xa0 ? 1 : 0;
  const subject = fields[first + 4]!.whole;
  const extensions = fields.find(({ tag }) => tag === 0xa3);
  const list = extensions === undefined ? [] : readElements(readElements(extensions.content)[0]!.content);
  const wanted = writeObjectId(OID.subjectKeyId);
  for (const { content } of list) {
    const parts = readElements(content);
    if (parts[0]?.whole.equals(wanted)) return { subject, keyId: readElements(parts.at(-1)!.content)[0]?.content };
  }
  return { subject, keyId: undefined };
}

/**
 * The common name of the subject; undefined if it has none. Not by `toLegacyObject()`: with Node 24, `node:tls` has no
 * `createSecureContext` if that was called before it was loaded.
 */
export function readCommonName(certificate: X509Certificate): string | undefined {
  const [subject] = readElements(readIdentity(certificate).subject);
  const wanted = writeObjectId(OID.commonName);
  const attributes = readElements(subject!.content).flatMap(({ content }) => readElements(content));
  for (const { content } of attributes) {
    const [type, value] = readElements(content);
    if (type?.whole.equals(wanted)) return value?.content.toString('utf8');
  }
  return undefined;
}

/** The certificates of a PEM text, in order. @throws Error when one is not readable. */
export function readBundle(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** Whether the key is the certificate's. */
export function isKeyOf(key: KeyObject, certificate: X509Certificate): boolean {
  return createPublicKey(key).equals(certificate.publicKey);
}
