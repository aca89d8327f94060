import { describe, expect, test } from 'vitest';
import { forecastStarts, type WaitingGang } from '../../../src/core/backfill/forecast.ts';
import type { Ending } from '../../../src/core/backfill/planned-start.ts';
import { planStart } from '../../../src/core/backfill/start-planner.ts';
import { withOccupants } from '../../../src/core/snapshot/snapshot.ts';
import { aPod } from '../../support/builders.ts';
import { FOREVER, gangOf, policy } from '../../support/start-worlds.ts';
import { drawSnapshot } from '../../support/topology.ts';

const NOW = 100;

function running(key: string, node: string, gpus: number, endsAt: number): Ending {
  return { key, pods: [aPod({ name: key, nodeName: node, gpus, cpu: 0, memory: 0 })], startedAt: 0, endsAt };
}

function waiting(name: string, gpus: number, lengthMs = 50, count = 1): WaitingGang {
  return { request: gangOf(`default/${name}`, count, { gpus, cpu: 0 }), lengthMs, start: undefined };
}

/** Its end is unknown. */
function endless(name: string, gpus: number): WaitingGang {
  return { ...waiting(name, gpus), lengthMs: undefined };
}

function draw(drawing: string, endings: readonly Ending[]) {
  return drawSnapshot(drawing, { pods: endings.flatMap(({ pods }) => pods) });
}

function forecast(drawing: string, endings: readonly Ending[], line: readonly WaitingGang[]): readonly string[] {
  return describeAll(forecastStarts(draw(drawing, endings), line, endings, policy, NOW));
}

function describeAll(forecasts: ReturnType<typeof forecastStarts>): readonly string[] {
  return forecasts.map(({ gang, position, startsAt, basis }) => `${position} ${gang} ${startsAt} by ${basis}`);
}

describe('the forecast', () => {
  test('each gang starts when enough accelerators are free, and the next ones when it has left', () => {
    const endings = [running('b', 'n2', 8, 300), running('a', 'n1', 8, 200)];
    const line = [waiting('x', 8), waiting('y', 8, 500), waiting('z', 8)];
    expect(forecast('r: n1[8] n2[8]', endings, line)).toEqual([
      '1 default/x 200 by count',
      '2 default/y 250 by count',
      '3 default/z 300 by count',
    ]);
  });

  test('no gang is expected to start before the gangs ahead of it', () => {
    const endings = [running('a', 'n1', 8, 200)];
    expect(forecast('r: n1[8] n2[8]', endings, [waiting('large', 8, 50, 2), waiting('small', 8)])).toEqual([
      '1 default/large 200 by count',
      '2 default/small 250 by count',
    ]);
  });

  test('a planned start is used as it is, and later gangs are counted after it', () => {
    const endings = [running('a', 'n1', 6, 200), running('b', 'n2', 6, 300)];
    const snapshot = draw('r: n1[8] n2[8]', endings);
    const head = waiting('head', 8, 1000);
    // Four are free already, but no node has eight.
    const start = planStart(snapshot, { request: head.request, lengthMs: 1000, endings, earlier: [] }, policy, NOW);
    expect(describeAll(forecastStarts(snapshot, [{ ...head, start }, waiting('x', 8)], endings, policy, NOW))).toEqual([
      '1 default/head 200 by planned start',
      '2 default/x 300 by count',
    ]);
  });

  test('a gang behind several planned starts is counted after all of them', () => {
    const endings = [running('a', 'n1', 8, 300), running('b', 'n2', 4, 200)];
    const snapshot = draw('r: n1[8] n2[4/4] n3[8]', endings);
    const promise = (name: string, gpus: number, startsAt: number): WaitingGang => {
      const gang = waiting(name, gpus);
      const { request } = gang;
      return {
        ...gang,
        start: { gang: request.key, request, startsAt, endsAt: startsAt + 50, slots: [], waitsFor: [] },
      };
    };
    const line = [promise('late', 8, 300), promise('soon', 4, 200), waiting('x', 8)];
    const at = forecastStarts(snapshot, line, endings, policy, NOW).map(({ startsAt }) => startsAt);
    expect(at).toEqual([300, 200, 300]);
  });

  test('a start is unknown when it depends on an unknown end, and other gangs are counted without it', () => {
    const endings = [running('a', 'n1', 8, FOREVER), running('b', 'n2', 8, 300)];
    const line = [waiting('both', 8, 50, 2), endless('one', 8), waiting('next', 8)];
    expect(forecast('r: n1[8] n2[8]', endings, line)).toEqual([
      '1 default/both undefined by undefined',
      '2 default/one 300 by count',
      '3 default/next undefined by undefined',
    ]);
  });

  test('a planned start without a known time is unknown', () => {
    const endings = [running('a', 'n1', 8, FOREVER)];
    const snapshot = draw('r: n1[8]', endings);
    const head = waiting('head', 8);
    const start = planStart(snapshot, { request: head.request, lengthMs: 50, endings, earlier: [] }, policy, NOW);
    expect(start?.startsAt).toBe(FOREVER);
    expect(describeAll(forecastStarts(snapshot, [{ ...head, start }], endings, policy, NOW))).toEqual([
      '1 default/head undefined by undefined',
    ]);
  });

  test('unusable nodes and held capacity are not counted', () => {
    const endings = [running('a', 'n1', 8, 200)];
    const snapshot = drawSnapshot('r: n1[8] n2[8] n3[8]', {
      nodes: { n2: { ready: false } },
      pods: endings.flatMap(({ pods }) => pods),
    });
    const { uid, namespace, labels, template } = aPod({ name: 'held', gpus: 8, cpu: 0, memory: 0 });
    const node = snapshot.indexOf.get('n3')!;
    const occupant = {
      uid,
      namespace,
      labels,
      template,
      node,
      shields: FOREVER,
      gang: undefined,
      exclusive: undefined,
    };
    const occupied = withOccupants(snapshot, [occupant]);
    expect(describeAll(forecastStarts(occupied, [waiting('x', 8)], endings, policy, NOW))).toEqual([
      '1 default/x 200 by count',
    ]);
  });

  test('an elastic gang is counted with its minimum', () => {
    const endings = [running('a', 'n1', 8, 200)];
    const elastic = waiting('x', 8, 50, 2);
    const line = [{ ...elastic, request: { ...elastic.request, min: 1 } }];
    expect(forecast('r: n1[8] n2[8]', endings, line)).toEqual(['1 default/x 100 by count']);
  });

  test('of many endings the earliest counts first', () => {
    const ends = [700, 300, 500, 200, 600, 400, 800];
    const endings = ends.map((endsAt, i) => running(`r${i}`, `n${i}`, 8, endsAt));
    const drawing = `r: ${ends.map((_, i) => `n${i}[8]`).join(' ')}`;
    const line = ends.map((_, i) => endless(`w${i}`, 8));
    const at = forecastStarts(draw(drawing, endings), line, endings, policy, NOW).map(({ startsAt }) => startsAt);
    expect(at).toEqual(ends.toSorted((a, b) => a - b));
  });
});
