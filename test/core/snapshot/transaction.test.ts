import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveRequests, Transaction } from '../../../src/core/snapshot/transaction.ts';
import { aPod, aTemplate, GPU, type PodOptions } from '../../support/builders.ts';
import { sceneArb } from '../../support/random-clusters.ts';
import { buildSnapshot, drawSnapshot, printSnapshot } from '../../support/topology.ts';

function at(drawing: string, options: Parameters<typeof drawSnapshot>[1] = {}) {
  const snapshot = drawSnapshot(drawing, options);
  const tx = new Transaction(snapshot);
  const node = (name: string) => snapshot.indexOf.get(name)!;
  const capacity = (name: string, options: PodOptions) => {
    const pod = aPod(options);
    return tx.capacity(node(name), pod, resolveRequests(pod.template, snapshot));
  };
  return { snapshot, tx, node, capacity };
}

const against = { selector: [{ key: 'app', operator: 'In' as const, values: ['web'] }], namespaces: ['default'] };
const web = { app: 'web' };

describe('capacity', () => {
  test.each<[string, string, PodOptions, number]>([
    ['by the scarcest resource', '-: n[8]', { gpus: 2, cpu: 40 }, 2],
    ['by GPUs', '-: n[7]', { gpus: 2 }, 3],
    ['none on a full node', '-: n[0]', { gpus: 1 }, 0],
    ['none on an overcommitted node', '-: n[-3]', { gpus: 1 }, 0],
    ['but what it is not overcommitted in', '-: n[-3]', { gpus: 0, cpu: 48 }, 2],
    ['none of what no node has', '-: n[8]', { requests: { 'amd.com/gpu': 1 } }, 0],
    [
      'one with a host port',
      '-: n[8]',
      { gpus: 1, template: { gpus: 1, hostPorts: [{ ip: '', protocol: 'TCP', port: 1 }] } },
      1,
    ],
    ['one with self-anti-affinity', '-: n[8]', { template: { gpus: 1, selfAntiAffine: true } }, 1],
    ['many with anti-affinity against others', '-: n[8]', { template: { gpus: 1, antiAffinity: [against] } }, 8],
  ])('%s', (_, drawing, options, expected) => {
    expect(at(drawing).capacity('n', options)).toBe(expected);
  });

  test('a placed pod takes capacity on its own node only', () => {
    const { tx, node, capacity } = at('-: n1[8] n2[8]');
    tx.place(node('n1'), aPod({ gpus: 3 }));
    expect(capacity('n1', { gpus: 1 })).toBe(5);
    expect(capacity('n2', { gpus: 1 })).toBe(8);
  });

  test('a placed pod repels pods that its term matches', () => {
    const { tx, node, capacity } = at('-: n1[8] n2[8]');
    tx.place(node('n1'), aPod({ template: { gpus: 1, antiAffinity: [against] } }));
    expect(capacity('n1', { gpus: 1, labels: web })).toBe(0);
    expect(capacity('n2', { gpus: 1, labels: web })).toBe(8);
    expect(capacity('n1', { gpus: 1, labels: { app: 'db' } })).toBe(7);
  });

  test('a pod that is rolled back repels no pod any more', () => {
    const { tx, node, capacity } = at('-: n1[8]');
    const before = tx.checkpoint();
    tx.place(node('n1'), aPod({ template: { gpus: 1, antiAffinity: [against] } }));
    tx.rollback(before);
    expect(capacity('n1', { gpus: 1, labels: web })).toBe(8);
  });

  test('a placed pod takes its host port', () => {
    const { tx, node, capacity } = at('-: n1[8]');
    const template = { gpus: 1, hostPorts: [{ ip: '0.0.0.0', protocol: 'TCP', port: 1 }] };
    tx.place(node('n1'), aPod({ template }));
    expect(capacity('n1', { template })).toBe(0);
    expect(
      capacity('n1', { template: { ...template, hostPorts: [{ ip: '0.0.0.0', protocol: 'UDP', port: 1 }] } }),
    ).toBe(1);
  });

  test('a template that no node can serve is reported by its resource', () => {
    const { snapshot } = at('-: n1[8]');
    expect(resolveRequests(aTemplate(), snapshot).unknown).toBeUndefined();
    expect(resolveRequests(aTemplate({ requests: { 'x.com/a': 1, 'x.com/b': 1 } }), snapshot).unknown).toBe('x.com/a');
  });
});

describe('shortage', () => {
  test.each<[string, string, PodOptions, string | undefined]>([
    ['nothing is short', '-: n[8]', { gpus: 8 }, undefined],
    ['the resource that is', '-: n[7]', { gpus: 8 }, GPU],
    ['the first of several', '-: n[7]', { gpus: 8, cpu: 97 }, 'cpu'],
    ['one that no node has', '-: n[8]', { requests: { 'amd.com/gpu': 1 } }, 'amd.com/gpu'],
  ])('%s', (_, drawing, options, expected) => {
    const { tx, node } = at(drawing);
    expect(tx.shortage(node('n'), aPod(options).template)).toBe(expected);
  });
});

describe('rollback', () => {
  test('undoes what came after the checkpoint, and nothing before it', () => {
    const { tx, node, capacity } = at('-: n1[8]');
    tx.place(node('n1'), aPod({ gpus: 1 }));
    const mark = tx.checkpoint();
    tx.place(node('n1'), aPod({ gpus: 2 }));
    tx.rollback(mark);
    expect(capacity('n1', { gpus: 1 })).toBe(7);
    expect([...tx.placed()].map(({ pod }) => pod.template.requests)).toEqual([aTemplate({ gpus: 1 }).requests]);
  });

  test('restores the snapshot byte for byte after any placements', () => {
    const stepArb = fc.oneof(
      fc.record({ place: fc.nat(6), gpus: fc.nat(9), memory: fc.nat(2 ** 30) }),
      fc.record({ mark: fc.constant(true) }),
      fc.record({ back: fc.nat(5) }),
    );
    fc.assert(
      fc.property(sceneArb, fc.array(stepArb, { maxLength: 30 }), (scene, steps) => {
        const snapshot = buildSnapshot(scene);
        const bytes = () => snapshot.free.map((column) => Buffer.from(column.buffer).toString('base64'));
        const before = bytes();
        const text = printSnapshot(snapshot);
        const tx = new Transaction(snapshot);
        const marks = [0];
        const states = [before];
        for (const step of steps) {
          if ('place' in step) {
            const { place, gpus, memory } = step;
            tx.place(snapshot.byName[place % snapshot.byName.length]!, aPod({ gpus, requests: { memory } }));
          } else if ('mark' in step) {
            marks.push(tx.checkpoint());
            states.push(bytes());
          } else {
            const to = step.back % marks.length;
            tx.rollback(marks[to]!);
            expect(bytes()).toEqual(states[to]);
            marks.length = to + 1;
            states.length = to + 1;
          }
        }
        tx.rollback(0);
        expect(bytes()).toEqual(before);
        expect(printSnapshot(snapshot)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });
});
