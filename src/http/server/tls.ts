/** Reads and checks the TLS files: certificate, key and client CA. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

/** Paths of PEM files. With `clientCaFile`, a client must present a certificate signed by one of its CAs. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile?: string | undefined;
}

/** The content of the files, checked to be usable together. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
  /** As the certificate states it, such as `Nov 24 00:00:00 2027 GMT`. */
  readonly validUntil: string;
  /** The same in milliseconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * Reads and checks the files.
 * @throws Error that names the faulty file and the remedy.
 */
export async function readTlsMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all([
    readPem(files.certFile, 'certFile'),
    readPem(files.keyFile, 'keyFile'),
    files.clientCaFile === undefined ? undefined : readPem(files.clientCaFile, 'clientCaFile'),
  ]);
  const { validTo, validToDate } = parseCertificate(cert, files.certFile, 'certFile');
  if (ca !== undefined) parseCertificate(ca, files.clientCaFile ?? '', 'clientCaFile');
  const material = { cert, key, ...(ca === undefined ? {} : { ca }) };
  try {
    createSecureContext(material);
  } catch (cause) {
    throw new Error(
      `server.tls: expected ${files.keyFile} to hold the private key of the certificate in ${files.certFile}, ` +
        `found ${reasonOf(cause)}; check that both files come from the same Secret`,
      { cause },
    );
  }
  return { ...material, validUntil: validTo, expiresAt: validToDate.getTime() };
}

export function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca;
}

async function readPem(file: string, field: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Error(
      `server.tls.${field}: expected a readable PEM file, found ${reasonOf(cause)}; ` +
        'check the path and that the Secret is mounted',
      { cause },
    );
  }
}

function parseCertificate(pem: string, file: string, field: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new Error(
      `server.tls.${field}: expected a PEM certificate in ${file}, found ${reasonOf(cause)}; ` +
        'the file must begin with -----BEGIN CERTIFICATE-----',
      { cause },
    );
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
