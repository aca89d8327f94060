import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Ending, PlannedStart } from '../../../src/core/backfill/planned-start.ts';
import { reservedView } from '../../../src/core/backfill/reserved-view.ts';
import { planStart } from '../../../src/core/backfill/start-planner.ts';
import { findFirst } from '../../../src/core/backfill/time-steps.ts';
import type { PodModel } from '../../../src/core/objects/model.ts';
import type { GangRequest } from '../../../src/core/placement/gang-request.ts';
import { planGang } from '../../../src/core/placement/plan.ts';
import { gangKey } from '../../../src/core/podgroup/gang.ts';
import { type Snapshot, withOccupants } from '../../../src/core/snapshot/snapshot.ts';
import { aPod } from '../../support/builders.ts';
import { aGang, type GangOptions, members, planText } from '../../support/gangs.ts';
import { FOREVER, policy } from '../../support/start-worlds.ts';
import { drawSnapshot } from '../../support/topology.ts';

const NOW = 100;
const bare = { cpu: 0, memory: 0 };

/** Pods of one gang with this many GPUs each. */
function runOn(key: string, gpus: number, nodes: readonly string[], options: Partial<PodModel> = {}) {
  return nodes.map((nodeName, i) => aPod({ name: `${key}-${i}`, nodeName, gpus, ...bare, ...options }));
}

function ending(key: string, pods: readonly PodModel[], endsAt: number, startedAt = 0): Ending {
  return { key, pods, startedAt, endsAt };
}

function draw(drawing: string, endings: readonly Ending[]): Snapshot {
  return drawSnapshot(drawing, { pods: endings.flatMap(({ pods }) => pods) });
}

function gang(count: number, gpus: number, options: GangOptions = {}): GangRequest {
  return aGang(members(count, { gpus, ...bare, name: 'head' }), { key: 'default/head', ...options });
}

function planned(snapshot: Snapshot, request: GangRequest, endings: readonly Ending[], earlier: PlannedStart[] = []) {
  return planStart(snapshot, { request, lengthMs: 50, endings, earlier }, policy, NOW);
}

/** When and where it starts, and which gangs it waits for. */
function text(start: PlannedStart | undefined): string {
  if (!start) return 'never';
  const nodes = start.slots.map(({ node }) => node).join(' ');
  return `${start.startsAt}: ${nodes}${start.waitsFor.length > 0 ? ` after ${start.waitsFor.join(' ')}` : ''}`;
}

describe('planning a start', () => {
  test('a gang that fits starts now and waits for no other', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 200)];
    const start = planned(draw('r: n1[8] n2[8]', endings), gang(1, 8), endings);
    expect(text(start)).toBe('100: n2');
    expect(start).toMatchObject({ gang: 'default/head', endsAt: 150 });
  });

  test('starts when the last gang in its way ends', () => {
    const endings = [
      ending('late', runOn('late', 8, ['n3']), 900),
      ending('soon', runOn('soon', 8, ['n1']), 200),
      ending('later', runOn('later', 8, ['n2']), 300),
    ];
    const snapshot = draw('r: n1[8] n2[8] n3[8]', endings);
    expect(text(planned(snapshot, gang(2, 8), endings))).toBe('300: n1 n2 after soon later');
  });

  test('does not wait for gangs on its nodes whose capacity it does not need', () => {
    const endings = [ending('small', runOn('small', 2, ['n1']), 150), ending('large', runOn('large', 4, ['n1']), 200)];
    expect(text(planned(draw('r: n1[8]', endings), gang(1, 4), endings))).toBe('150: n1 after small');
    expect(text(planned(draw('r: n1[8]', endings), gang(1, 6), endings))).toBe('200: n1 after large');
  });

  test('never starts on nodes where it would not fit even if they were empty', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 200)];
    expect(text(planned(draw('r: n1[8]', endings), gang(2, 8), endings))).toBe('never');
    const tied = drawSnapshot('r: n1[0]');
    expect(text(planned(tied, gang(1, 8), []))).toBe('never');
  });

  test('does not wait for a node that takes no pods', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 200), ending('b', runOn('b', 8, ['n2']), 300)];
    const snapshot = drawSnapshot('r: n1[8] n2[8]', {
      nodes: { n1: { ready: false } },
      pods: endings.flatMap(({ pods }) => pods),
    });
    expect(text(planned(snapshot, gang(1, 8), endings))).toBe('300: n2 after b');
  });

  test('still waits for a gang whose expected end is past or now', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 50)];
    expect(text(planned(draw('r: n1[8]', endings), gang(1, 8), endings))).toBe('100: n1 after a');
  });

  test('of unknown length it never ends', () => {
    expect(
      planStart(
        drawSnapshot('r: n1[8]'),
        { request: gang(1, 8), lengthMs: undefined, endings: [], earlier: [] },
        policy,
        NOW,
      )?.endsAt,
    ).toBe(FOREVER);
  });

  test('an elastic gang starts with its minimum', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 200), ending('b', runOn('b', 8, ['n2']), 300)];
    const snapshot = draw('r: n1[8] n2[8]', endings);
    expect(text(planned(snapshot, gang(2, 8, { min: 1 }), endings))).toBe('200: n1 after a');
  });

  test('waits for a whole domain when the gang requires one', () => {
    const endings = [
      ending('a', runOn('a', 8, ['n1', 'n3']), 200),
      ending('b', runOn('b', 8, ['n4']), 300),
      ending('c', runOn('c', 8, ['n2']), 400),
    ];
    const snapshot = draw('r1: n1[8] n2[8]\nr2: n3[8] n4[8]', endings);
    expect(text(planned(snapshot, gang(2, 8, { topology: { required: 'rack' } }), endings))).toBe(
      '300: n3 n4 after a b',
    );
    expect(text(planned(snapshot, gang(2, 8), endings))).toBe('200: n1 n3 after a');
  });

  test('a patient gang starts as soon as its patience is over, if more than its domain is free then', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 500)];
    const snapshot = draw('r1: n1[8] n2[8]\nr2: n3[8]', endings);
    const patient = gang(2, 8, { topology: { preferred: 'rack', patientUntil: 250 } });
    expect(text(planned(snapshot, patient, endings))).toMatch(/^250: /);
  });

  test('an exclusive gang waits for all gangs in its domain', () => {
    const mine = { labels: { 'muster.dev/pod-group': 'other' } };
    const endings = [ending('other', runOn('other', 1, ['n1'], mine), 300)];
    const snapshot = draw('r1: n1[4/4] n2[8]', endings);
    const request = gang(1, 8, { topology: { exclusive: 'rack' } });
    expect(text(planned(snapshot, request, endings))).toBe('300: n2 after other');
  });

  test('a gang that was just placed frees its slots when it ends', () => {
    const [pod] = runOn('placed', 8, ['']);
    const snapshot = drawSnapshot('r: n1[8]');
    const { uid, namespace, labels, template } = pod!;
    const occupied = withOccupants(snapshot, [
      {
        uid,
        namespace,
        labels,
        template,
        node: snapshot.indexOf.get('n1')!,
        shields: FOREVER,
        gang: gangKey('default', 'placed'),
        exclusive: undefined,
      },
    ]);
    const endings = [ending('placed', [pod!], 200)];
    expect(text(planned(occupied, gang(1, 8), endings))).toBe('200: n1 after placed');
    expect(text(planned(occupied, gang(1, 8), []))).toBe('never');
    const head = planned(occupied, gang(1, 8), endings)!;
    const room = (endsAt: number, gpus: number) =>
      planGang(
        reservedView(occupied, [head], endings, endsAt),
        { ...gang(1, gpus), key: gangKey('default', 'x') },
        policy,
        NOW,
      ).kind;
    expect(room(200, 1)).toBe('unschedulable');
    const half = planned(occupied, gang(1, 4), endings)!;
    // Four are planned and four are left, but only after the placed gang has left.
    expect(reservedView(occupied, [half], endings, FOREVER).free).toEqual(occupied.free);
  });

  test('beside earlier starts it takes the first gap that is long enough', () => {
    const endings = [ending('a', runOn('a', 8, ['n1', 'n2']), 200)];
    const snapshot = draw('r: n1[8] n2[8] n3[8]', endings);
    const wide = planned(snapshot, { ...gang(3, 8), key: gangKey('default', 'wide') }, endings)!;
    expect(text(wide)).toBe('200: n1 n2 n3 after a');
    const start = (length: number) =>
      planStart(snapshot, { request: gang(1, 8), lengthMs: length, endings, earlier: [wide] }, policy, NOW);
    expect(text(start(100))).toBe('100: n3');
    expect(text(start(101))).toMatch(/^250: n\d/);
  });
});

describe('the view beside planned starts', () => {
  test('is the snapshot itself for a gang that has ended when they begin', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), 200)];
    const snapshot = draw('r: n1[8]', endings);
    const head = planned(snapshot, gang(1, 8), endings)!;
    expect(reservedView(snapshot, [head], endings, 200)).toBe(snapshot);
    expect(reservedView(snapshot, [head], endings, 201)).not.toBe(snapshot);
  });

  test('keeps a gang off where its ports would be in the way', () => {
    const port = { hostPorts: [{ ip: '0.0.0.0', protocol: 'TCP', port: 80 }] };
    const listening = (key: string) =>
      aGang(members(1, { name: key, template: { gpus: 1, ...bare, ...port } }), { key: `default/${key}` });
    const snapshot = drawSnapshot('r: n1[8]');
    const view = reservedView(snapshot, [planned(snapshot, listening('first'), [])!], [], FOREVER);
    expect(planGang(view, listening('second'), policy, NOW).kind).toBe('unschedulable');
    expect(planGang(view, { ...gang(1, 7), key: gangKey('default', 'x') }, policy, NOW).kind).toBe('placed');
  });

  test('keeps a gang out of a domain that the start will have for itself', () => {
    const snapshot = drawSnapshot('r1: n1[4]\nr2: n2[8]');
    const lonely = planned(snapshot, gang(1, 1, { topology: { exclusive: 'rack' } }), [])!;
    const other = { ...gang(1, 1), key: gangKey('default', 'x') };
    const nodeIn = (view: Snapshot) => planText(view, other);
    expect(nodeIn(snapshot)).toBe(lonely.slots[0]!.node);
    expect(nodeIn(reservedView(snapshot, [lonely], [], FOREVER))).toBe('n2');
  });
});

describe('the first index that satisfies a condition', () => {
  test('is found with few probes', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.nat(301), fc.integer({ min: 1, max: 20 }), (size, answer, steps) => {
        const items = Array.from({ length: size }, (_, i) => i);
        let probes = 0;
        const found = findFirst(items, steps, (item) => {
          probes++;
          return item >= answer ? `yes ${item}` : undefined;
        });
        expect(found?.item).toBe(answer < size ? answer : undefined);
        expect(found?.value).toBe(answer < size ? `yes ${answer}` : undefined);
        expect(probes).toBeLessThanOrEqual(steps + 1 + 2 * Math.ceil(Math.log2(size + 1)));
      }),
    );
  });
});

describe('when ends are unknown', () => {
  test('known ends count before unknown ones', () => {
    const endings = [ending('a', runOn('a', 8, ['n1']), FOREVER), ending('b', runOn('b', 8, ['n2']), 900)];
    const snapshot = draw('r: n1[8] n2[8]', endings);
    expect(text(planned(snapshot, gang(1, 8), endings))).toBe('900: n2 after b');
    expect(text(planned(snapshot, gang(2, 8), endings))).toBe('Infinity: n1 n2 after b a');
  });

  test('the longest running are waited for', () => {
    const endings = [
      ending('young', runOn('young', 8, ['n1']), FOREVER, 90),
      ending('old', runOn('old', 8, ['n2']), FOREVER, 10),
    ];
    expect(text(planned(draw('r: n1[8] n2[8]', endings), gang(1, 8), endings))).toBe('Infinity: n2 after old');
  });

  test('drains the domain where the fewest accelerators have to leave', () => {
    const endings = [
      ending('old-1', runOn('old-1', 8, ['n1']), FOREVER, 10),
      ending('old-2', runOn('old-2', 8, ['n2']), FOREVER, 20),
      ending('young', runOn('young', 2, ['n4']), FOREVER, 90),
    ];
    const snapshot = draw('r1: n1[8] n2[8]\nr2: n3[8] n4[8]', endings);
    const request = gang(2, 8, { topology: { required: 'rack' } });
    expect(text(planned(snapshot, request, endings))).toBe('Infinity: n3 n4 after young');
  });

  test('a gang that need not leave after all stays', () => {
    // The longest running gang is counted first, but once `large` is gone no other has to leave.
    const endings = [
      ending('small', runOn('small', 8, ['n1']), FOREVER, 10),
      ending('large', runOn('large', 8, ['n2', 'n3']), FOREVER, 20),
    ];
    const snapshot = draw('r: n1[8] n2[8] n3[8]', endings);
    expect(text(planned(snapshot, gang(2, 8), endings))).toBe('Infinity: n2 n3 after large');
  });
});
