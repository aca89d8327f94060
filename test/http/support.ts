/** Test fixtures for HTTP: recorded logs, certificates, and HTTP/1.1 and HTTP/2 clients. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerOptions } from '../../src/http/server/server.ts';
import { createLogger, type Logger } from '../../src/telemetry/log.ts';

/** A logger that keeps its lines, parsed. */
export function recordLogs(): { readonly logger: Logger; readonly lines: { msg: string; reason?: string }[] } {
  const lines: { msg: string; reason?: string }[] = [];
  const write = (line: string) => lines.push(JSON.parse(line));
  return { lines, logger: createLogger({ verbosity: 9, now: Date.now, write }) };
}

/** Files of a certificate and its key. */
export interface Identity {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface IssueOptions {
  /** As openssl takes it; `/CN=<name>` unless given. */
  readonly subject?: string;
  /** As openssl takes it; localhost unless given. */
  readonly alternativeNames?: string;
}

/** Options of a server that bounds nothing and tells nobody. */
export const unboundedServer: Pick<ServerOptions, 'isListed' | 'onRefusedConnection' | 'maxConnections'> = {
  isListed: () => true,
  onRefusedConnection: () => {},
  maxConnections: 10_000,
};

export interface Authority {
  readonly dir: string;
  readonly caFile: string;
  /** Writes `<name>.crt` and `<name>.key`, signed by the authority. */
  issue(name: string, usage: 'serverAuth' | 'clientAuth', options?: IssueOptions): Identity;
  remove(): void;
}

/** A certificate authority in a temporary directory. It uses openssl, as node:crypto cannot sign certificates. */
export function createAuthority(): Authority {
  const dir = mkdtempSync(join(tmpdir(), 'muster-tls-'));
  const openssl = (...args: string[]): void => {
    try {
      execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
    } catch (cause) {
      throw new Error('expected a working `openssl` on PATH; install the package openssl', { cause });
    }
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=test ca');
  return {
    dir,
    caFile: join(dir, 'ca.crt'),
    issue(name, usage, options = {}) {
      const { subject = `/CN=${name}`, alternativeNames = 'DNS:localhost,IP:127.0.0.1' } = options;
      const extensions = ['-addext', `subjectAltName=${alternativeNames}`, '-addext', `extendedKeyUsage=${usage}`];
      openssl('req', ...newKey, ...extensions, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject);
      const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copyall'];
      openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, '-days', '2', ...signer);
      return { certFile: join(dir, `${name}.crt`), keyFile: join(dir, `${name}.key`) };
    },
    remove: () => rmSync(dir, { recursive: true }),
  };
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface Http2Client {
  readonly session: ClientHttp2Session;
  post(path: string, body: string): Promise<Answer>;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
}

/** An HTTP/2 client that trusts `ca` and presents `identity`, if given. */
export function connectHttp2(
  url: string,
  tls: { ca?: string; identity?: Identity; session?: Buffer } = {},
): Http2Client {
  const { ca, identity, session: resumed } = tls;
  const session = connect(url, {
    ...(resumed === undefined ? {} : { session: resumed }),
    ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
    ...(identity === undefined ? {} : { cert: readFileSync(identity.certFile), key: readFileSync(identity.keyFile) }),
  });
  // A failing request reports itself; without a listener the session's error would end the process.
  session.on('error', () => {});
  const send = (headers: Readonly<Record<string, string>>, body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers, { endStream: body === undefined });
      let status = 0;
      let text = '';
      stream.setEncoding('utf8');
      stream.on('response', (answer) => {
        status = Number(answer[':status']);
      });
      stream.on('data', (chunk: string) => {
        text += chunk;
      });
      stream.on('end', () => resolve({ status, body: text }));
      stream.on('error', reject);
      if (body !== undefined) stream.end(body);
    });
  return {
    session,
    post: (path, body) => send({ ':method': 'POST', ':path': path }, body),
    get: (path, headers = {}) => send({ ':method': 'GET', ':path': path, ...headers }),
  };
}

/** A raw HTTP/1.1 connection that has sent one POST of `{}`. */
export function postRaw(port: number, path: string): { readonly socket: Socket; received(): string } {
  const socket = connectTcp(port, '127.0.0.1');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`);
  return { socket, received: () => text };
}

/** A promise and the function that resolves it. */
export function defer<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, resolve };
}
