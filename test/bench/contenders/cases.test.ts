import { describe, expect, test } from 'vitest';
import { nameOf, parseCases, standardCases } from '../../../bench/contenders/cases.ts';
import { DEFAULT_TOOLS, parseTools } from '../../../bench/contenders/tools.ts';
import { UsageError } from '../../../bench/result.ts';

describe('the cases of the field', () => {
  test('are read from the command line', () => {
    expect(parseCases('20x500@1000,1x100x16@5000,throughput-50@20,scarce-25@200')).toEqual([
      { kind: 'gangs', gangs: 20, size: 500, gpus: 1, nodes: 1_000, rounds: 1 },
      { kind: 'gangs', gangs: 1, size: 100, gpus: 16, nodes: 5_000, rounds: 2 },
      { kind: 'throughput', pods: 50, nodes: 20 },
      { kind: 'scarce', nodes: 200, residents: 10, arriving: 25 },
    ]);
    expect(parseCases('20x500@1000', 2)).toMatchObject([{ rounds: 2 }]);
  });

  test.each(['', '20x500', '20x1@10', '0x5@10', '1x17@1', '1x2x9@1', 'scarce-21@20', 'throughput-@20', '1x2@10 '])(
    'refuse %j and say what was expected',
    (text) => {
      expect(() => parseCases(text)).toThrow(UsageError);
      expect(() => parseCases(text)).toThrow(`found "${text}"`);
    },
  );

  test('the standard ones fit their nodes, and the quick ones are smaller', () => {
    const sizes = [true, false].map((isQuick) => standardCases(isQuick).map(({ nodes }) => nodes));
    expect(sizes[0]).toHaveLength(sizes[1]!.length);
    expect(sizes[0]!.every((nodes, i) => nodes < sizes[1]![i]!)).toBe(true);
    expect(standardCases(true, 2).map(nameOf)).toContain('50 × 20, 200 nodes');
  });
});

describe('the tools', () => {
  test('are read from the command line, each once', () => {
    expect(parseTools('kueue,stock,kueue').map(({ key }) => key)).toEqual(['kueue', 'stock']);
    expect(parseTools(DEFAULT_TOOLS.join(',')).map(({ key }) => key)).toEqual(DEFAULT_TOOLS);
  });

  test.each(['', 'slurm', 'stock,'.repeat(2).concat('x')])('refuse %j', (text) => {
    expect(() => parseTools(text)).toThrow(UsageError);
  });
});
