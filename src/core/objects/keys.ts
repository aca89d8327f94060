/**
 * What users write: the labels and annotations under `muster.dev/`. One table names every key, where it belongs and
 * which values it takes, so that an unknown key or a bad value is reported and never silently ignored.
 */
import { findNearest } from './edit-distance.ts';
import type { Labels } from './model.ts';
import { cutText, isCut, MAX_VALUE, parseDuration } from './text-values.ts';

export const PREFIX = 'muster.dev/';
export const POD_GROUP_LABEL = 'muster.dev/pod-group';
/** The co-scheduling plugin's label, which names a PodGroup object (kubernetes-sigs/scheduler-plugins, apis/scheduling/v1alpha1). */
export const COSCHEDULING_LABEL = 'scheduling.x-k8s.io/pod-group';
export const MIN_MEMBERS = 'muster.dev/min-members';
export const MAX_MEMBERS = 'muster.dev/max-members';
export const RANK = 'muster.dev/rank';
export const TOPOLOGY_REQUIRED = 'muster.dev/topology-required';
export const TOPOLOGY_PREFERRED = 'muster.dev/topology-preferred';
export const TOPOLOGY_PATIENCE = 'muster.dev/topology-patience';
export const TOPOLOGY_SPREAD = 'muster.dev/topology-spread';
export const TOPOLOGY_EXCLUSIVE = 'muster.dev/topology-exclusive';
export const SLICE_SIZE = 'muster.dev/slice-size';
export const SLICE_REQUIRED = 'muster.dev/slice-required';
export const MIN_RUNTIME = 'muster.dev/min-runtime';
export const CHECKPOINTED_AT = 'muster.dev/checkpointed-at';
export const PREEMPTIBLE = 'muster.dev/preemptible';
export const PREEMPTS = 'muster.dev/preempts';
export const ON_MEMBER_LOSS = 'muster.dev/on-member-loss';
export const HOLD = 'muster.dev/hold';
export const QUEUE = 'muster.dev/queue';
export const EXPECTED_DURATION = 'muster.dev/expected-duration';
/** Scheduling gate that keeps members out of kube-scheduler's queue until they are planned. */
export const GANG_GATE = 'muster.dev/gang';
/** Written by Muster: `<plan>/<node>/<attempt>`, the record of a slot. */
export const PLAN = 'muster.dev/plan';
/** Written by Muster in the Binding: `<plan> <path> <rank>`, for the application. */
export const PLACEMENT = 'muster.dev/placement';
/** Written by Muster on a victim before its eviction: the gang that it makes room for, `namespace/name`. */
export const PREEMPTED_BY = 'muster.dev/preempted-by';
/** Written by Muster on a victim: when it will be evicted, RFC 3339, so that it can write a checkpoint before. */
export const PREEMPTION_NOTICE = 'muster.dev/preemption-notice';

/** Written by Muster on members of a gang that ran as long as its queue allows: when that was found, RFC 3339. */
export const OVER_TIME = 'muster.dev/over-time';

/** The longest duration that is accepted, milliseconds: adding it to a time still gives a time. */
const LONGEST_MS = 8_784 * 3_600_000;

/** The value of a key that takes a duration, milliseconds; undefined for none and for an invalid one. */
export function readDuration(value: string | undefined): number | undefined {
  const ms = parseDuration(value ?? '');
  return ms !== undefined && ms <= LONGEST_MS ? ms : undefined;
}

interface Key {
  readonly kind: 'label' | 'annotation';
  /** Describes valid values to people; undefined for keys that Muster writes itself. */
  readonly expected?: string;
  readonly accepts?: (value: string) => boolean;
  /** Whether something reads it on a pod without a gang. */
  readonly countsAlone?: true;
}

const wholeNumberFrom = (least: number) => (value: string) => /^\d{1,9}$/.test(value) && Number(value) >= least;
const duration = (value: string) => readDuration(value) !== undefined;
const oneOf =
  (...values: readonly string[]) =>
  (value: string) =>
    values.includes(value);
const someText = (value: string) => value.trim() !== '';
const instant = (value: string) => /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value));

/** The longest node-label key: a prefix of 253 characters, a slash, a name of 63. */
const LONGEST_KEY = 317;
const levelName = (value: string) => someText(value) && value.length <= LONGEST_KEY;

const LEVEL = { kind: 'annotation', expected: 'a topology level or node-label key', accepts: levelName } as const;
const DURATION = {
  kind: 'annotation',
  expected: 'a duration such as 30m, of a year (8784h) at most',
  accepts: duration,
} as const;
const PROTECTION = { ...DURATION, countsAlone: true } as const;
const FLAG = {
  kind: 'annotation',
  expected: '"true" or "false"',
  accepts: oneOf('true', 'false'),
  countsAlone: true,
} as const;
const POSITIVE = { kind: 'annotation', expected: 'a whole number of at least 1', accepts: wholeNumberFrom(1) } as const;
const WRITTEN_BY_MUSTER = { kind: 'annotation' } as const;

const KEYS: ReadonlyMap<string, Key> = new Map<string, Key>([
  ['pod-group', { kind: 'label', expected: 'the name of the gang', accepts: someText }],
  ['queue', { kind: 'label', expected: 'the name of a queue', accepts: someText, countsAlone: true }],
  ['min-members', POSITIVE],
  ['max-members', POSITIVE],
  ['slice-size', POSITIVE],
  ['rank', { kind: 'annotation', expected: 'a whole number of at least 0', accepts: wholeNumberFrom(0) }],
  ['topology-required', LEVEL],
  ['topology-preferred', LEVEL],
  ['topology-spread', LEVEL],
  ['topology-exclusive', LEVEL],
  ['slice-required', LEVEL],
  ['topology-patience', DURATION],
  ['expected-duration', DURATION],
  ['min-runtime', PROTECTION],
  ['checkpointed-at', { kind: 'annotation', expected: 'an RFC 3339 time', accepts: instant, countsAlone: true }],
  ['preemptible', FLAG],
  ['preempts', { kind: 'annotation', expected: '"never"', accepts: oneOf('never') }],
  ['hold', FLAG],
  [
    'on-member-loss',
    {
      kind: 'annotation',
      expected: '"replace", "restart" or "ignore"',
      accepts: oneOf('replace', 'restart', 'ignore'),
    },
  ],
  ['plan', WRITTEN_BY_MUSTER],
  ['placement', WRITTEN_BY_MUSTER],
  ['preempted-by', WRITTEN_BY_MUSTER],
  ['preemption-notice', WRITTEN_BY_MUSTER],
  ['over-time', WRITTEN_BY_MUSTER],
]);

/** What users may write: the keys without those that Muster writes itself, without the prefix. */
const USER_KEYS: readonly string[] = [...KEYS].flatMap(([name, { expected }]) =>
  expected === undefined ? [] : [name],
);

/** Keys and values are cut: a user decides how long they are. */
export type KeyProblem =
  /** `meant`: the known key that is written nearly the same; undefined: none is. */
  | {
      readonly kind: 'unknown-key';
      readonly key: string;
      readonly meant: string | undefined;
      readonly known: readonly string[];
    }
  | { readonly kind: 'misplaced-key'; readonly key: string; readonly foundAs: 'label' | 'annotation' }
  | { readonly kind: 'bad-value'; readonly key: string; readonly value: string; readonly expected: string };

/** All problems with the keys under `muster.dev/` on one object, sorted by key. */
export function checkKeys(labels: Labels, annotations: Labels): readonly KeyProblem[] {
  return [...checkPlace(labels, 'label'), ...checkPlace(annotations, 'annotation')];
}

function* checkPlace(entries: Labels, place: 'label' | 'annotation'): Generator<KeyProblem> {
  for (const key of Object.keys(entries).sort()) {
    if (!key.startsWith(PREFIX)) continue;
    const rule = KEYS.get(key.slice(PREFIX.length));
    const value = entries[key]!;
    if (!rule) yield { kind: 'unknown-key', key: cutText(key), meant: keyMeantBy(key), known: USER_KEYS };
    else if (rule.kind !== place) yield { kind: 'misplaced-key', key, foundAs: place };
    else if (isCut(value))
      yield { kind: 'bad-value', key, value: cutText(value), expected: `at most ${MAX_VALUE} characters` };
    else if (rule.accepts && !rule.accepts(value))
      yield { kind: 'bad-value', key, value: cutText(value), expected: rule.expected! };
  }
}

/** Whether the key is one of Muster's, whoever writes it. */
export function isKnownKey(key: string): boolean {
  return KEYS.has(key.slice(PREFIX.length));
}

/** What other schedulers call it. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['gang', 'pod-group'],
  ['gang-name', 'pod-group'],
  ['group-name', 'pod-group'],
  ['min-available', 'min-members'],
  ['queue-name', 'queue'],
]);

/** The key that users may write which is this one, nearly this one, or another word for it. */
export function keyMeantBy(key: string): string | undefined {
  const written = key.slice(PREFIX.length);
  const name = SYNONYMS.get(written) ?? findNearest(written, USER_KEYS);
  return name === undefined ? undefined : PREFIX + name;
}

/** Whether a user's key belongs among the labels or the annotations; undefined: it is not one of theirs. */
export function placeOf(key: string): 'label' | 'annotation' | undefined {
  const rule = KEYS.get(key.slice(PREFIX.length));
  return rule?.expected === undefined ? undefined : rule.kind;
}

/** Whether a user wrote the key and nothing reads it on a pod without a gang. */
export function needsGang(key: string): boolean {
  const rule = KEYS.get(key.slice(PREFIX.length));
  return rule?.expected !== undefined && !rule.countsAlone;
}
