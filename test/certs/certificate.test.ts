/** Certificates that Muster makes, as node:crypto, openssl and a TLS handshake with Muster's own server see them. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import {
  addressBytes,
  type CertificatePair,
  createAuthorityPair,
  createLeafPair,
  type LeafWish,
  readCommonName,
  type Signer,
} from '../../src/certs/certificate.ts';
import type { CallerEnv } from '../../src/http/access/access.ts';
import { startServer } from '../../src/http/server/server.ts';
import { createAuthority, recordLogs, unboundedServer } from '../http/support.ts';

const now = Date.now();
const validity = { from: now - 60_000, until: now + 86_400_000 };
const dir = mkdtempSync(join(tmpdir(), 'muster-certs-'));
afterAll(() => rmSync(dir, { recursive: true }));

const ca = createAuthorityPair(validity, randomBytes);
const signer = signerOf(ca);
const names = ['muster.muster-system.svc', 'localhost', '127.0.0.1', '2001:db8::7'];
const server = issue({ usage: 'server', commonName: 'muster', names });
const client = issue({ usage: 'client', commonName: 'system:kube-scheduler', names: [] });

function signerOf({ cert, key }: CertificatePair): Signer {
  return { certificate: new X509Certificate(cert), key: createPrivateKey(key) };
}

function issue(wish: LeafWish, by = signer): CertificatePair {
  return createLeafPair(wish, by, validity, randomBytes);
}

function write(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

describe('as node:crypto reads them', () => {
  test('the CA signs itself and is a CA', () => {
    const { certificate } = signer;
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkIssued(certificate)).toBe(true);
    expect(certificate.checkPrivateKey(signer.key)).toBe(true);
    expect(certificate.subject).toMatch(/^CN=muster-ca-[0-9a-f]{8}$/);
  });

  test.each([
    ['server', server, '1.3.6.1.5.5.7.3.1'],
    ['client', client, '1.3.6.1.5.5.7.3.2'],
  ])('that of a %s is signed by the CA, is none itself, and serves one purpose', (_, pair, purpose) => {
    const certificate = new X509Certificate(pair.cert);
    expect(certificate.ca).toBe(false);
    expect(certificate.checkIssued(signer.certificate)).toBe(true);
    expect(certificate.verify(signer.certificate.publicKey)).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(false);
    expect(certificate.checkPrivateKey(createPrivateKey(pair.key))).toBe(true);
    expect(certificate.keyUsage).toEqual([purpose]);
    expect(certificate.validFromDate.getTime()).toBe(Math.floor(validity.from / 1000) * 1000);
    expect(certificate.validToDate.getTime()).toBe(Math.floor(validity.until / 1000) * 1000);
  });

  test('a server has its names and no others', () => {
    const certificate = new X509Certificate(server.cert);
    expect(certificate.checkHost('muster.muster-system.svc')).toBe('muster.muster-system.svc');
    expect(certificate.checkHost('localhost')).toBe('localhost');
    expect(certificate.checkHost('other.svc')).toBeUndefined();
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(certificate.checkIP('2001:db8::7')).toBe('2001:db8::7');
    expect(certificate.checkIP('127.0.0.2')).toBeUndefined();
  });

  test.each(['system:kube-scheduler', 'a, b + "c"', 'Zürich'])('the common name %j is read back', (commonName) => {
    const { cert } = issue({ usage: 'client', commonName, names: [] });
    expect(readCommonName(new X509Certificate(cert))).toBe(commonName);
  });

  test('a client has the name of its subject alone', () => {
    const certificate = new X509Certificate(client.cert);
    expect(certificate.subject).toBe('CN=system:kube-scheduler');
    expect(certificate.subjectAltName).toBeUndefined();
  });

  test.each([Buffer.alloc(16, 0), Buffer.alloc(16, 0xff), Buffer.from('80'.padEnd(32, '0'), 'hex')])(
    'serial numbers are positive, whatever is drawn',
    (drawn) => {
      const pair = createLeafPair({ usage: 'client', commonName: 'x', names: [] }, signer, validity, () => drawn);
      const { serialNumber } = new X509Certificate(pair.cert);
      expect(serialNumber).toHaveLength(32);
      expect(Number.parseInt(serialNumber.slice(0, 2), 16)).toBeLessThan(0x80);
      expect(Number.parseInt(serialNumber.slice(0, 2), 16)).toBeGreaterThan(0x3f);
    },
  );
});

describe('as openssl judges them', () => {
  const verify = (pair: CertificatePair, caPem: string, ...more: readonly string[]): string => {
    const [caFile, file] = [write('verify-ca.crt', caPem), write('verify.crt', pair.cert)];
    const args = ['verify', '-CAfile', caFile, ...more, file];
    try {
      return execFileSync('openssl', args, { stdio: 'pipe', encoding: 'utf8' });
    } catch (error) {
      return String((error as { stderr?: string }).stderr);
    }
  };

  test('they keep the rules of RFC 5280, each for its purpose', () => {
    const strict = ['-x509_strict', '-purpose'];
    expect(verify(server, ca.cert, ...strict, 'sslserver', '-verify_hostname', 'localhost')).toContain(': OK');
    expect(verify(client, ca.cert, ...strict, 'sslclient')).toContain(': OK');
    expect(verify(client, ca.cert, '-purpose', 'sslserver')).toContain('unsuitable certificate purpose');
    expect(verify(server, ca.cert, '-purpose', 'sslclient')).toContain('unsuitable certificate purpose');
  });

  test('another CA does not verify them', () => {
    expect(verify(server, createAuthorityPair(validity, randomBytes).cert)).toContain('unable to get local issuer');
  });

  test('they are not valid before or after their time', () => {
    const [before, after] = [validity.from - 2000, validity.until + 2000].map((at) => String(Math.floor(at / 1000)));
    expect(verify(server, ca.cert, '-attime', before!)).toContain('not yet valid');
    expect(verify(server, ca.cert, '-attime', after!)).toContain('has expired');
  });

  test('a certificate signed with the key of another is not a CA for others', () => {
    const intermediate = issue({ usage: 'server', commonName: 'intruder', names: ['localhost'] });
    const below = issue({ usage: 'server', commonName: 'below', names: ['localhost'] }, signerOf(intermediate));
    expect(verify(below, `${ca.cert}${intermediate.cert}`)).toMatch(/invalid CA certificate|unable to get/);
  });

  test('a CA that openssl made on the same curve signs as well', () => {
    const authority = createAuthority();
    const read = (name: string) => readFileSync(join(authority.dir, name), 'utf8');
    const made = { cert: read('ca.crt'), key: read('ca.key') };
    const pair = issue({ usage: 'server', commonName: 'muster', names: ['localhost'] }, signerOf(made));
    expect(verify(pair, made.cert, '-purpose', 'sslserver')).toContain(': OK');
    authority.remove();
  });
});

describe('in a TLS handshake with the server', () => {
  test('both sides verify each other, and the server knows the name of the caller', async () => {
    const paths = {
      certFile: write('tls.crt', server.cert),
      keyFile: write('tls.key', server.key),
      clientCaFile: write('ca.crt', ca.cert),
    };
    const peers: unknown[] = [];
    const running = await startServer({
      fetch: (_request, env) => {
        const { peer } = env as CallerEnv;
        peers.push(peer.kind === 'certificate' ? peer.commonName : peer.kind);
        return new Response('ok');
      },
      bindAddress: '127.0.0.1',
      port: 0,
      tls: paths,
      ...unboundedServer,
      drainDelayMs: 0,
      logger: recordLogs().logger,
    });
    const ask = (options: ConnectionOptions) =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port: running.port, servername: 'localhost', ...options }, () => {
          socket.end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
        });
        let text = '';
        socket.on('data', (chunk) => {
          text += chunk.toString();
        });
        socket.on('end', () => resolve(text.split('\r\n')[0]));
        socket.on('error', reject);
      });
    try {
      expect(await ask({ ca: ca.cert, cert: client.cert, key: client.key })).toBe('HTTP/1.1 200 OK');
      expect(await ask({ ca: ca.cert })).toBe('HTTP/1.1 200 OK');
      // A server's certificate does not make its holder a caller.
      expect(await ask({ ca: ca.cert, cert: server.cert, key: server.key })).toBe('HTTP/1.1 200 OK');
      expect(peers).toEqual(['system:kube-scheduler', 'stranger', 'stranger']);
      const stranger = createAuthorityPair(validity, randomBytes);
      await expect(ask({ ca: stranger.cert })).rejects.toThrow(/unable to verify|self-signed|local issuer/);
      await expect(ask({ ca: ca.cert, servername: 'other.svc' })).rejects.toThrow(
        "does not match certificate's altnames",
      );
    } finally {
      await running.close();
    }
  });
});

describe('what cannot be made', () => {
  test.each(['', 'two words', 'a..b', '-a', 'a_b', `${'x'.repeat(64)}.svc`, '*.*.svc', 'ä.svc'])(
    'the name %j of a server is an error',
    (name) => {
      expect(() => issue({ usage: 'server', commonName: 'muster', names: [name] })).toThrow(
        'expected a DNS name or an IP',
      );
    },
  );

  test('a common name that is empty or too long is an error', () => {
    expect(() => issue({ usage: 'client', commonName: '', names: [] })).toThrow('of 1 to 64 characters');
    expect(() => issue({ usage: 'client', commonName: 'x'.repeat(65), names: [] })).toThrow('of 1 to 64 characters');
  });

  test('a CA with a key of another kind is an error that names it', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const wish: LeafWish = { usage: 'client', commonName: 'x', names: [] };
    expect(() => issue(wish, { certificate: signer.certificate, key: privateKey })).toThrow(
      'found one of type ec on secp384r1',
    );
  });
});

test.each([
  ['10.0.0.7', '0a000007'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['2001:db8::7', '20010db8000000000000000000000007'],
  ['fe80::1:0:0:2', 'fe800000000000000001000000000002'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['::ffff:10.0.0.7', '00000000000000000000ffff0a000007'],
])('the address %s as bytes', (address, bytes) => {
  expect(addressBytes(address).toString('hex')).toBe(bytes);
});
