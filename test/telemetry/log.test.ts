/** The logger: format, verbosity, and robustness against bad values and outputs. */
import { describe, expect, test } from 'vitest';
import { createLogger, type Logger } from '../../src/telemetry/log.ts';

const noon = Date.UTC(2026, 0, 2, 12);

function capture(verbosity = 2): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  return { lines, logger: createLogger({ verbosity, now: () => noon, write: (line) => lines.push(line) }) };
}

describe('logger', () => {
  test('writes one JSON object per line: ts, level, msg, then the fields', () => {
    const { logger, lines } = capture();
    logger.info(0, 'planned', { gang: 'ml/train', slots: 8, node: undefined });
    expect(lines).toEqual([
      '{"ts":"2026-01-02T12:00:00.000Z","level":"info","msg":"planned","gang":"ml/train","slots":8}\n',
    ]);
  });

  test.each([
    { at: 0, written: true },
    { at: 2, written: true },
    { at: 3, written: false },
  ])('at verbosity 2 an info of verbosity $at is written: $written', ({ at, written }) => {
    const { logger, lines } = capture(2);
    logger.info(at, 'x');
    expect(lines.length === 1).toBe(written);
  });

  test('warnings and errors are written at verbosity 0', () => {
    const { logger, lines } = capture(0);
    logger.warn('w');
    logger.error('e', new Error('boom'));
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(['warn', 'error']);
  });

  test('an error keeps its name, message, code, stack and cause', () => {
    const { logger, lines } = capture();
    const cause = Object.assign(new TypeError('refused'), { code: 'ECONNREFUSED' });
    logger.error('bind failed', new Error('boom', { cause }), { pod: 'ml/a' });
    const { error, pod } = JSON.parse(lines[0]!);
    expect(pod).toBe('ml/a');
    expect(error).toMatchObject({ name: 'Error', message: 'boom', cause: { name: 'TypeError', code: 'ECONNREFUSED' } });
    expect(error.stack).toContain('log.test.ts');
  });

  test('a thrown value need not be an Error', () => {
    const { logger, lines } = capture();
    logger.error('odd', 'just text');
    expect(JSON.parse(lines[0]!).error).toBe('just text');
  });

  test('a field that cannot be serialized loses only itself', () => {
    const { logger, lines } = capture();
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    logger.info(0, 'x', { cycle, big: 10n, pods: new Set(['a']), pod: 'ml/a' });
    const line = JSON.parse(lines[0]!);
    expect(line).toMatchObject({ big: '10', pods: ['a'], pod: 'ml/a' });
    expect(line.cycle).toMatch(/^\(not written: /);
  });

  test('a line is short, however long texts and lists are', () => {
    const { logger, lines } = capture();
    const long = 'x'.repeat(1_000_000);
    const many = Array.from({ length: 10_000 }, (_, i) => `team/gang-${i}`);
    logger.error('odd', new Error(long), { reason: long, victims: many, pods: new Set(many) });
    const { reason, victims, pods } = JSON.parse(lines[0]!);
    expect(reason).toHaveLength(4_001);
    expect([victims, pods].map((list) => [list.length, list.at(-1)])).toEqual([
      [65, '… and 9936 more'],
      [65, '… and 9936 more'],
    ]);
    expect(lines[0]!.length).toBeLessThan(20_000);
  });

  test('never throws, whether the output or a value does', () => {
    const broken = createLogger({
      verbosity: 0,
      now: () => noon,
      write: () => {
        throw new Error('EPIPE');
      },
    });
    expect(() => broken.warn('x')).not.toThrow();
    const { logger, lines } = capture();
    logger.warn('x', {
      toJSON: undefined,
      get trap() {
        throw new Error('trap');
      },
    });
    expect(lines).toHaveLength(0);
  });
});
