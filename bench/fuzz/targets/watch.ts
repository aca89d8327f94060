/**
 * What watches deliver: streams that were changed, cut anywhere and mixed, through the real watchers of all kinds and
 * their projections into their stores. A bad object or stream may cost itself and a new list; after an honest list each
 * store holds exactly that list, and parsing without managed fields never changes what else a document says.
 */
import { isDeepStrictEqual } from 'node:util';
import { projectCreationFailure } from '../../../src/core/objects/creation-failure.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import {
  projectDisruptionBudget,
  projectJob,
  projectNode,
  projectPodGroup,
} from '../../../src/core/objects/projection.ts';
import { projectQueue } from '../../../src/core/queues/projection.ts';
import type { ApiStream } from '../../../src/kube/transport.ts';
import { type WatchedKind, Watcher } from '../../../src/kube/watcher.ts';
import { parseWire } from '../../../src/kube/wire-json.ts';
import { aRawNode, aRawPod } from '../../../test/support/builders.ts';
import { bytesOf, mutateBytes } from '../byte-mutation.ts';
import { recordedPods } from '../calls.ts';
import type { Dice } from '../dice.ts';
import { mutateJson } from '../json-mutation.ts';
import { type Arena, expectThat, type Target } from '../target.ts';

export const watch: Target = {
  name: 'watch',
  about: 'watch streams of all kinds',
  share: 24,
  checkEvery: 200,
  make: (dice) => [makeStream(dice)],
  open: async () => new WatchArena(),
};

const MANAGED = { manager: 'kubectl', operation: 'Update', fieldsV1: { 'f:metadata': { 'f:labels': { '.': {} } } } };

/** One object of each kind, as the API server writes it. */
export const OBJECTS: Readonly<Record<string, readonly object[]>> = {
  Pod: [...recordedPods(), aRawPod({ name: 'w-0', labels: { 'muster.dev/pod-group': 'w' }, nodeName: 'n0' })],
  Node: [aRawNode({ name: 'n0' }), aRawNode({ name: 'n1', labels: { rack: 'r1' }, ready: false })],
  Job: [
    {
      metadata: {
        name: 'job',
        namespace: 'default',
        uid: 'job-1',
        labels: { 'jobset.sigs.k8s.io/jobset-name': 'set' },
      },
      spec: { parallelism: 4, completions: 4, template: { metadata: { labels: { 'muster.dev/pod-group': 'w' } } } },
      status: {
        startTime: '2026-01-01T00:00:00Z',
        completedIndexes: '0-2,5',
        conditions: [{ type: 'Complete', status: 'True' }],
      },
    },
  ],
  PodGroup: [
    { metadata: { name: 'w', namespace: 'default', uid: 'pg-1' }, spec: { minMember: 4, scheduleTimeoutSeconds: 9 } },
  ],
  PodDisruptionBudget: [
    {
      metadata: { name: 'w', namespace: 'default', uid: 'pdb-1' },
      spec: {
        selector: { matchLabels: { app: 'w' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] },
      },
      status: { disruptionsAllowed: 1 },
    },
  ],
  Queue: [
    {
      metadata: { name: 'research', uid: 'queue-1' },
      spec: { weight: 2, quotas: [{ resource: 'nvidia.com/gpu', guaranteed: 8, limit: '64' }], namespaces: ['a'] },
      status: { observedAt: '2026-01-01T00:00:00Z', usage: [{ resource: 'nvidia.com/gpu', amount: '8' }] },
    },
  ],
  Event: [
    {
      metadata: { name: 'e', namespace: 'default', uid: 'event-1' },
      reason: 'FailedCreate',
      message: 'pods "w-0" is forbidden: exceeded quota',
      regarding: { kind: 'Job', name: 'job', uid: 'job-1' },
      involvedObject: { kind: 'Job', name: 'job', uid: 'job-1' },
      lastTimestamp: '2026-01-01T00:00:00Z',
    },
  ],
};

const KINDS = Object.keys(OBJECTS);

/** `<kind> <lengths of the chunks>`, a line break, then the bytes of one answer of the server. */
function makeStream(dice: Dice): string {
  const kind = dice.pick(KINDS);
  const lines = dice.times(dice.between(1, 4), () => makeEvent(dice, kind));
  if (dice.once(2)) lines.push(bookmark(dice.once(2)));
  const bytes = bytesOf(lines.map((line) => `${line}\n`).join(''));
  const broken = dice.once(3) ? mutateBytes(bytes, dice) : bytes;
  return `${kind} ${dice.times(dice.below(4), () => dice.size(12)).join(',')}\n${broken}`;
}

function makeEvent(dice: Dice, kind: string): string {
  const base = dice.pick(OBJECTS[kind]!) as { readonly metadata: object };
  const metadata = {
    resourceVersion: '1',
    ...base.metadata,
    ...(dice.once(2) && { managedFields: [MANAGED, MANAGED] }),
  };
  const type = dice.pick(['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED', 'ERROR']);
  const text = JSON.stringify({ type, object: { ...base, metadata } });
  return dice.once(5) ? text : mutateJson(text, dice);
}

function bookmark(isInitialEnd: boolean): string {
  const annotations = isInitialEnd ? { 'k8s.io/initial-events-end': 'true' } : {};
  return JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '9', annotations } } });
}

/** The honest list of a kind, as the first answer to a watch. */
function honestStream(kind: string): string {
  const events = OBJECTS[kind]!.map((base) => {
    const metadata = { resourceVersion: '1', ...(base as { metadata: object }).metadata };
    return JSON.stringify({ type: 'ADDED', object: { ...base, metadata } });
  });
  return bytesOf([...events, bookmark(true)].map((line) => `${line}\n`).join(''));
}

class WatchArena implements Arena {
  readonly #lines: ReadonlyMap<string, Line>;

  constructor() {
    const projector = new PodProjector({ maxTemplates: 50, managedResources: ['nvidia.com/gpu'] });
    const projections: Readonly<Record<string, (raw: unknown) => object>> = {
      Pod: (raw) => projector.project(raw),
      Node: projectNode,
      Job: projectJob,
      PodGroup: projectPodGroup,
      PodDisruptionBudget: projectDisruptionBudget,
      Queue: projectQueue,
      Event: projectCreationFailure,
    };
    this.#lines = new Map(
      KINDS.map((kind) => [kind, new Line({ kind, path: `/${kind}`, project: projections[kind]! })]),
    );
  }

  async play(piece: string): Promise<void> {
    const end = piece.indexOf('\n');
    const [kind = '', lengths = ''] = piece.slice(0, end).split(' ');
    await this.#lines.get(kind)?.serve(piece.slice(end + 1), lengths.split(',').map(Number));
  }

  compare(piece: string): void {
    const [, ...lines] = piece.split('\n');
    for (const line of lines) expectSameParse(Buffer.from(line, 'latin1').toString('utf8'));
  }

  async check(): Promise<void> {
    for (const [kind, line] of this.#lines) await line.expectHonestList(honestStream(kind), OBJECTS[kind]!.length);
  }

  async close(): Promise<void> {
    for (const line of this.#lines.values()) await line.stop();
  }
}

/** `parseWire` may only empty lists of managed fields, and so read a document that is broken only there. */
function expectSameParse(text: string): void {
  const plain = attempt(() => JSON.parse(text));
  if (plain === undefined) return;
  const parsed = attempt(() => parseWire(text));
  const isSame = parsed !== undefined && isDeepStrictEqual(withoutManaged(parsed.value), withoutManaged(plain.value));
  expectThat(isSame, () => `expected the document to keep its meaning without managed fields: ${text.slice(0, 2_000)}`);
}

/** Undefined: it is refused. */
function attempt(parse: () => unknown): { readonly value: unknown } | undefined {
  try {
    return { value: parse() };
  } catch {
    return undefined;
  }
}

/** The comparison is recursive: what is nested deeper is not compared. */
const COMPARED_DEPTH = 200;

function withoutManaged(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > COMPARED_DEPTH) return null;
  if (Array.isArray(value)) return value.map((each) => withoutManaged(each, depth + 1));
  return Object.entries(value).map(([key, each]) => [
    key,
    key === 'managedFields' ? null : withoutManaged(each, depth + 1),
  ]);
}

/** One watcher, and the server that answers it. */
export class Line {
  readonly #watcher: Watcher<object>;
  #waiting = Promise.withResolvers<(answer: ApiStream) => void>();

  readonly #contentType: string;

  constructor(kind: WatchedKind<object>, contentType = 'application/json') {
    this.#contentType = contentType;
    const open = (_path: string, signal: AbortSignal) =>
      new Promise<ApiStream>((resolve, reject) => {
        signal.onabort = () => reject(new Error('stopped'));
        this.#waiting.resolve(resolve);
      });
    this.#watcher = new Watcher<object>(
      { open },
      kind,
      { applied() {}, deleted() {} },
      { onSynced() {}, onRestart() {}, onEvent() {}, onError() {} },
      { timing: { backoff: { baseMs: 0, maxMs: 0 } }, clock: { now: Date.now, after: soon }, random: () => 0.5 },
    );
    this.#watcher.start();
  }

  /** Answers the next request, and waits until the watcher has read the answer and asks again. */
  async serve(bytes: string, lengths: readonly number[]): Promise<void> {
    const answer = await this.#waiting.promise;
    this.#waiting = Promise.withResolvers();
    answer({ status: 200, contentType: this.#contentType, chunks: chunksOf(Buffer.from(bytes, 'latin1'), lengths) });
    await this.#waiting.promise;
  }

  /** @throws Error unless the store holds as many objects as the honest list, all of them readable. */
  async expectHonestList(bytes: string, count: number): Promise<void> {
    // Whatever state the watcher is in, garbage leads to a new list.
    await this.serve('garbage\n', []);
    await this.serve(bytes, []);
    const { store } = this.#watcher;
    const found = [...store.values()].filter((object) => object !== undefined).length;
    expectThat(
      found === count,
      () => `expected ${count} objects after an honest list, found ${found} of ${store.size}`,
    );
  }

  async stop(): Promise<void> {
    await this.#watcher.stop();
  }
}

function soon(_ms: number, callback: () => void): () => void {
  const handle = setImmediate(callback);
  return () => clearImmediate(handle);
}

async function* chunksOf(bytes: Buffer, lengths: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0;
  for (const length of lengths) {
    if (length > 0) yield bytes.subarray(start, start + length);
    start += Math.max(0, length || 0);
  }
  if (start < bytes.length) yield bytes.subarray(start);
}
