/**
 * What kube-scheduler sends, damaged: whatever becomes of a recorded body, Muster answers as it should or says what it
 * expected. It never fails (500, or an exception behind an `Error`), and an answer names nothing that was not in the call.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assembleApp } from '../support/assembled-app.ts';
import { aNode } from '../support/builders.ts';
import { type RecordingName, readRecording, recordings } from './recording.ts';

const SEED = 15_022;
const RUNS = 150;

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The recorded cluster, and the pod of the call in an earlier version, so that the one in the call is read. */
function startRecorded(name: RecordingName) {
  const assembled = assembleApp();
  for (let i = 0; i < 4; i++) assembled.state.nodes.applied(aNode({ name: `node-${i}` }), undefined);
  const { Pod } = JSON.parse(readRecording(name).body) as { Pod?: object };
  if (Pod) assembled.state.pods.applied({ ...assembled.projector.project(Pod), version: 'earlier' }, undefined);
  assembled.recover();
  return assembled;
}

/** Values of every kind, and those that JavaScript, Go or JSON treat in ways of their own. */
const odd: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json[]>(
    ...[null, true, 0, -1, 1.5, 1e300, 2 ** 53, '', ' ', 'a"b', 'a\\b', '\u0000', '\ud800', 'ü', '__proto__'],
    ...['constructor', 'n'.repeat(300), '9'.repeat(400), '1e999999999', '-', '0x10', [], {}, [null], [[]], [{}], [7]],
    ...[{ toString: 1 }, { length: -1 }, { '': '' }, { UID: 7 }, { key: 'a' }],
  ),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
);

/** Every place in the value, as a path. */
function pathsOf(value: Json, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, child]) => pathsOf(child, [...path, key]))];
}

/** The value with another one at the path, or without what is there. */
function replaceAt(value: Json, [key, ...rest]: readonly string[], next: Json | undefined): Json | undefined {
  if (key === undefined) return next;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    return value.flatMap((item: Json, i) => (String(i) === key ? (replaceAt(item, rest, next) ?? []) : [item]));
  }
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, child]) => {
      const kept = name === key ? replaceAt(child as Json, rest, next) : (child as Json);
      return kept === undefined ? [] : [[name, kept]];
    }),
  );
}

/** A damage is data, so that a counterexample is short: where, and what. */
interface Damage {
  readonly changes: fc.Arbitrary<readonly unknown[]>;
  readonly apply: (changes: readonly unknown[]) => Buffer;
}

/** Up to three values replaced or removed. */
function damageValues(body: string): Damage {
  const whole = JSON.parse(body) as Json;
  const paths = pathsOf(whole);
  const change = fc.record({ at: fc.nat(paths.length - 1), next: fc.option(odd, { nil: undefined, freq: 6 }) });
  return {
    changes: fc.array(change, { minLength: 1, maxLength: 3 }),
    apply: (changes) => {
      let damaged: Json | undefined = whole;
      for (const { at, next } of changes as readonly { readonly at: number; readonly next: Json | undefined }[]) {
        damaged = damaged && replaceAt(damaged, paths[at]!, next);
      }
      return Buffer.from(JSON.stringify(damaged) ?? '');
    },
  };
}

interface Cut {
  readonly kind: 'set' | 'drop' | 'repeat';
  readonly at: number;
  readonly byte: number;
  readonly length: number;
}

/** Bytes changed, a piece left out, or a piece written twice, which also makes keys come twice. */
function damageBytes(body: string): Damage {
  const whole = Buffer.from(body);
  const cut = fc.record({
    kind: fc.constantFrom<Cut['kind'][]>('set', 'drop', 'repeat'),
    at: fc.nat(whole.length - 1),
    byte: fc.nat(255),
    length: fc.oneof(fc.nat(4), fc.nat(400)),
  });
  return {
    changes: fc.array(cut, { minLength: 1, maxLength: 4 }),
    apply: (changes) =>
      (changes as readonly Cut[]).reduce<Buffer>((bytes, { kind, at, byte, length }) => {
        const [before, piece] = [bytes.subarray(0, at), bytes.subarray(at, at + length)];
        if (kind === 'set') return Buffer.concat([before, Buffer.from([byte]), bytes.subarray(at + 1)]);
        const after = bytes.subarray(at + length);
        return Buffer.concat(kind === 'drop' ? [before, after] : [before, piece, piece, after]);
      }, whole),
  };
}

/** The nodes that an answer names. */
function namedNodes(reply: unknown): readonly string[] {
  if (Array.isArray(reply)) return reply.map(({ Host }: { Host: string }) => Host);
  const { NodeNames, NodeNameToMetaVictims } = reply as Record<string, Record<string, unknown> | undefined>;
  return Array.isArray(NodeNames) ? (NodeNames as string[]) : Object.keys(NodeNameToMetaVictims ?? {});
}

/** Whether the call offers the node. The pod of a known UID is never read, so the rest need not be JSON. */
function isOffered(sent: Buffer, node: string): boolean {
  let call: Record<string, object | null>;
  try {
    // The last of two keys counts.
    call = JSON.parse(sent.toString()) as typeof call;
  } catch {
    return sent.includes(JSON.stringify(node));
  }
  if (Array.isArray(call.NodeNames)) return call.NodeNames.includes(node);
  return Object.hasOwn(call.NodeNameToMetaVictims ?? {}, node);
}

describe.each(recordings)('%s, damaged', (name) => {
  const { requestLine, body } = readRecording(name);
  const path = requestLine.split(' ')[1]!;
  const verb = path.split('/').at(-1);

  test.each([
    ['in its values', damageValues(body)],
    ['in its bytes', damageBytes(body)],
  ] as const)('%s is answered, or refused with what was expected', async (_, { changes, apply }) => {
    const { app, metrics } = startRecorded(name);
    await fc.assert(
      fc.asyncProperty(changes, async (made) => {
        const sent = apply(made);
        const response = await app.request(path, { method: 'POST', body: new Uint8Array(sent) });
        const text = await response.text();
        if (response.status === 400) {
          expect(['prioritize', 'preempt']).toContain(verb);
          expect(text).toMatch(/^muster \w+: expected /);
          return;
        }
        expect(response.status, text).toBe(200);
        expect(text.isWellFormed()).toBe(true);
        const reply = JSON.parse(text) as { Error?: string };
        if (reply.Error !== undefined && verb === 'filter') expect(reply.Error).toMatch(/^muster filter: expected /);
        for (const node of namedNodes(reply)) expect(isOffered(sent, node), node).toBe(true);
      }),
      { numRuns: RUNS, seed: SEED },
    );
    expect((await metrics.render()).match(/.*outcome="error".*/)).toBeNull();
  });
});
