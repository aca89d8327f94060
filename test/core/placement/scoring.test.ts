import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { breakageOf, MAX_SCORE, scoreBreakage, scoreLinked, shareLeft } from '../../../src/core/placement/scoring.ts';
import { INTERCONNECTS } from '../../../src/core/topology/gpu-pools.ts';

const scoreOf = (node: readonly [number, number], domain: readonly [number, number]) =>
  scoreBreakage(breakageOf(shareLeft(...node), shareLeft(...domain)));

describe('the score of a node', () => {
  test.each<[string, readonly [left: number, total: number], readonly [left: number, total: number], number]>([
    ['a full node is the first choice', [0, 8], [0, 16], 10],
    ['one GPU left of eight', [1, 8], [9, 16], 10],
    ['half full is in the middle', [4, 8], [12, 16], 7],
    ['one of eight taken is above any untouched node', [7, 8], [15, 16], 4],
    ['a node without accelerators is as good as full', [0, 0], [0, 0], 10],
    ['an overcommitted one is full', [-2, 8], [6, 16], 10],
    ['an untouched node of a domain with nothing else left', [8, 8], [8, 80], 3],
    ['of a half full domain', [8, 8], [40, 80], 2],
    ['of a domain of which little is taken', [8, 8], [79, 80], 1],
    ['of no domain', [8, 8], [0, 0], 3],
    ['an untouched node of a whole domain is the last choice', [8, 8], [80, 80], 0],
    ['more left than there is counts as untouched', [9, 8], [80, 80], 0],
  ])('%s', (_, node, domain, score) => {
    expect(scoreOf(node, domain)).toBe(score);
  });

  const share = fc.tuple(fc.integer({ min: -8, max: 80 }), fc.integer({ min: 0, max: 80 }));

  test('is a whole number from 0 to the most an extender may give, and never grows with what is left', () => {
    fc.assert(
      fc.property(share, share, ([left, total], [leftInDomain, totalOfDomain]) => {
        const score = scoreOf([left, total], [leftInDomain, totalOfDomain]);
        expect(Number.isInteger(score) && score >= 0 && score <= MAX_SCORE).toBe(true);
        expect(scoreOf([left + 1, total], [leftInDomain, totalOfDomain])).toBeLessThanOrEqual(score);
        expect(scoreOf([left, total], [leftInDomain + 1, totalOfDomain])).toBeLessThanOrEqual(score);
      }),
    );
  });

  test('for linked GPUs: any node of a better interconnect is above all nodes of a worse one', () => {
    fc.assert(
      fc.property(fc.nat(MAX_SCORE), fc.nat(MAX_SCORE), (one, other) => {
        const [nvlink, unknown, pcie] = INTERCONNECTS.map((interconnect) => scoreLinked(interconnect, one));
        expect(nvlink).toBeLessThanOrEqual(MAX_SCORE);
        expect(nvlink).toBeGreaterThan(scoreLinked('unknown', other));
        expect(unknown).toBeGreaterThan(scoreLinked('pcie', other));
        expect(pcie).toBeGreaterThanOrEqual(0);
        expect(Math.sign(scoreLinked('pcie', other) - pcie!) * Math.sign(other - one)).toBeGreaterThanOrEqual(0);
        expect([nvlink, unknown, pcie].every(Number.isInteger)).toBe(true);
      }),
    );
  });
});
