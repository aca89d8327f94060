import { expect, test } from 'vitest';
import { drawScale } from '../../../bench/scale/chart.ts';

const AXIS = { positions: [1_000, 10_000, 100_000], names: ['1k', '10k', '100k'] };

test('what grows in proportion lies on the dashed line; every point is inside its panel', () => {
  const proportion = [1, 10, 100];
  const lines = [
    { name: 'linear', values: [2, 20, 200] },
    { name: 'flat', values: [3, 3, 3] },
  ];
  const svg = drawScale([{ title: 'Start', unit: 's', lines, proportion }], AXIS);
  const drawn = [...svg.matchAll(/points="([^"]*)"/g)].map(([, points]) => points);
  expect(drawn).toHaveLength(3);
  expect(drawn[0]).toBe(drawn[1]);
  const flat = drawn[2]!.split(' ').map((point) => point.split(',')[1]);
  expect(new Set(flat).size).toBe(1);
  const heights = [...svg.matchAll(/cy="([\d.]+)"/g)].map(([, at]) => Number(at));
  const [, top, height] = /<rect x="70" y="(\d+)" width="\d+" height="(\d+)"/.exec(svg)!.map(Number);
  expect(Math.min(...heights)).toBeGreaterThanOrEqual(top!);
  expect(Math.max(...heights)).toBeLessThanOrEqual(top! + height!);
});
