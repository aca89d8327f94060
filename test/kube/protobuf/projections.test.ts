/** Objects with any of their fields have the same projection from protobuf and from JSON, in watches and in lists. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CLAIMS,
  CREATION_FAILURES,
  DAEMON_SETS,
  DISRUPTION_BUDGETS,
  JOBS,
  NODES,
  podKind,
  STORAGE_CLASSES,
} from '../../../src/cluster/kinds.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import { decodeFrame, decodeListMessage, type MessageForm } from '../../../src/kube/protobuf/watch-frames.ts';
import { WireReader } from '../../../src/kube/protobuf/wire-reader.ts';
import { decodeEvent, decodePage } from '../../../src/kube/watch-stream.ts';
import type { WatchedKind } from '../../../src/kube/watcher.ts';
import { anyObject } from '../../support/kube-objects.ts';
import { encodeObject, frameOf, listOf } from '../../support/kube-wire.ts';

const KINDS = [
  ['core.Node', () => NODES],
  ['core.Pod', freshPods],
  ['batch.Job', () => JOBS],
  ['core.PersistentVolumeClaim', () => CLAIMS],
  ['storage.StorageClass', () => STORAGE_CLASSES],
  ['apps.DaemonSet', () => DAEMON_SETS],
  ['policy.PodDisruptionBudget', () => DISRUPTION_BUDGETS],
  ['core.Event', () => CREATION_FAILURES],
] as readonly (readonly [type: string, kind: () => WatchedKind<object> & { readonly message: MessageForm<object> }])[];

function freshPods() {
  return podKind(new PodProjector({ maxTemplates: 50, managedResources: ['nvidia.com/gpu'] }));
}

interface Named {
  readonly metadata: object;
}

/** With what every stored object has. */
function anyStored(type: string): fc.Arbitrary<Named> {
  return anyObject(type).map((object) => {
    const { metadata = {} } = object as Partial<Named>;
    return { ...object, metadata: { name: 'a', uid: 'u', resourceVersion: '5', ...metadata } };
  });
}

/** What was read, or why it was not; with what was reported on the way. */
function outcomeOf(read: (onError: (error: Error) => void) => unknown): unknown {
  const reports: string[] = [];
  try {
    return { read: read((error) => reports.push(error.message)), reports };
  } catch (error) {
    return { threw: (error as Error).message, reports };
  }
}

describe.each(KINDS)('%s', (type, kindOf) => {
  test.each(['ADDED', 'DELETED'])('an event %s', (event) => {
    fc.assert(
      fc.property(anyStored(type), (object) => {
        const frame = frameOf(event, type, encodeObject(type, object)).subarray(4);
        const line = JSON.stringify({ type: event, object });
        expect(outcomeOf((onError) => decodeFrame(frame, kindOf().message, onError))).toStrictEqual(
          outcomeOf((onError) => decodeEvent(line, kindOf().project, onError)),
        );
      }),
    );
  });

  test('a page', () => {
    fc.assert(
      fc.property(fc.array(anyStored(type), { maxLength: 3 }), fc.constantFrom('', 'next'), (items, next) => {
        const metadata = { resourceVersion: '9', ...(next !== '' && { continue: next }) };
        const bytes = listOf(
          type,
          metadata,
          items.map((item) => encodeObject(type, item)),
        );
        const text = JSON.stringify({ metadata, items });
        expect(outcomeOf((onError) => decodeListMessage(bytes, kindOf().message, onError))).toStrictEqual(
          outcomeOf((onError) => decodePage(text, kindOf().project, onError)),
        );
      }),
      { numRuns: 30 },
    );
  });
});

test('a pod that started at the beginning of time has started, in both encodings', () => {
  const pod = {
    metadata: { name: 'a', uid: 'u' },
    spec: { nodeName: 'n' },
    status: { startTime: '1970-01-01T00:00:00Z' },
  };
  expect(freshPods().project(pod as Named)).toMatchObject({ isConfirmed: true, startedAt: 0 });
  expect(readAlone(freshPods().message, pod as Named)).toMatchObject({ isConfirmed: true, startedAt: 0 });
});

test('pods that share some of their parts never share a template that is not theirs', () => {
  const shared = freshPods().message;
  fc.assert(
    fc.property(
      anyStored('core.Pod'),
      anyStored('core.Pod'),
      fc.array(fc.infiniteStream(fc.boolean()), { maxLength: 5 }),
      (a, b, choices) => {
        for (const choice of choices) {
          const pod = mixOf(a, b, choice);
          const expected = freshPods().project(pod);
          expect(readAlone(shared, pod)).toStrictEqual(expected);
        }
      },
    ),
  );
});

/** Takes each part of metadata, spec and status from one of the two. */
function mixOf(a: Named, b: Named, choice: Iterator<boolean>): Named {
  const parts = ['metadata', 'spec', 'status'].map((part) => {
    const [first, second] = [a, b].map(
      (pod) => (pod as unknown as Record<string, Record<string, unknown>>)[part] ?? {},
    );
    const names = [...new Set([...Object.keys(first!), ...Object.keys(second!)])];
    const picked = names.map((name) => [name, (choice.next().value ? first : second)![name]]);
    return [part, Object.fromEntries(picked.filter(([, value]) => value !== undefined))];
  });
  return Object.fromEntries(parts) as Named;
}

function readAlone<T>({ read, project }: MessageForm<T>, pod: object): T {
  const bytes = encodeObject('core.Pod', pod);
  return project(read(new WireReader(bytes), bytes.length));
}
