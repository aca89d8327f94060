/** Who is at the other end of a connection, as its client certificate says. */
import type { PeerCertificate, TLSSocket } from 'node:tls';

/** The caller of a request, read once for each connection. */
export type Peer =
  /** No client CA is configured, so nobody is asked who they are. */
  | { readonly kind: 'open' }
  /** The certificate verifies. */
  | {
      readonly kind: 'certificate';
      /** For people; '' if the certificate has none, or several. */
      readonly commonName: string;
      /** The common name, and the DNS, URI and email names of the subject alternative names. */
      readonly names: readonly string[];
      /** Milliseconds since the epoch. */
      readonly expiresAt: number;
    }
  /** Found no certificate, or one that does not verify: `found` says which. */
  | { readonly kind: 'stranger'; readonly found: string };

/**
 * Reads the certificate of a TLS connection that asked for one. A resumed session has the certificate of the handshake
 * that it resumes, and what came of verifying it.
 */
export function readPeer(socket: TLSSocket): Peer {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: 'stranger', found: 'none' };
  if (!socket.authorized) {
    return { kind: 'stranger', found: `one that does not verify (${String(socket.authorizationError)})` };
  }
  // From the parsed subject and not from its text, in which a name can contain what looks like another one. Several
  // common names count as none: programs disagree which of them is meant.
  const { CN } = (certificate.toLegacyObject() as PeerCertificate).subject ?? {};
  const commonName = typeof CN === 'string' ? CN : '';
  const names = [commonName, ...readAlternativeNames(certificate.subjectAltName ?? '')].filter((name) => name !== '');
  return { kind: 'certificate', commonName, names, expiresAt: certificate.validToDate.getTime() };
}

const ALTERNATIVE_NAME = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy;
const COUNTED: readonly string[] = ['DNS', 'URI', 'email'];

/** @param text such as `DNS:a, URI:spiffe://b`; Node quotes a name with unusual characters as JSON does. */
export function readAlternativeNames(text: string): readonly string[] {
  return [...text.matchAll(ALTERNATIVE_NAME)].flatMap(([, type = '', name = '']) => {
    if (!COUNTED.includes(type)) return [];
    return [name.startsWith('"') ? unquote(name) : name];
  });
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}
