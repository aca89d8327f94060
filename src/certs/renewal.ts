/**
 * Which of Muster's certificates are made anew, and why: a CA, Muster's own, and that of kube-scheduler. Files in, changes
 * of files out; where they are kept is the business of others.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  type CertificatePair,
  createAuthorityPair,
  createLeafPair,
  isKeyOf,
  type LeafWish,
  type RandomBytes,
  readBundle,
  readCommonName,
  type Signer,
} from './certificate.ts';

/**
 * `ca.crt` lists all CAs that verify; `ca.key` belongs to the one that signs. `ca-next.key` is there while the next CA is
 * known to all but does not sign yet.
 */
export const certificateFiles = [
  'ca.crt',
  'ca.key',
  'ca-next.key',
  'tls.crt',
  'tls.key',
  'scheduler.crt',
  'scheduler.key',
] as const;

export type CertificateFile = (typeof certificateFiles)[number];
/** The contents by name; what is not there is left out. */
export type CertificateFiles = Readonly<Partial<Record<CertificateFile, string>>>;

export interface RenewalWish {
  /** DNS names and IP addresses of Muster. */
  readonly serverNames: readonly string[];
  /** The name by which Muster knows kube-scheduler: one of `server.callers.decisions`. */
  readonly schedulerName: string;
  /** How long certificates are valid; the CA is for ten times as long, and at least for ten years. */
  readonly days: number;
  /** Take the next step towards another CA. */
  readonly rotateCa: boolean;
}

export interface FileChange {
  readonly name: CertificateFile;
  /** Undefined: the file is removed. */
  readonly content: string | undefined;
}

export interface CertificateNote {
  readonly what: 'ca' | 'server' | 'scheduler';
  readonly kind: 'kept' | 'made' | 'ca-announced' | 'ca-switched' | 'ca-retired' | 'ca-ends';
  /** Why it was made; '' when it was kept. */
  readonly because: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export type Renewal =
  | {
      readonly kind: 'renewal';
      /** In the order in which they are written, so that a crash in between leaves what the next run repairs. */
      readonly changes: readonly FileChange[];
      readonly notes: readonly CertificateNote[];
    }
  /** Something is there that must not be overwritten, or nothing can be signed. */
  | { readonly kind: 'refused'; readonly text: string };

/** What decides of a certificate whose clock and randomness are given. */
export interface RenewalClock {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly random: RandomBytes;
}

const DAY_MS = 86_400_000;
/** A certificate counts from an hour ago: the clocks of two machines may differ. */
const CLOCK_SKEW_MS = 3_600_000;
/** A certificate is made anew when so much of its time is left. */
const REMAINING_PART = 1 / 3;

class RefusedRenewal extends Error {}

/** Judges what is there and makes what is missing, ends soon or does not fit. It writes nothing. */
export function renewCertificates(files: CertificateFiles, wish: RenewalWish, clock: RenewalClock): Renewal {
  try {
    const authority = renewAuthority(files, wish, clock);
    const wishes: Readonly<Record<'server' | 'scheduler', LeafWish>> = {
      // Nobody reads a server's common name, and the name of a Service may be too long for one.
      server: { usage: 'server', commonName: 'muster', names: wish.serverNames },
      scheduler: { usage: 'client', commonName: wish.schedulerName, names: [] },
    };
    const leaves = (['server', 'scheduler'] as const).map((what) =>
      renewLeaf(what, { files, wish: wishes[what], authority, days: wish.days }, clock),
    );
    const parts = [authority, ...leaves];
    return {
      kind: 'renewal',
      changes: parts.flatMap(({ changes }) => changes),
      notes: parts.flatMap(({ notes }) => notes),
    };
  } catch (error) {
    if (error instanceof RefusedRenewal) return { kind: 'refused', text: error.message };
    throw error;
  }
}

interface Part {
  readonly changes: readonly FileChange[];
  readonly notes: readonly CertificateNote[];
}

interface AuthorityPart extends Part {
  /** All CAs that verify. */
  readonly bundle: readonly X509Certificate[];
  /** Undefined: the key is kept elsewhere. */
  readonly signer: Signer | undefined;
}

function renewAuthority(files: CertificateFiles, wish: RenewalWish, clock: RenewalClock): AuthorityPart {
  const bundle = readCertificates('ca.crt', files['ca.crt'] ?? '');
  const key = readKey('ca.key', files['ca.key']);
  if (bundle.length === 0) {
    if (key !== undefined) {
      throw new RefusedRenewal(
        'expected ca.crt beside ca.key, found none; put the certificate of this key back, or move ca.key away',
      );
    }
    const pair = createAuthority(wish, clock);
    const signer = signerOf(pair);
    const changes = [
      { name: 'ca.key', content: pair.key },
      { name: 'ca.crt', content: pair.cert },
    ] as const;
    const { certificate } = signer;
    return { changes, notes: [noteOf('made', certificate, 'there is none')], bundle: [certificate], signer };
  }
  if (key === undefined) {
    if (wish.rotateCa)
      throw new RefusedRenewal('expected ca.key to change the CA, found none; put it back for the change');
    return { changes: [], notes: bundle.map((each) => noteOf('kept', each, '')), bundle, signer: undefined };
  }
  const certificate = bundle.find((each) => isKeyOf(key, each));
  if (certificate === undefined) {
    throw new RefusedRenewal(
      'expected ca.key to be the key of a CA in ca.crt, found another key; put back the one or the other',
    );
  }
  const signer = { certificate, key };
  if (wish.rotateCa) return rotate(files, { bundle, signer }, wish, clock);
  const left = untilOf(certificate) - clock.now;
  if (left <= 0) {
    throw new RefusedRenewal(
      `expected a CA that is valid, found that ca.crt ended at ${certificate.validTo}; move ca.crt and ca.key away, ` +
        'run this again, and give the new files to Muster and kube-scheduler together',
    );
  }
  const note =
    left < 2 * wish.days * DAY_MS
      ? noteOf('ca-ends', certificate, 'change it in three steps: muster certs --rotate-ca')
      : noteOf('kept', certificate, '');
  return { changes: [], notes: [note], bundle, signer };
}

/**
 * One of three steps, told by what is there, so that at no moment somebody meets a certificate of a CA that he does not
 * know: the next CA is announced; it signs; the earlier one is forgotten.
 */
function rotate(
  files: CertificateFiles,
  { bundle, signer }: { readonly bundle: readonly X509Certificate[]; readonly signer: Signer },
  wish: RenewalWish,
  clock: RenewalClock,
): AuthorityPart {
  const nextKey = readKey('ca-next.key', files['ca-next.key']);
  const next = nextKey && bundle.find((each) => isKeyOf(nextKey, each) && each !== signer.certificate);
  if (next !== undefined) {
    const changes = [
      { name: 'ca.key', content: files['ca-next.key'] },
      { name: 'ca-next.key', content: undefined },
    ] as const;
    const because =
      'when kube-scheduler and Muster have their new certificates, run this again to forget the earlier CA';
    return {
      changes,
      notes: [noteOf('ca-switched', next, because)],
      bundle,
      signer: { certificate: next, key: nextKey! },
    };
  }
  if (bundle.length > 1) {
    const { certificate } = signer;
    const changes = [{ name: 'ca.crt', content: certificate.toString() }] as const;
    return {
      changes,
      notes: [noteOf('ca-retired', certificate, 'give ca.crt to all who verify')],
      bundle: [certificate],
      signer,
    };
  }
  const pair = createAuthority(wish, clock);
  const announced = signerOf(pair).certificate;
  const changes = [
    { name: 'ca-next.key', content: pair.key },
    { name: 'ca.crt', content: `${signer.certificate.toString()}${pair.cert}` },
  ] as const;
  const because = 'when kube-scheduler and Muster have this ca.crt, run this again to let the next CA sign';
  return { changes, notes: [noteOf('ca-announced', announced, because)], bundle: [...bundle, announced], signer };
}

function createAuthority({ days }: RenewalWish, { now, random }: RenewalClock): CertificatePair {
  const from = now - CLOCK_SKEW_MS;
  return createAuthorityPair({ from, until: now + Math.max(10 * days, 3650) * DAY_MS }, random);
}

interface LeafParts {
  readonly files: CertificateFiles;
  readonly wish: LeafWish;
  readonly authority: AuthorityPart;
  readonly days: number;
}

function renewLeaf(what: 'server' | 'scheduler', parts: LeafParts, { now, random }: RenewalClock): Part {
  const { files, wish, authority, days } = parts;
  const { signer, bundle } = authority;
  const base = what === 'server' ? 'tls' : 'scheduler';
  const [certFile, keyFile] = [`${base}.crt`, `${base}.key`] as const;
  const found = readPair(files[certFile], files[keyFile]);
  const because = judge(found, wish, signer ? [signer.certificate] : bundle, now);
  if (because === undefined) {
    return { changes: [], notes: [{ what, kind: 'kept', because: '', until: untilOf(found.certificate!) }] };
  }
  if (signer === undefined) {
    throw new RefusedRenewal(
      `expected ca.key to sign ${certFile} anew, because ${because}, found none; put it back for that`,
    );
  }
  // What outlives its CA would be refused without a word about it.
  const until = Math.min(now + days * DAY_MS, untilOf(signer.certificate));
  const pair = createLeafPair(wish, signer, { from: now - CLOCK_SKEW_MS, until }, random);
  return {
    // Whoever reads between the two finds a pair that does not match, and keeps what it has.
    changes: [
      { name: keyFile, content: pair.key },
      { name: certFile, content: pair.cert },
    ],
    notes: [{ what, kind: 'made', because, until }],
  };
}

interface FoundPair {
  readonly certificate: X509Certificate | undefined;
  readonly key: KeyObject | undefined;
  /** What is wrong with the files themselves. */
  readonly fault: string | undefined;
}

function readPair(cert: string | undefined, key: string | undefined): FoundPair {
  if (cert === undefined || key === undefined) {
    return {
      certificate: undefined,
      key: undefined,
      fault: cert === undefined ? 'there is none' : 'its key is missing',
    };
  }
  try {
    return { certificate: new X509Certificate(cert), key: createPrivateKey(key), fault: undefined };
  } catch {
    return { certificate: undefined, key: undefined, fault: 'the files are not readable' };
  }
}

/** Why a certificate is to be made anew; undefined: it is good. */
function judge(
  { certificate, key, fault }: FoundPair,
  { commonName, names }: LeafWish,
  authorities: readonly X509Certificate[],
  now: number,
): string | undefined {
  if (certificate === undefined || key === undefined) return fault;
  if (!isKeyOf(key, certificate)) return 'the key is that of another certificate';
  if (!authorities.some((ca) => certificate.checkIssued(ca) && certificate.verify(ca.publicKey))) {
    return 'another CA signed it';
  }
  const found = readCommonName(certificate);
  if (names.length === 0 && found !== commonName) return `it names ${JSON.stringify(found ?? '')}`;
  const missing = names.find(
    (name) =>
      (isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) : certificate.checkIP(name)) === undefined,
  );
  if (missing !== undefined) return `it does not name ${missing}`;
  const [from, until] = [certificate.validFromDate.getTime(), untilOf(certificate)];
  if (now < from) return `it is valid only from ${certificate.validFrom}`;
  if (now >= until) return `it ended at ${certificate.validTo}`;
  return until - now < (until - from) * REMAINING_PART ? `it ends at ${certificate.validTo}` : undefined;
}

function readCertificates(name: CertificateFile, pem: string): readonly X509Certificate[] {
  try {
    const bundle = readBundle(pem);
    if (bundle.length > 0 || pem.trim() === '') return bundle;
  } catch {
    // Said below.
  }
  throw new RefusedRenewal(`expected PEM certificates in ${name}, found something else; correct it or move it away`);
}

function readKey(name: CertificateFile, pem: string | undefined): KeyObject | undefined {
  if (pem === undefined) return undefined;
  try {
    return createPrivateKey(pem);
  } catch {
    throw new RefusedRenewal(
      `expected a private key in PEM in ${name}, found something else; correct it or move it away`,
    );
  }
}

function signerOf({ cert, key }: CertificatePair): Signer {
  return { certificate: new X509Certificate(cert), key: createPrivateKey(key) };
}

function untilOf(certificate: X509Certificate): number {
  return certificate.validToDate.getTime();
}

function noteOf(kind: CertificateNote['kind'], certificate: X509Certificate, because: string): CertificateNote {
  return { what: 'ca', kind, because, until: untilOf(certificate) };
}
