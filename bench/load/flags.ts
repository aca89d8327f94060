/** The flags of the `load-http` benchmark. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { UsageError } from '../result.ts';

export interface LoadFlags {
  /** A Muster that is already running. */
  readonly url: URL | undefined;
  /** PEM files, for https. */
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly names: number;
  /** Number of gang members with reserved slots. */
  readonly gang: number;
  /** Maximum calls per second; 0: the next call follows the answer. */
  readonly rate: number;
  readonly seconds: number;
  readonly heldBinds: number;
  /** Pod events per second. */
  readonly podEvents: number;
}

export const USAGE = `flags of load-http (without any it runs the table with the goals):
  --names N         nodes offered in a filter call, 1 to 20000; 1 is a nominated member's call      [1]
  --rate N          calls a second at most, one at a time as kube-scheduler does; 0: no pause        [0]
  --seconds N       how long to measure, 1 to 600                                                  [10]
  --gang N          members of the gang that has slots, 1 to 10000                               [1000]
  --held-binds N    bind calls held meanwhile, each on a connection of its own; fewer than --gang    [0]
  --pod-events N    pod events a second that arrive over the watch meanwhile, 0 to 10000             [0]
  --url URL         a Muster that runs already; it gets filter and prioritize calls for pods that do not exist
  --ca, --cert, --key FILE   PEM files, for https`;

/** @throws UsageError that says what was expected. */
export function readFlags(flags: readonly string[]): LoadFlags {
  if (flags.includes('--help')) throw new UsageError(USAGE);
  const text = { type: 'string' } as const;
  const options = {
    url: text,
    ca: text,
    cert: text,
    key: text,
    names: text,
    rate: text,
    seconds: text,
    gang: text,
    'held-binds': text,
    'pod-events': text,
  };
  let values: Partial<Record<keyof typeof options, string>>;
  try {
    values = parseArgs({ args: [...flags], options }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
  const integer = (name: keyof typeof options, fallback: number, min: number, max: number): number => {
    const found = values[name];
    if (found === undefined) return fallback;
    const value = Number(found);
    if (/^\d+$/.test(found) && value >= min && value <= max) return value;
    throw new UsageError(`expected --${name} to be a whole number from ${min} to ${max}, found "${found}"`);
  };
  const gang = integer('gang', 1_000, 1, 10_000);
  if (values.url !== undefined) {
    // Held binds and events need the benchmark's own cluster: a Muster in use would bind pods and plan for them.
    for (const name of ['gang', 'held-binds', 'pod-events'] as const) {
      if (values[name] !== undefined) throw new UsageError(`expected no --${name} with --url, found "${values[name]}"`);
    }
  }
  return {
    url: values.url === undefined ? undefined : readUrl(values.url),
    tls: readTls(values),
    names: integer('names', 1, 1, 20_000),
    gang,
    rate: integer('rate', 0, 0, 100_000),
    seconds: integer('seconds', 10, 1, 600),
    heldBinds: integer('held-binds', 0, 0, gang - 1),
    podEvents: integer('pod-events', 0, 0, 10_000),
  };
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new UsageError(`expected --url to be http://host:port or https://host:port, found "${text}"`);
}

function readTls(values: Partial<Record<string, string>>): LoadFlags['tls'] {
  if ((values.cert === undefined) !== (values.key === undefined))
    throw new UsageError('expected --cert and --key together');
  const tls: Record<string, Buffer> = {};
  for (const name of ['ca', 'cert', 'key']) {
    const file = values[name];
    if (file === undefined) continue;
    if (!values.url?.startsWith('https:')) throw new UsageError(`expected --${name} with an https --url only`);
    try {
      tls[name] = readFileSync(file);
    } catch (error) {
      throw new UsageError(`expected --${name} to be a readable PEM file, found ${(error as Error).message}`);
    }
  }
  return tls;
}
