/** What a command of `muster` is made of, and how its flags are read. */
import type { ParseArgsOptionsConfig } from 'node:util';
import type { CertificateStore } from '../certs/store.ts';
import type { MusterConfiguration } from '../config/configuration.ts';
import type { Fetch } from './fetch-json.ts';

/** Where certificates are kept. */
export type CertificatePlace =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'secrets'; readonly namespace: string; readonly kubeconfig: string | undefined };

/** Everything outside the process that the commands use. */
export interface CliEnvironment {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly readFile: (path: string) => string;
  readonly fetch: Fetch;
  /** The Authorization header of a kubeconfig's user; undefined if it has none. */
  readonly readAuthorization: (kubeconfig: string) => Promise<string | undefined>;
  readonly openCertificates: (place: CertificatePlace) => Promise<CertificateStore>;
  /** Serves until the process is told to stop. */
  readonly serve: (config: MusterConfiguration) => Promise<void>;
  /** Plays the demo; also draws it into a file if one is given. */
  readonly demo: (svgFile: string | undefined) => Promise<void>;
}

export type Flags = Readonly<Record<string, string | boolean | undefined>>;

export interface Command {
  readonly summary: string;
  readonly usage: string;
  readonly options: ParseArgsOptionsConfig;
  run(flags: Flags, environment: CliEnvironment): Promise<ExitCode>;
}

/** 0: done, nothing found wrong. 1: the command found a problem in what it inspected. */
export type ExitCode = 0 | 1;

/** The command line is invalid: exit code 2, as opposed to 1 for a failure. */
export class UsageError extends Error {}

/** The text of a flag; undefined if it is absent or a switch. */
export function textOf(flag: string | boolean | undefined): string | undefined {
  return typeof flag === 'string' ? flag : undefined;
}
