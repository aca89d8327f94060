/** Decoding of request bodies: filter, preempt and bind, with arbitrary input. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FilterArgs } from '../../../src/http/extender/filter-args.ts';
import { decodeBindArgs, decodePreemptArgs } from '../../../src/http/extender/wire.ts';
import { WireError } from '../../../src/http/extender/wire-values.ts';

const read = (body: unknown) => FilterArgs.read(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
const aPod = (status: unknown = {}) => ({ metadata: { name: 'p', uid: 'u' }, spec: {}, status });

describe('a filter body', () => {
  test('gives the pod, its UID, its nomination and the names', () => {
    const args = read({ Pod: aPod({ nominatedNodeName: 'n1' }), Nodes: null, NodeNames: ['n0', 'n1'] });
    expect(args).toMatchObject({ uid: 'u', nominatedNodeName: 'n1', pod: aPod({ nominatedNodeName: 'n1' }) });
    expect(args.nodeNames.toArray()).toEqual(['n0', 'n1']);
  });

  test.each([
    ['without a status', { metadata: { uid: 'u' } }],
    ['with a null status', aPod(null)],
    ['without nomination', aPod({})],
    ['with a null nomination', aPod({ nominatedNodeName: null })],
  ])('of a pod %s is not nominated', (_, pod) => {
    expect(read({ Pod: pod, Nodes: null, NodeNames: [] }).nominatedNodeName).toBe('');
  });

  test('gives the UID of a pod without parsing the rest', () => {
    const body = '{"Pod":{"metadata":{"name":"p","namespace":"ns","uid":"u-1","labels":BROKEN},"NodeNames":["a"]}';
    expect(read(body).uid).toBe('u-1');
    expect(read(body).nodeNames.toArray()).toEqual(['a']);
    expect(() => read(body).pod, 'the error appears when the pod is read').toThrow(WireError);
  });

  test.each([
    ['after a name with an escape', '{"Pod":{"metadata":{"name":"\\u0070","uid":"u"}},"NodeNames":[]}'],
    ['after an owner’s', '{"Pod":{"metadata":{"ownerReferences":[{"uid":"o"}],"uid":"u"}},"NodeNames":[]}'],
    ['after labels', '{"Pod":{"metadata":{"labels":{"uid":"l"},"uid":"u"}},"NodeNames":[]}'],
    ['after spaces', '{"Pod": {"metadata":{"uid":"u"}},"NodeNames":[]}'],
    ['in a pod that comes last', '{"NodeNames":[],"Pod":{"metadata":{"uid":"u"}}}'],
    ['after a spec', '{"Pod":{"spec":{"uid":"s"},"metadata":{"uid":"u"}},"NodeNames":[]}'],
  ])('gives the UID %s', (_, text) => {
    expect(read(text).uid).toBe('u');
  });

  test.each([
    ['as Go writes it', '{"Pod":{"metadata":{"uid":"u"}},"Nodes":null,"NodeNames":["a","b"]}'],
    ['with spaces', '{ "Pod": { "metadata": { "uid": "u" } }, "Nodes": null, "NodeNames": [ "a", "b" ] }'],
    ['in another order', '{"NodeNames":["a","b"],"Nodes":null,"Pod":{"metadata":{"uid":"u"}}}'],
    ['with something after the names', '{"Pod":{"metadata":{"uid":"u"}},"NodeNames":["a","b"],"More":[1]}'],
    ['with escapes in the names', '{"Pod":{"metadata":{"uid":"u"}},"Nodes":null,"NodeNames":["\\u0061","b"]}'],
    [
      'with the key inside a string of the pod',
      '{"Pod":{"metadata":{"uid":"u","annotations":{"x":",\\"NodeNames\\":[\\"z\\"]}"}}},"Nodes":null,"NodeNames":["a","b"]}',
    ],
    [
      'with the key inside the pod',
      '{"Pod":{"metadata":{"uid":"u"},"x":{"y":1,"NodeNames":["z"]}},"Nodes":null,"NodeNames":["a","b"]}',
    ],
    ['ending in a newline, as from a json.Encoder', '{"Pod":{"metadata":{"uid":"u"}},"NodeNames":["a","b"]}\n'],
  ])('%s gives the same names', (_, text) => {
    expect(read(text).nodeNames.toArray()).toEqual(['a', 'b']);
  });

  test('gives back any names of nodes in their order', () => {
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?$/);
    fc.assert(
      fc.property(fc.array(name), (names) => {
        expect(read({ Pod: aPod(), Nodes: null, NodeNames: names }).nodeNames.toArray()).toEqual(names);
      }),
    );
  });

  test.each(['\\', '"', 'n\n0', '\ud800'])('with %j as the name of a node is refused', (name) => {
    expect(() => read({ Pod: aPod(), Nodes: null, NodeNames: ['n0', name] }).nodeNames).toThrow(WireError);
  });

  test('of any content is read, or refused with a WireError', () => {
    const key = fc.constantFrom('Pod', 'NodeNames', 'Nodes', 'metadata', 'uid');
    const anything = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(fc.dictionary(key, fc.oneof(anything, fc.constant(aPod()), fc.constant(['n0']))), (body) => {
        try {
          read(body);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a preempt body', () => {
  test('gives victims by node, without nodes that have none', () => {
    const { victims, uid, nominatedNodeName } = decodePreemptArgs({
      Pod: aPod({ nominatedNodeName: 'n9' }),
      NodeNameToMetaVictims: {
        n0: { Pods: [{ UID: 'a' }, { UID: 'b' }], NumPDBViolations: 1 },
        n1: { Pods: [] },
        n2: { Pods: [{ UID: 'c' }] },
      },
    });
    expect([...victims]).toEqual([
      ['n0', { Pods: [{ UID: 'a' }, { UID: 'b' }], NumPDBViolations: 1 }],
      ['n2', { Pods: [{ UID: 'c' }], NumPDBViolations: 0 }],
    ]);
    expect([uid, nominatedNodeName]).toEqual(['u', 'n9']);
  });

  test('contains no null, whatever came in', () => {
    const fine = fc.record({ UID: fc.uuid() });
    const victim = fc.option(
      fc.oneof({ arbitrary: fine, weight: 20 }, fc.record({ UID: fc.string() }), fc.jsonValue()),
    );
    const violations = fc.oneof({ arbitrary: fc.nat(), weight: 5 }, fc.jsonValue());
    const meta = fc.record({ Pods: fc.option(fc.array(victim)), NumPDBViolations: fc.option(violations) });
    const node = fc.oneof({ arbitrary: fc.stringMatching(/^[a-z0-9]{1,9}$/), weight: 20 }, fc.string());
    fc.assert(
      fc.property(fc.dictionary(node, meta), (map) => {
        let victims: ReturnType<typeof decodePreemptArgs>['victims'];
        try {
          victims = decodePreemptArgs({ Pod: aPod(), NodeNameToMetaVictims: map }).victims;
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
          return;
        }
        for (const { Pods, NumPDBViolations } of victims.values()) {
          expect(Pods.length, 'a node without victims is an error to kube-scheduler').toBeGreaterThan(0);
          for (const entry of Pods) expect(typeof entry.UID).toBe('string');
          expect(Number.isSafeInteger(NumPDBViolations), 'Go decodes an int64').toBe(true);
        }
      }),
    );
  });
});

test('a bind body gives pod and node', () => {
  const body = { PodName: 'p', PodNamespace: 'ns', PodUID: 'u', Node: 'n0' };
  expect(decodeBindArgs(body)).toEqual({ namespace: 'ns', name: 'p', uid: 'u', node: 'n0' });
});
