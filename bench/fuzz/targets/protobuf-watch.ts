/**
 * What watches of built-in kinds deliver in protobuf: objects, events and streams whose bytes were changed, through the
 * real watchers and their projections into their stores. A bad object or stream may cost itself and a new list; after an
 * honest list each store holds exactly that list.
 */
import { CREATION_FAILURES, DISRUPTION_BUDGETS, JOBS, NODES, podKind } from '../../../src/cluster/kinds.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import type { WatchedKind } from '../../../src/kube/watcher.ts';
import { encodeObject, frameOf } from '../../../test/support/kube-wire.ts';
import { mutateBytes } from '../byte-mutation.ts';
import type { Dice } from '../dice.ts';
import type { Arena, Target } from '../target.ts';
import { Line, OBJECTS } from './watch.ts';

export const protobufWatch: Target = {
  name: 'protobuf-watch',
  about: 'watch streams of built-in kinds in protobuf',
  share: 24,
  checkEvery: 200,
  make: (dice) => [makeStream(dice)],
  open: async () => new ProtobufArena(),
};

const PROTOBUF = 'application/vnd.kubernetes.protobuf;stream=watch';
const TYPES: Readonly<Record<string, string>> = {
  Pod: 'core.Pod',
  Node: 'core.Node',
  Job: 'batch.Job',
  PodDisruptionBudget: 'policy.PodDisruptionBudget',
  Event: 'core.Event',
};
const KINDS = Object.keys(TYPES);

/** The objects of each kind, as messages. */
const MESSAGES: ReadonlyMap<string, readonly Buffer[]> = new Map(
  KINDS.map((kind) => [kind, OBJECTS[kind]!.map((object) => encodeObject(TYPES[kind]!, withVersion(object)))]),
);

function withVersion(object: object): object {
  const { metadata } = object as { readonly metadata: object };
  return { ...object, metadata: { resourceVersion: '1', ...metadata } };
}

/** `<kind> <lengths of the chunks>`, a line break, then the bytes of one answer of the server. */
function makeStream(dice: Dice): string {
  const kind = dice.pick(KINDS);
  const frames = dice.times(dice.between(1, 4), () => makeFrame(dice, kind));
  if (dice.once(2)) frames.push(bookmark(kind, dice.once(2)));
  const bytes = Buffer.concat(frames).toString('latin1');
  const broken = dice.once(3) ? mutateBytes(bytes, dice) : bytes;
  return `${kind} ${dice.times(dice.below(4), () => dice.size(12)).join(',')}\n${broken}`;
}

/** Broken, if it is, within the object, so that its frame and its envelope still hold. */
function makeFrame(dice: Dice, kind: string): Buffer {
  const message = dice.pick(MESSAGES.get(kind)!);
  const type = dice.pick(['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED', 'ERROR']);
  const sent = dice.once(5) ? message : Buffer.from(mutateBytes(message.toString('latin1'), dice), 'latin1');
  return frameOf(type, TYPES[kind]!, sent);
}

function bookmark(kind: string, isInitialEnd: boolean): Buffer {
  const annotations = isInitialEnd ? { 'k8s.io/initial-events-end': 'true' } : {};
  const message = encodeObject(TYPES[kind]!, { metadata: { resourceVersion: '9', annotations } });
  return frameOf('BOOKMARK', TYPES[kind]!, message);
}

/** The honest list of a kind, as the first answer to a watch. */
function honestStream(kind: string): string {
  const frames = MESSAGES.get(kind)!.map((message) => frameOf('ADDED', TYPES[kind]!, message));
  return Buffer.concat([...frames, bookmark(kind, true)]).toString('latin1');
}

class ProtobufArena implements Arena {
  readonly #lines: ReadonlyMap<string, Line>;

  constructor() {
    const projector = new PodProjector({ maxTemplates: 50, managedResources: ['nvidia.com/gpu'] });
    const kinds = [podKind(projector), NODES, JOBS, DISRUPTION_BUDGETS, CREATION_FAILURES] as WatchedKind<object>[];
    this.#lines = new Map(kinds.map((kind) => [kind.kind, new Line(kind, PROTOBUF)]));
  }

  async play(piece: string): Promise<void> {
    const end = piece.indexOf('\n');
    const [kind = '', lengths = ''] = piece.slice(0, end).split(' ');
    await this.#lines.get(kind)?.serve(piece.slice(end + 1), lengths.split(',').map(Number));
  }

  async check(): Promise<void> {
    for (const [kind, line] of this.#lines) await line.expectHonestList(honestStream(kind), OBJECTS[kind]!.length);
  }

  async close(): Promise<void> {
    for (const line of this.#lines.values()) await line.stop();
  }
}
