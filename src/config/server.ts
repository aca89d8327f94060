/** The `server` section of the configuration: where Muster listens, who may call, and how much callers may use. */
import { BlockList, isIP } from 'node:net';
import { formatDuration } from '../core/objects/text-values.ts';
import type { Section, TextForm } from './section.ts';

export interface TlsConfiguration {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | undefined;
}

/** Names in client certificates: the common name, or a DNS, URI or email name of the subject alternative names. */
export interface CallersConfiguration {
  /** Who may ask for decisions: filter, prioritize, preempt and bind. */
  readonly decisions: readonly string[];
  /** Who sees all of the inspect API. */
  readonly inspect: readonly string[];
  /** Who may read the metrics. */
  readonly metrics: readonly string[];
}

export interface ServerConfiguration {
  readonly bindAddress: string;
  readonly port: number;
  /** A second port, on which nobody can ask for decisions; 0: none. */
  readonly inspectPort: number;
  /** A port for the admission webhook alone; 0: none. */
  readonly webhookPort: number;
  /** Undefined: plain HTTP. */
  readonly tls: TlsConfiguration | undefined;
  /** Asked for only with `tls.clientCaFile`. */
  readonly callers: CallersConfiguration;
  readonly maxBodyMiB: number;
  /** Of all bodies that have not arrived completely, together. */
  readonly maxUnfinishedBodiesMiB: number;
  readonly maxConnections: number;
  readonly drainDelayMs: number;
}

/** Names that Kubernetes, or a certificate authority of the operator, gives to programs and people. */
const callerName: TextForm = {
  expected: "a name in a caller's certificate such as system:kube-scheduler, at most 253 characters",
  pattern: /^[\x21-\x7e]([\x20-\x7e]{0,251}[\x21-\x7e])?$/,
};

const second = 1000;
const minute = 60 * second;

export function readServer(section: Section): ServerConfiguration {
  const server = {
    bindAddress: section.text('bindAddress', '127.0.0.1'),
    port: section.integer('port', 8443, { min: 0, max: 65_535 }),
    inspectPort: section.integer('inspectPort', 0, { min: 0, max: 65_535 }),
    webhookPort: section.integer('webhookPort', 0, { min: 0, max: 65_535 }),
    tls: readTls(section.optionalSection('tls')),
    callers: readCallers(section.section('callers')),
    maxBodyMiB: section.integer('maxBodyMiB', 8, { min: 1, max: 1024 }),
    maxUnfinishedBodiesMiB: section.integer('maxUnfinishedBodiesMiB', 64, { min: 1, max: 16_384 }),
    maxConnections: section.integer('maxConnections', 10_000, { min: 64, max: 1_000_000 }),
    drainDelayMs: section.durationMs('drainDelay', 5 * second, { min: 0, max: 5 * minute }),
  };
  section.end();
  return server;
}

function readTls(section: Section | undefined): TlsConfiguration | undefined {
  if (section === undefined) return undefined;
  const tls = {
    certFile: section.requiredText('certFile'),
    keyFile: section.requiredText('keyFile'),
    clientCaFile: section.optionalText('clientCaFile'),
  };
  section.end();
  return tls;
}

function readCallers(section: Section): CallersConfiguration {
  const callers = {
    decisions: section.texts('decisions', ['system:kube-scheduler'], callerName),
    inspect: section.texts('inspect', [], callerName),
    metrics: section.texts('metrics', [], callerName),
  };
  section.end();
  return callers;
}

/** Checks across fields; returns one message per problem. */
export function checkServer({ callers, tls, ...server }: ServerConfiguration): readonly string[] {
  const problems: string[] = [];
  if (server.maxUnfinishedBodiesMiB < server.maxBodyMiB) {
    problems.push(
      `server.maxUnfinishedBodiesMiB: expected at least server.maxBodyMiB (${server.maxBodyMiB}), ` +
        `found ${server.maxUnfinishedBodiesMiB}; with less, the largest body could never arrive`,
    );
  }
  if (server.inspectPort !== 0 && server.inspectPort === server.port) {
    problems.push(
      `server.inspectPort: expected another port than server.port, found ${server.port} for both; ` +
        'leave it out to have everything on one port',
    );
  }
  if (server.webhookPort !== 0 && [server.port, server.inspectPort].includes(server.webhookPort)) {
    problems.push(
      'server.webhookPort: expected another port than server.port and server.inspectPort, ' +
        `found ${server.webhookPort} for both; API servers come to it without a certificate`,
    );
  }
  if (server.webhookPort !== 0 && tls === undefined) {
    problems.push(
      'server.webhookPort: expected server.tls with it, found none; API servers call webhooks over TLS only: ' +
        'set server.tls, or leave webhookPort out',
    );
  }
  if (tls?.clientCaFile !== undefined && callers.decisions.length === 0) {
    problems.push(
      'server.callers.decisions: expected at least one name, found an empty list; ' +
        "with none, no pod is scheduled: name what kube-scheduler's certificate says",
    );
  }
  return problems;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Why Muster must not listen there: everybody who reaches the address could bind pods. Undefined when it may: on a
 * loopback address, or where a client CA says who calls.
 */
export function findExposure({ bindAddress, tls }: ServerConfiguration): string | undefined {
  if (tls?.clientCaFile !== undefined || isLoopback(bindAddress)) return undefined;
  return (
    `server.bindAddress: expected a loopback address without server.tls.clientCaFile, found ${bindAddress}; ` +
    'whoever reaches it could bind pods past taints and quotas. ' +
    'Set server.tls with clientCaFile (docs/operating.md#tls), or listen on 127.0.0.1 beside kube-scheduler, ' +
    'or accept the risk with --insecure'
  );
}

function isLoopback(address: string): boolean {
  const version = isIP(address);
  if (version === 0) return address === 'localhost';
  return loopback.check(address, version === 4 ? 'ipv4' : 'ipv6');
}

/** As `readServer` reads it back. */
export function renderServer({ drainDelayMs, ...server }: ServerConfiguration): object {
  // Through JSON, which leaves out what is undefined.
  return JSON.parse(JSON.stringify({ ...server, drainDelay: formatDuration(drainDelayMs) })) as object;
}
