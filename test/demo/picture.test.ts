/** The timeline and the SVG of the demo. */
import { describe, expect, test } from 'vitest';
import { drawPicture } from '../../src/demo/picture.ts';
import { segmentsOf } from '../../src/demo/timeline.ts';
import { deadlocked, inTurn, recordOf, replay } from './story-line.ts';

describe('the timeline', () => {
  test('has one segment for each period in which a node is held the same way', () => {
    expect(segmentsOf(inTurn.frames).filter(({ node }) => node === 0)).toEqual([
      { node: 0, job: 0, training: false, fromMs: 200, toMs: 300 },
      { node: 0, job: 0, training: true, fromMs: 300, toMs: 4_300 },
      { node: 0, job: 1, training: true, fromMs: 4_400, toMs: 8_400 },
    ]);
  });

  test('extends to the end what is held then', () => {
    expect(segmentsOf(deadlocked.frames).map(({ job, fromMs, toMs }) => [job, fromMs, toMs])).toEqual([
      [0, 100, 5_100],
      [1, 100, 5_100],
      [0, 100, 5_100],
      [1, 100, 5_100],
    ]);
  });
});

describe('the picture', () => {
  const runs = [recordOf('alone', deadlocked.frames), recordOf('with-muster', inTurn.frames)];
  const svg = drawPicture({ headline: '2 jobs & 4 nodes', plane: 'a <plane>' }, runs);

  test('is well-formed, self-contained XML', () => {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 860 \d+" role="img">/);
    const open = svg.match(/<[a-z][^>/]*(?:"[^"]*"[^>/]*)*>/g)?.length;
    expect(open).toBe(svg.match(/<\/[a-z]+>/g)?.length);
    expect(svg).toContain('2 jobs &amp; 4 nodes');
    expect(svg).toContain('a &lt;plane&gt;');
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<image|<script/);
  });

  test('describes the outcome of each run, also in its text alternative', () => {
    expect(svg).toContain(
      '<title>2 jobs &amp; 4 nodes. plain: 0 of 2 jobs finished. gangs: 2 of 2 jobs finished</title>',
    );
    expect(svg).toContain('160 of 160 GPU-seconds held were idle (100 %)');
    expect(svg).toContain('2 of 194 GPU-seconds held were idle (1 %)');
  });

  test('marks where a run was given up, if there is room', () => {
    expect(svg).not.toContain('given up');
    const early = replay([{ at: 100, job: 'train-a', nodes: ['n1', 'n3'], phase: 'Running' }], 2_000);
    const roomy = drawPicture({ headline: '', plane: '' }, [recordOf('alone', early.frames), ...runs.slice(1)]);
    expect(roomy).toMatch(/given up here:<.*train-a holds 2 of 3<.*train-b waits, holds nothing</);
  });

  test('has colours for a dark page', () => {
    expect(svg).toContain('prefers-color-scheme:dark');
  });

  test('needs at least one run', () => {
    expect(() => drawPicture({ headline: '', plane: '' }, [])).toThrow('expected a run to draw, found none');
  });
});
