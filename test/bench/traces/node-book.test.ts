/** The account of nodes and GPUs that the benchmark of traces keeps, and the policies that choose by it. */
import { describe, expect, test } from 'vitest';
import { FragmentationGradient, typicalPodsOf } from '../../../bench/traces/fragmentation.ts';
import { NodeBook, type Request } from '../../../bench/traces/node-book.ts';
import { bestFitScore, packingScore, stockScore } from '../../../bench/traces/scoring.ts';

const node = { cpu: 8_000, memory: 8_000, gpus: 2, model: '' };
const pod = (gpus: number, milli = 1_000, cpu = 1_000): Request => ({ cpu, memory: 1_000, gpus, milli });
const SHARE = pod(1, 400);

describe('the book', () => {
  test('a share comes from the fullest device that has room', () => {
    const book = new NodeBook([node]);
    book.take('a', 0, SHARE);
    book.take('b', 0, SHARE);
    expect(book.free[0]!.devices).toEqual([200, 1_000]);
    book.take('c', 0, SHARE);
    expect(book.free[0]!.devices).toEqual([200, 600]);
  });

  test('two halves of different devices are no whole GPU', () => {
    const book = new NodeBook([node]);
    for (const name of ['a', 'b']) book.take(name, 0, pod(1, 600));
    expect(book.free[0]!.devices).toEqual([400, 400]);
    expect(book.fits(0, pod(1, 800))).toBe(false);
    expect(book.fits(0, pod(1))).toBe(false);
    expect(book.fits(0, SHARE)).toBe(true);
  });

  test('placing a pod where there is no room is an error', () => {
    const book = new NodeBook([node]);
    book.take('a', 0, pod(2));
    expect(() => book.take('b', 0, SHARE)).toThrow('expected room for b on node 0, found none');
    expect(() => book.take('a', 0, pod(0))).toThrow('expected a on no node');
  });

  test('what is given back is what was taken', () => {
    const book = new NodeBook([node]);
    book.take('a', 0, SHARE);
    book.take('b', 0, pod(1));
    expect(book.used).toBe(1_400);
    book.giveBack('a');
    book.giveBack('b');
    expect(book.used).toBe(0);
    expect(book.free[0]).toEqual({ cpu: 8_000, memory: 8_000, pods: 110, devices: [1_000, 1_000] });
  });
});

describe('scores', () => {
  const book = new NodeBook([node, node]);
  book.take('a', 0, pod(1));
  const prefers = (score: typeof stockScore) => (score(book, 0, pod(1)) > score(book, 1, pod(1)) ? 'used' : 'empty');

  test.each([
    ['kube-scheduler', stockScore, 'empty'],
    ['MostAllocated', packingScore, 'used'],
    ['BestFit', bestFitScore, 'used'],
  ])('%s prefers the node that is %3$s', (_, score, expected) => {
    expect(prefers(score)).toBe(expected);
  });
});

describe('fragmentation gradient', () => {
  const typical = typicalPodsOf([
    { request: pod(1), count: 50 },
    { request: SHARE, count: 50 },
  ]);

  test('a share goes to the GPU that is broken already', () => {
    const book = new NodeBook([node]);
    book.take('a', 0, SHARE);
    const gradient = new FragmentationGradient(typical);
    expect(gradient.of(book, 0, SHARE)).toEqual({ points: expect.any(Number), device: 0 });
    expect(gradient.of(book, 0, SHARE).points).toBeGreaterThan(50);
  });

  test('a share that breaks a whole GPU adds fragments', () => {
    const points = new FragmentationGradient(typical).of(new NodeBook([node]), 0, SHARE).points;
    expect(points).toBeLessThan(50);
  });

  test('using up the CPU of free GPUs adds fragments', () => {
    const gradient = new FragmentationGradient(typical);
    const modest = gradient.of(new NodeBook([node]), 0, pod(0, 0, 1_000)).points;
    const greedy = gradient.of(new NodeBook([node]), 0, pod(0, 0, 8_000)).points;
    expect(greedy).toBeLessThan(modest);
  });

  test('rare shapes are not typical', () => {
    const shapes = [
      { request: pod(1), count: 95 },
      { request: pod(2), count: 5 },
    ];
    expect(typicalPodsOf(shapes)).toEqual([{ request: pod(1), share: 1 }]);
  });
});
