/**
 * Objects of Kubernetes with any of their fields (`wire-schema.txt`), as kube-apiserver writes them in JSON: what Go leaves
 * out if it is empty is not there, what it does not is there in any case.
 */
import fc from 'fast-check';
import { MESSAGES, type SchemaField } from './kube-wire.ts';

/** Values that projections look for. */
const WORDS = [
  ...[
    'Ready',
    'True',
    'False',
    'PodScheduled',
    'DisruptionTarget',
    'PodResizePending',
    'Infeasible',
    'SchedulingGated',
  ],
  ...[
    'Pending',
    'Running',
    'Succeeded',
    'Failed',
    'Complete',
    'SuccessCriteriaMet',
    'Ignore',
    'Always',
    'In',
    'Exists',
  ],
  ...['DaemonSet', 'Job', 'Node', 'batch/v1', 'batch.volcano.sh/v1', 'n1', 'default-scheduler', 'FailedCreate', '7'],
  ...[
    'kubernetes.io/hostname',
    'ScheduleAnyway',
    'DoNotSchedule',
    'Honor',
    'NoExecute',
    'WaitForFirstConsumer',
    '1-3,5',
  ],
  ...['x'.repeat(1_500), '', 'batch.kubernetes.io/job-tracking', '\u{1F680}'],
];
const KEYS = [
  ...['muster.dev/pod-group', 'muster.dev/min-members', 'muster.dev/unknown', 'app', 'kubernetes.io/config.mirror'],
  ...[
    'leaderworkerset.sigs.k8s.io/size',
    'batch.kubernetes.io/job-index-failure-count',
    'jobset.sigs.k8s.io/jobset-name',
  ],
  ...['pv.kubernetes.io/bind-completed', 'volume.beta.kubernetes.io/storage-class', '__proto__', 'example.com/ignored'],
];
const RESOURCES = ['cpu', 'memory', 'nvidia.com/gpu', 'pods', 'hugepages-2Mi', 'muster.dev/member'];
const QUANTITIES = ['0', '1', '500m', '1500m', '64Gi', '12e6', '100n', '3573221Mi', '9223372036854775807'];

const text = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...WORDS) },
  fc.string({ unit: 'grapheme', maxLength: 50 }),
);
const key = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...KEYS) },
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 }),
);
/** From 1900 to 2200. */
const seconds = fc.integer({ min: -2_208_988_800, max: 7_258_118_400 });
const isoOf = (second: number) => new Date(second * 1000).toISOString().slice(0, 19);

/** Values that are not the zero value, which no field leaves out. */
const PLAIN: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: text.filter((value) => value !== ''),
  bool: fc.constant(true),
  int32: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer().filter(Boolean)),
  int64: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.maxSafeInteger().filter(Boolean)),
  bytes: fc.constant('aGk='),
  Time: seconds.map((second) => `${isoOf(second)}Z`),
  MicroTime: fc
    .tuple(seconds, fc.nat(999_999))
    .map(([second, micros]) => `${isoOf(second)}.${String(micros).padStart(6, '0')}Z`),
  Quantity: fc.constantFrom(...QUANTITIES),
  IntOrString: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constantFrom('50%', '')),
  FieldsV1: fc.constantFrom({ 'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } } }, {}),
};
const ZERO: Readonly<Record<string, unknown>> = { string: '', bool: false, int32: 0, int64: 0, bytes: '', Time: null };

const known = new Map<string, fc.Arbitrary<object>>();

/** Any object of a message. Deep parts are there less often. */
export function anyObject(type: string, depth = 0): fc.Arbitrary<object> {
  const name = `${type} ${Math.min(depth, MAX_DEPTH)}`;
  const made = known.get(name);
  if (made) return made;
  const fields = MESSAGES.get(type)!.map((field) => anyField(field, depth));
  const object = fc
    .tuple(...fields)
    .map((parts) => Object.fromEntries(parts.flatMap((part) => Object.entries(part as object))));
  known.set(name, object);
  return object;
}

const MAX_DEPTH = 7;

/** The field and its value, if it is there. */
function anyField(field: SchemaField, depth: number): fc.Arbitrary<object> {
  const { name, type, shape, isPointer, omitsEmpty } = field;
  if (field.isInline) return anyObject(type, depth);
  const named = (value: fc.Arbitrary<unknown>) => value.map((each) => ({ [name]: each }));
  const absent = fc.constant(omitsEmpty ? {} : { [name]: null });
  const isMessage = PLAIN[type] === undefined;
  const value = isMessage ? fc.constant(null).chain(() => anyObject(type, depth + 1)) : PLAIN[type]!;
  // What is deep down is rare, or objects would have no end.
  const often = { weight: depth < MAX_DEPTH ? 3 : 1, arbitrary: named(valueIn(shape, value, type)) };
  const seldom = (arbitrary: fc.Arbitrary<object>) => ({ weight: 1 + depth, arbitrary });
  if (depth >= MAX_DEPTH && isMessage && (isPointer || shape !== 'one')) return absent;
  if (shape !== 'one') return fc.oneof(often, seldom(absent));
  if (isPointer) {
    const zero = type in ZERO && type !== 'Time' ? named(fc.constant(ZERO[type])) : named(value);
    return fc.oneof(often, seldom(absent), seldom(zero));
  }
  if (isMessage) return named(value);
  if (!(type in ZERO)) return named(value);
  // Go writes the zero value of a struct, even where it may leave out what is empty.
  return fc.oneof(often, seldom(omitsEmpty && type !== 'Time' ? fc.constant({}) : named(fc.constant(ZERO[type]))));
}

function valueIn(shape: SchemaField['shape'], value: fc.Arbitrary<unknown>, type: string): fc.Arbitrary<unknown> {
  if (shape === 'one') return value;
  if (shape === 'list') return fc.array(withZero(value, type), { minLength: 1, maxLength: 2 });
  const keys = type === 'Quantity' ? fc.constantFrom(...RESOURCES) : key;
  const entries = fc.uniqueArray(fc.tuple(keys, withZero(value, type)), {
    minLength: 1,
    maxLength: 3,
    selector: ([name]) => name,
  });
  // Go sorts keys. Parsed, because an assignment could not make the key `__proto__`.
  return entries.map((list) => {
    const texts = list
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map((entry) => entry.map((each) => JSON.stringify(each)));
    return JSON.parse(`{${texts.map((entry) => entry.join(':')).join(',')}}`) as object;
  });
}

function withZero(value: fc.Arbitrary<unknown>, type: string): fc.Arbitrary<unknown> {
  return type === 'string' ? fc.oneof({ weight: 9, arbitrary: value }, fc.constant('')) : value;
}
