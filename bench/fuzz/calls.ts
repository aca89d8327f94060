/** Calls of kube-scheduler and of people, as pieces: `<method> <path>`, a line break, the bytes of the body. */
import { readRecording, recordings } from '../../test/contract/recording.ts';
import type { WireObject } from '../../test/support/cluster-in-memory.ts';
import { bytesOf, mutateBytes } from './byte-mutation.ts';
import type { Dice } from './dice.ts';
import { hostileText } from './hostile-values.ts';
import { mutateJson } from './json-mutation.ts';

interface RecordedCall {
  readonly path: string;
  readonly body: string;
}

const RECORDED: readonly RecordedCall[] = recordings.map((name) => {
  const { requestLine, body } = readRecording(name);
  return { path: requestLine.split(' ')[1]!, body };
});

const READS: readonly string[] = [
  '/v1/gangs',
  '/v1/gangs/default/ring',
  '/v1/queues',
  '/v1/queues/default',
  '/v1/topology',
];

/** The pods of the recorded calls, so that the world has seen those that kube-scheduler asks about. */
export function recordedPods(): readonly WireObject[] {
  const pods = new Map<string, WireObject>();
  for (const { body } of RECORDED) {
    const pod = (JSON.parse(body) as { Pod?: WireObject }).Pod;
    if (pod && !pods.has(pod.metadata.name)) pods.set(pod.metadata.name, pod);
  }
  return [...pods.values()];
}

/** The nodes that the recorded calls name. */
export function recordedNodes(): readonly string[] {
  const names = RECORDED.flatMap(({ body }) => (JSON.parse(body) as { NodeNames?: string[] }).NodeNames ?? []);
  return [...new Set(names)].sort();
}

/** One call: a recorded one that was changed, sometimes two that were mixed, sometimes a page that people read. */
export function makeCall(dice: Dice): string {
  if (dice.once(12)) return `GET ${readPath(dice)}\n`;
  const { body } = dice.pick(RECORDED);
  // Any body may come to any of the four paths.
  const path = dice.once(5) ? dice.pick(RECORDED).path : RECORDED.find((call) => call.body === body)!.path;
  const mutated = dice.once(4) ? body : mutateJson(body, dice);
  const bytes = bytesOf(mutated);
  return `POST ${path}\n${dice.once(3) ? mutateBytes(bytes, dice) : bytes}`;
}

function readPath(dice: Dice): string {
  const path = dice.pick(READS);
  switch (dice.below(4)) {
    case 0:
      return path;
    case 1:
      return `${path}/${encodeText(hostileText(dice))}`;
    case 2:
      return `${path}?${encodeText(hostileText(dice))}=${encodeText(hostileText(dice))}`;
    default:
      return `${path}/${dice.pick(['%', '%zz', '%ff', '%c3', '..', '%2F', '//', '%00'])}`;
  }
}

function encodeText(text: string): string {
  return encodeURIComponent(text.toWellFormed()).slice(0, 4_000);
}

/** The parts of a piece. */
export function readCall(piece: string): { readonly method: string; readonly path: string; readonly body: Buffer } {
  const end = piece.indexOf('\n');
  const [method = 'POST', path = '/'] = piece.slice(0, end === -1 ? piece.length : end).split(' ');
  return { method, path, body: Buffer.from(end === -1 ? '' : piece.slice(end + 1), 'latin1') };
}
