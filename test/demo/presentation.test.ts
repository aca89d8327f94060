/** The demo's page, narration and presenters. */
import { describe, expect, test } from 'vitest';
import type { Frame } from '../../src/demo/frame.ts';
import { Narrator } from '../../src/demo/narration.ts';
import type { Act, Programme } from '../../src/demo/programme.ts';
import { createPresenter, type Output } from '../../src/demo/terminal.ts';
import { renderProgramme, wrap } from '../../src/demo/view.ts';
import { deadlocked, inTurn, lastOf, recordOf, replay } from './story-line.ts';

const [plain, gangs] = [recordOf('alone', deadlocked.frames), recordOf('with-muster', inTurn.frames)];

function programmeOf(acts: readonly Act[]): Programme {
  return { headline: 'two jobs', plane: 'a plane', acts };
}

function playing(frame: Frame): Programme {
  return programmeOf([{ ...plain.act, frame, ended: false }]);
}

function textOf(programme: Programme, width: number): readonly string[] {
  return renderProgramme(programme, width).map((line) => line.map(({ text }) => text).join(''));
}

class Recorder implements Output {
  readonly isTTY: boolean;
  readonly columns = 80;
  readonly rows: number;
  text = '';

  constructor(isTTY: boolean, rows = 40) {
    this.isTTY = isTTY;
    this.rows = rows;
  }

  write(text: string): void {
    this.text += text;
  }
}

describe('the page', () => {
  test('shows map, bars and counts side by side, idle jobs in lower case', () => {
    expect(textOf(programmeOf([{ ...plain.act, ended: false }]), 80)).toEqual([
      'two jobs',
      'a plane',
      '',
      `1  plain${' '.repeat(67)}5.1 s`,
      '   rack-1   a  b     train-a  2/3 nodes  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   0 %',
      '   rack-2   a  b              waits for 1 more node, holds 16 GPUs idle',
      '                     train-b  2/3 nodes  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   0 %',
      '                              waits for 1 more node, holds 16 GPUs idle',
      '   32/32 GPUs held, 32 idle; GPU-seconds idle: 160',
      '',
      'A trains on the node   a holds it, idle   . free',
    ]);
  });

  test('shows a training job in upper case, with its progress', () => {
    const half = replay([{ at: 0, job: 'train-a', nodes: ['n1', 'n2', 'n3'], phase: 'Running' }], 2_000);
    const text = textOf(playing(lastOf(half.frames)), 80).join('\n');
    expect(text).toContain('rack-1   A  A ');
    expect(text).toContain('rack-2   A  . ');
    expect(text).toMatch(/train-a {2}3\/3 nodes {2}█{17}░{16} {2}50 %/);
    expect(text).toContain('trains on 3 nodes');
  });

  test('puts the jobs below the map on a narrow page', () => {
    const lines = textOf(programmeOf([plain.act, gangs.act]), 60);
    expect(lines).toContain('   rack-1   a  b ');
    expect(lines.find((line) => line.includes('train-a  2/3'))?.indexOf('train-a')).toBe(3);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(60);
  });

  test('ends with the summary', () => {
    expect(textOf(programmeOf([plain.act, gangs.act]), 80).join('\n')).toContain('plain  0 of 2    5.1 s, given up');
  });

  test('wraps at spaces', () => {
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrap('extraordinary', 7)).toEqual(['extraordinary']);
  });
});

describe('the narration', () => {
  test('reports each fact once, when it happens', () => {
    const narrator = new Narrator();
    const story = (frames: readonly Frame[]) => frames.flatMap((frame) => narrator.narrate(playing(frame)));
    expect(story(inTurn.frames)).toEqual([
      'two jobs',
      'a plane',
      '',
      '1. plain',
      '    0.3 s  train-a trains on 3 nodes',
      '    4.3 s  train-b waits, holds nothing',
      '    4.3 s  train-a has finished',
      '    4.4 s  train-b trains on 3 nodes',
      '    8.4 s  train-b has finished',
    ]);
    expect(story(inTurn.frames.slice(-1))).toEqual([]);
  });

  test('ends a run with its verdict, and with the map unless it is empty', () => {
    const lastLines = (act: Act) => new Narrator().narrate(programmeOf([act])).slice(-3);
    expect(lastLines(plain.act)).toEqual([
      expect.stringContaining('    5.1 s  Deadlock: '),
      '           rack-1  a b',
      '           rack-2  a b',
    ]);
    expect(lastLines(gangs.act).at(-1)).toContain('    8.4 s  Both jobs finished');
  });
});

describe('the presenter', () => {
  test('writes plain lines without escape codes where there is no terminal', () => {
    const output = new Recorder(false);
    const presenter = createPresenter(output, {});
    presenter.show(programmeOf([plain.act]));
    presenter.show(programmeOf([plain.act, gangs.act]));
    presenter.close();
    expect(output.text).not.toContain('\x1b');
    expect(output.text.match(/Deadlock/g)).toHaveLength(1);
    expect(output.text).toContain('plain  0 of 2');
  });

  test('writes plain lines on a dumb terminal', () => {
    const output = new Recorder(true);
    createPresenter(output, { TERM: 'dumb' }).show(programmeOf([plain.act]));
    expect(output.text).not.toContain('\x1b');
  });

  test('draws on the alternate screen, and leaves the last page and the cursor behind', () => {
    const output = new Recorder(true);
    const presenter = createPresenter(output, {});
    presenter.show(programmeOf([plain.act]));
    expect(output.text.startsWith('\x1b[?1049h\x1b[?25l')).toBe(true);
    presenter.show(programmeOf([plain.act, gangs.act]));
    expect(output.text.split('\x1b[?1049h')).toHaveLength(2);
    output.text = '';
    presenter.close();
    expect(output.text.startsWith('\x1b[?25h\x1b[?1049l')).toBe(true);
    expect(output.text).toContain('Deadlock');
    output.text = '';
    presenter.show(programmeOf([plain.act]));
    presenter.close();
    expect(output.text).toBe('');
  });

  test('draws no more lines than the screen has, and none that are too long', () => {
    const output = new Recorder(true, 5);
    createPresenter(output, { NO_COLOR: '1' }).show(programmeOf([plain.act, gangs.act]));
    const lines = output.text.split('\r\n');
    expect(lines).toHaveLength(5);
    expect(lines.at(-1)).toContain('not all pods of the job run.');
  });

  test('uses no colour with NO_COLOR', () => {
    const colors = (env: Record<string, string>) => {
      const output = new Recorder(true);
      createPresenter(output, env).show(programmeOf([plain.act]));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are escape sequences.
      return output.text.match(/\x1b\[[\d;]*m/g) ?? [];
    };
    expect(colors({})).not.toEqual([]);
    expect(colors({ NO_COLOR: '1' })).toEqual([]);
  });
});
