/** Lays out the demo's page as lines of styled text. */
import { type Frame, type JobFrame, racksOf } from './frame.ts';
import { symbolOf } from './narration.ts';
import { formatCount, formatSeconds } from './numbers.ts';
import type { Act, Programme } from './programme.ts';
import { summarize } from './summary.ts';
import { describeJob, describeOutcome } from './verdict.ts';

/*
 * A page for a given width:
 *
 *   1  kube-scheduler alone                                              4.1 s
 *      rack-1  a  b  a  b    train-a   8/10 nodes  ░░░░░░░░░░░░░░░░░░░░   0 %
 *      rack-2  b  a  b  a              waits for 2 more nodes, holds 64 GPUs idle
 *      …
 *
 * The jobs go below the map where there is no room beside it. Lines may be wider than a very narrow terminal.
 */

export type Style = 'plain' | 'strong' | 'dim' | 'good' | 'bad';

/** A piece of a line. */
export interface Span {
  readonly text: string;
  readonly style: Style;
  /** Index of the job whose colour it has. */
  readonly job?: number;
  /** Whether the colour fills the background. */
  readonly solid?: boolean;
}

export type Line = readonly Span[];

const WIDE = 76;
const INDENT = 3;
const GAP = 4;
const WIDEST = 92;
const LEGEND = 'A trains on the node   a holds it, idle   . free';

/** The page for a terminal with `availableWidth` columns. */
export function renderProgramme({ headline, plane, acts }: Programme, availableWidth: number): readonly Line[] {
  const width = Math.min(availableWidth, WIDEST);
  const lines: Line[] = [
    [span(headline, 'strong')],
    ...wrap(plane, width).map((text): Line => [span(text, 'dim')]),
    [],
  ];
  for (const [index, act] of acts.entries()) lines.push(...renderAct(index, act, width), []);
  const summary = summarize(acts);
  if (summary === undefined) return [...lines, [span(LEGEND, 'dim')]];
  const notes = summary.notes.flatMap((note) => wrap(note, width));
  lines.push(...summary.table.map((text, row): Line => [span(text, row === 0 ? 'dim' : 'strong')]), []);
  return [...lines, ...notes.map((text): Line => [span(text)])];
}

function renderAct(index: number, act: Act, width: number): readonly Line[] {
  const { title, frame, preparation, ended } = act;
  const head = `${index + 1}  ${title}`;
  if (frame === undefined) return [[span(head, 'strong')], [span(indent(preparation ?? ''), 'dim')]];
  const time = formatSeconds(frame.elapsedMs);
  const room = Math.max(1, width - head.length - time.length);
  return [
    [span(head, 'strong'), span(' '.repeat(room)), span(time, 'dim')],
    ...renderBody(frame, width),
    [span(indent(describeGpus(frame)), 'dim')],
    ...(ended ? renderVerdict(frame, width) : []),
  ];
}

function renderBody(frame: Frame, width: number): readonly Line[] {
  const map = renderMap(frame);
  const mapWidth = Math.max(...map.map(widthOf));
  const isWide = width >= WIDE;
  const jobsWidth = isWide ? width - mapWidth - GAP : width - INDENT;
  const jobs = frame.jobs.flatMap((job, index) => renderJob(job, index, jobsWidth));
  if (!isWide) return [...map, ...jobs.map((line): Line => [span(indent('')), ...line])];
  return Array.from({ length: Math.max(map.length, jobs.length) }, (_, row): Line => {
    const left = map[row] ?? [];
    return [...left, span(' '.repeat(mapWidth - widthOf(left) + GAP)), ...(jobs[row] ?? [])];
  });
}

/** One line per rack, one cell per node. */
function renderMap(frame: Frame): readonly Line[] {
  return racksOf(frame.cells).map(({ rack, cells }): Line => {
    const symbols = cells.map((cell): Span => {
      const text = ` ${symbolOf(frame, cell)} `;
      return cell.job === undefined ? span(text, 'dim') : { ...inColor(text, cell.job), solid: cell.training };
    });
    return [span(indent(`${rack}  `)), ...symbols];
  });
}

function renderJob(job: JobFrame, index: number, width: number): readonly Line[] {
  const { name, nodes, size, progress, phase } = job;
  const label = `${name}  `;
  const count = `${nodes}/${size} nodes  `.padEnd(`${size}/${size} nodes  `.length);
  const percent = ` ${String(Math.floor(progress * 100)).padStart(3)} %`;
  const length = Math.max(5, width - label.length - count.length - percent.length);
  const full = Math.round(progress * length);
  const bar = [inColor('█'.repeat(full), index), span('░'.repeat(length - full), 'dim')];
  const style = phase === 'holding' ? 'bad' : phase === 'waiting' ? 'dim' : 'good';
  return [
    [inColor(label, index), span(count), ...bar, span(percent)],
    [span(' '.repeat(label.length)), span(describeJob(job), style)],
  ];
}

function renderVerdict(frame: Frame, width: number): readonly Line[] {
  const style = frame.jobs.every(({ phase }) => phase === 'finished') ? 'good' : 'bad';
  return wrap(describeOutcome(frame), width - INDENT).map((text): Line => [span(indent(text), style)]);
}

function describeGpus({ gpus, heldGpus, trainingGpus, idleGpuSeconds }: Frame): string {
  const idle = heldGpus - trainingGpus;
  return `${heldGpus}/${gpus} GPUs held, ${idle} idle; GPU-seconds idle: ${formatCount(idleGpuSeconds)}`;
}

/** Breaks at spaces, so that lines exceed `width` only for longer words. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function widthOf(line: Line): number {
  return line.reduce((sum, { text }) => sum + text.length, 0);
}

function indent(text: string): string {
  return ' '.repeat(INDENT) + text;
}

function span(text: string, style: Style = 'plain'): Span {
  return { text, style };
}

function inColor(text: string, job: number): Span {
  return { text, style: 'strong', job };
}
