/**
 * The log: one JSON object per line, with the keys that klog users know: `ts`, `level`, `msg`, then the fields.
 *
 * Field names are fixed, so that one grep finds everything about one thing:
 *   pod, gang   `namespace/name`, as `keyOf` writes it; several pods: `pods`
 *   node        a node's name
 *   plan        a plan id
 *   reason      the cause, one of the fixed values that metrics use as labels
 *   seconds     a duration; the log has no field in `Ms`
 *
 * Texts and lists are cut: what users wrote may be in them, and no line should fill a disk.
 *
 * Verbosity as in kube-scheduler: 0 always, 1 rare and important, 2 once per decision about a gang, 3 per request, 4
 * and more for debugging.
 */

/** Characters of a text, such as the stack of an error, and items of a list that a line holds. */
const MAX_TEXT = 4_000;
const MAX_ITEMS = 64;

/** The fields of a line beside its message. `undefined` values are omitted; nested errors keep their stack. */
export type LogFields = Readonly<Record<string, unknown>> & {
  readonly ts?: never;
  readonly level?: never;
  readonly msg?: never;
  readonly error?: never;
};

export interface Logger {
  /** Written if `verbosity` is at most the configured one. */
  info(verbosity: number, msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  /** `error` is any caught value; it need not be an Error. */
  error(msg: string, error: unknown, fields?: LogFields): void;
}

export interface LoggerOptions {
  readonly verbosity: number;
  /** Takes one line including its newline. */
  readonly write: (line: string) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A logger whose calls never throw: logging must not break a scheduling decision. */
export function createLogger(options: LoggerOptions): Logger {
  const log = (level: string, msg: string, fields: object): void => {
    try {
      const head = { ts: new Date(options.now()).toISOString(), level, msg };
      options.write(`${stringify({ ...head, ...fields })}\n`);
    } catch {
      // The output is closed or full; there is nowhere left to report it.
    }
  };
  return {
    info(verbosity, msg, fields = {}) {
      if (verbosity <= options.verbosity) log('info', msg, fields);
    },
    warn(msg, fields = {}) {
      log('warn', msg, fields);
    },
    error(msg, error, fields = {}) {
      log('error', msg, { ...fields, error });
    },
  };
}

function stringify(line: object): string {
  try {
    return JSON.stringify(line, replaceValue);
  } catch {
    // One value cannot be serialized (a cycle, a throwing getter): keep all others.
    const entries = Object.entries(line).map(([key, value]) => [key, toWritable(value)]);
    return JSON.stringify(Object.fromEntries(entries), replaceValue);
  }
}

function toWritable(value: unknown): unknown {
  try {
    JSON.stringify(value, replaceValue);
    return value;
  } catch (error) {
    return `(not written: ${error instanceof Error ? error.message.split('\n')[0] : 'unknown'})`;
  }
}

function replaceValue(_key: string, value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'string') return value.length <= MAX_TEXT ? value : `${value.slice(0, MAX_TEXT)}…`;
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Set) return cutList([...value]);
  if (value instanceof Map) return Object.fromEntries([...value].slice(0, MAX_ITEMS));
  if (Array.isArray(value)) return cutList(value);
  return value;
}

function cutList<T>(items: readonly T[]): readonly (T | string)[] {
  return items.length <= MAX_ITEMS ? items : [...items.slice(0, MAX_ITEMS), `… and ${items.length - MAX_ITEMS} more`];
}

function describeError(error: Error): object {
  const code = 'code' in error ? error.code : undefined;
  return { name: error.name, message: error.message, code, stack: error.stack, cause: error.cause };
}
