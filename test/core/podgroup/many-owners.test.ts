/**
 * Anybody may write another owner on each pod, and another JobSet or none on each Job. Whatever they are, reading a gang
 * looks at each pod and Job a few times, not once for each other one.
 */
import { describe, expect, test } from 'vitest';
import { ClusterState } from '../../../src/cluster/state.ts';
import type { JobModel, PodModel } from '../../../src/core/objects/model.ts';
import { describeGang, gangKey } from '../../../src/core/podgroup/gang.ts';
import { isSameRun } from '../../../src/core/podgroup/run.ts';
import { aGangSources, aJobModel, aPod, aTemplate } from '../../support/builders.ts';

const KEY = gangKey('default', 'x');
const COUNT = 300;
/** Far above what each object is read, and far below once for each other one. */
const FEW = 60;

let reads = 0;

/** The object, with each look at the property counted. */
function counted<T extends object>(object: T, property: keyof T): T {
  const value = object[property];
  return Object.defineProperty(object, property, {
    enumerable: true,
    get() {
      reads++;
      return value;
    },
  });
}

function readsOf(work: () => unknown): number {
  reads = 0;
  work();
  return reads / COUNT;
}

const template = aTemplate();

function pods(kind: string, annotations: PodModel['annotations'] = {}): readonly PodModel[] {
  return Array.from({ length: COUNT }, (_, i) => {
    const owner = { kind, name: `o-${i}`, uid: `owner-${i}` };
    return counted(aPod({ name: `x-${i}`, template, annotations, owner }), 'uid');
  });
}

function jobs(options: Partial<JobModel>): readonly JobModel[] {
  return Array.from({ length: COUNT }, (_, i) => aJobModel({ name: `j-${i}`, uid: `j-${i}`, ...options }));
}

describe('each object is looked at a few times', () => {
  test('of pods that name pods as their owners', () => {
    const sources = aGangSources(pods('Pod', { 'muster.dev/min-members': '2' }));
    expect(readsOf(() => describeGang(KEY, sources))).toBeLessThan(FEW);
  });

  test('of Jobs beside pods that others own', () => {
    const beside = jobs({ isSuspended: true }).map((job) => counted(job, 'uid'));
    const sources = aGangSources(pods('Trainer'), { jobs: beside });
    expect(readsOf(() => describeGang(KEY, sources))).toBeLessThan(FEW);
  });

  test('of Jobs that say they are in one JobSet: the set is counted once', () => {
    let asked = 0;
    const countJobsOfSet = () => {
      asked++;
      return COUNT;
    };
    const own = aPod({ name: 'x-0', owner: { kind: 'Job', name: 'j-0', uid: 'j-0' } });
    const set = { id: 's', name: 's', jobs: 1 };
    describeGang(KEY, aGangSources([own], { jobs: jobs({ set }), countJobsOfSet }));
    expect(asked).toBe(1);
  });

  test('of Jobs of one JobSet without a gang, as they come', () => {
    const state = new ClusterState(undefined);
    const coming = jobs({ set: { id: 's', name: 's', jobs: undefined } }).map((job) => counted(job, 'templateLabels'));
    expect(readsOf(() => coming.forEach((job) => void state.jobs.applied(job, undefined)))).toBeLessThan(FEW);
  });

  test('of pods on a node that does not exist, as they leave', () => {
    const state = new ClusterState(undefined);
    const bound = Array.from({ length: COUNT }, (_, i) =>
      counted(aPod({ name: `x-${i}`, template, nodeName: 'nowhere' }), 'uid'),
    );
    for (const pod of bound) state.pods.applied(pod, undefined);
    expect(readsOf(() => bound.forEach((pod) => void state.pods.deleted(pod)))).toBeLessThan(FEW);
  });

  test('of the roots of two runs', () => {
    const rootsOf = (run: string) =>
      Array.from({ length: COUNT }, (_, i) => `${run}-${i}`).map((uid) => counted({ uid }, 'uid'));
    const [one, other] = [rootsOf('a'), rootsOf('b')];
    const lazy = (roots: readonly { readonly uid: string }[]) =>
      new Proxy([] as string[], {
        get: (target, key) =>
          key === 'length'
            ? COUNT
            : typeof key === 'string' && /^\d+$/.test(key)
              ? roots[+key]!.uid
              : Reflect.get(target, key),
        has: () => true,
      });
    expect(readsOf(() => isSameRun({ roots: lazy(one) }, { roots: lazy(other) }))).toBeLessThan(FEW);
  });
});
