/** Draws the two runs of the demo as an SVG. */
import { type Cell, type Frame, racksOf } from './frame.ts';
import { formatCount, percent } from './numbers.ts';
import type { Programme, RunRecord } from './programme.ts';
import { type Segment, segmentsOf } from './timeline.ts';
import { countFinished, describeJob, outcomeOf } from './verdict.ts';

/*
 * One panel per run, side by side on the same time scale, with one row per node. The SVG brings its background and
 * colours for light and dark pages, and embeds no font, so it looks the same everywhere.
 */

const WIDTH = 860;
const MARGIN = 24;
const LABELS = 46;
const PANEL_GAP = 24;
const TOP = 116;
const ROW = 13;
const BAR = 11;
const RACK_GAP = 7;

const STYLE = `
text{font:12px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.h{font-size:16px;font-weight:600}.t{font-size:14px;font-weight:600}.n{font-size:13px}
.s{fill:#59636e;font-size:11px}.c{font:9px ui-monospace,Menlo,Consolas,monospace}
.w{fill:#fff}.bad{fill:#cf222e}.good{fill:#1a7f37}
.bg{fill:#fff;stroke:#d1d9e0}.free{fill:#eff2f5}.axis{stroke:#d1d9e0}.end{stroke:#cf222e;stroke-dasharray:4 3}
.a{fill:#0969da}.b{fill:#bc4c00}.la{stroke:#0969da}.lb{stroke:#bc4c00}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.s{fill:#9198a1}.w{fill:#fff}.bad{fill:#ff7b72}.good{fill:#3fb950}
.bg{fill:#0d1117;stroke:#3d444d}.free{fill:#1c2129}.axis{stroke:#3d444d}.end{stroke:#ff7b72}
.a{fill:#1f6feb}.b{fill:#bd561d}.la{stroke:#4493f8}.lb{stroke:#f0883e}}`;

/** The hatching of idle GPUs. */
const HATCHES = ['a', 'b']
  .map(
    (job) =>
      `<pattern id="${job}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
      `<rect width="6" height="6" class="${job}" opacity=".16"/>` +
      `<path d="M1 0V6" class="l${job}" stroke-width="1.2"/></pattern>`,
  )
  .join('');

/** Draws two runs, which must have the same jobs and nodes. */
export function drawPicture(
  { headline, plane }: Pick<Programme, 'headline' | 'plane'>,
  runs: readonly RunRecord[],
): string {
  const first = runs[0]?.frames[0];
  if (first === undefined) throw new Error('expected a run to draw, found none');
  const rows = rowsOf(first.cells);
  const bottom = TOP + rows.height;
  const height = bottom + 112;
  const panelWidth = (WIDTH - 2 * MARGIN - (runs.length - 1) * PANEL_GAP) / runs.length;
  const longestMs = Math.max(...runs.map(({ frames }) => frames.at(-1)?.elapsedMs ?? 0));
  const panels = runs.map((run, index) => {
    const left = MARGIN + index * (panelWidth + PANEL_GAP);
    return drawPanel(run, rows, { left: left + LABELS, right: left + panelWidth, bottom, longestMs });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>${escapeXml(describe(headline, runs))}</title>
<style>${STYLE}</style><defs>${HATCHES}</defs>
<rect class="bg" x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
${text(MARGIN, 34, 'h', headline)}
${text(MARGIN, 53, 's', plane)}
${panels.join('\n')}
${drawLegend(first, height - 20)}
</svg>
`;
}

interface Rows {
  readonly height: number;
  /** Top of each node's row. */
  readonly tops: readonly number[];
  readonly racks: readonly { readonly name: string; readonly middle: number }[];
}

interface Panel {
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly longestMs: number;
}

function rowsOf(cells: readonly Cell[]): Rows {
  let y = 0;
  const tops: number[] = [];
  const racks = racksOf(cells).map((rack) => {
    const top = y;
    for (const _ of rack.cells) {
      tops.push(y);
      y += ROW;
    }
    const middle = (top + y) / 2;
    y += RACK_GAP;
    return { name: rack.rack, middle };
  });
  return { height: y - RACK_GAP, tops, racks };
}

function drawPanel({ act, frames }: RunRecord, rows: Rows, panel: Panel): string {
  const { left, right, bottom, longestMs } = panel;
  const last = frames.at(-1);
  if (last === undefined) throw new Error('expected a run with frames, found none');
  const x = (ms: number) => left + (ms / longestMs) * (right - left);
  const isFinished = outcomeOf(last).kind === 'finished';
  const tone = isFinished ? 'good' : 'bad';
  const idle = `${formatCount(last.idleGpuSeconds)} of ${formatCount(last.heldGpuSeconds)}`;
  const share = percent(last.idleGpuSeconds, last.heldGpuSeconds);
  return [
    text(left - LABELS, 86, 't', act.title),
    text(left - LABELS, 103, 's', act.subtitle),
    ...rows.racks.map(({ name, middle }) => text(left - LABELS, TOP + middle + 4, 's', name)),
    ...rows.tops.map((top) => rectangle('free', left, TOP + top, x(last.elapsedMs) - left)),
    ...segmentsOf(frames).map((segment) => drawSegment(segment, last, rows, x)),
    drawAxis(panel, x),
    ...(isFinished ? [] : [drawEnd(x(last.elapsedMs), panel, last)]),
    text(left - LABELS, bottom + 48, `n ${tone}`, `${countFinished(last)} of ${last.jobs.length} jobs finished`),
    text(left - LABELS, bottom + 66, `n ${tone}`, `${idle} GPU-seconds held were idle (${share} %)`),
  ].join('\n');
}

function drawSegment(
  { node, job, training, fromMs, toMs }: Segment,
  { jobs }: Frame,
  rows: Rows,
  x: (ms: number) => number,
) {
  const top = TOP + (rows.tops[node] ?? 0);
  const [from, to] = [x(fromMs), x(toMs)];
  const name = colorOf(job);
  const bar = rectangle(training ? name : '', from, top, to - from, training ? '' : ` fill="url(#${name})"`);
  const letter = jobs[job]?.letter ?? '';
  if (to - from < ROW) return bar;
  return bar + text(from + 4, top + 8.5, training ? 'c w' : 'c', training ? letter : letter.toLowerCase());
}

function drawAxis({ left, right, bottom, longestMs }: Panel, x: (ms: number) => number): string {
  const seconds = Array.from({ length: Math.floor(longestMs / 2000) + 1 }, (_, i) => 2 * i);
  const labels = seconds.map((second) => text(x(second * 1000), bottom + 18, 's', `${second} s`));
  const ticks = seconds.map((second) => `M${round(x(second * 1000))} ${bottom + 2}v4`).join('');
  return `<path class="axis" d="M${left} ${bottom + 2}H${round(right)}${ticks}"/>${labels.join('')}`;
}

/** Marks where a run was given up, with the state of its jobs. */
function drawEnd(x: number, { bottom, right }: Panel, { jobs }: Frame): string {
  const line = `<path class="end" d="M${round(x)} ${TOP - 6}V${bottom + 2}"/>`;
  if (right - x < 150) return line;
  const states = jobs.map((job) => {
    const isPart = job.phase === 'holding';
    return `${job.name} ${isPart ? `holds ${job.nodes} of ${job.size}` : describeJob(job)}`;
  });
  const lines = ['given up here:', ...states];
  return line + lines.map((words, i) => text(x + 12, TOP + 84 + i * 18, i === 0 ? 's' : 'n', words)).join('');
}

function drawLegend({ jobs }: Frame, y: number): string {
  const entries = jobs.flatMap(({ name }, job) => [
    { swatch: `class="${colorOf(job)}"`, label: `${name} trains` },
    { swatch: `fill="url(#${colorOf(job)})"`, label: `${name} holds the node, idle` },
  ]);
  let x = MARGIN;
  return [...entries, { swatch: 'class="free"', label: 'free' }]
    .map(({ swatch, label }) => {
      const drawn = `<rect ${swatch} x="${x}" y="${y - 9}" width="18" height="${BAR}" rx="2"/>${text(x + 24, y, 's', label)}`;
      x += 24 + label.length * 6 + 22;
      return drawn;
    })
    .join('');
}

/** The text alternative for screen readers. */
function describe(headline: string, runs: readonly RunRecord[]): string {
  const results = runs.flatMap(({ act, frames }) => {
    const last = frames.at(-1);
    return last === undefined ? [] : [`${act.title}: ${countFinished(last)} of ${last.jobs.length} jobs finished`];
  });
  return [headline, ...results].join('. ');
}

function colorOf(job: number): string {
  return job % 2 === 0 ? 'a' : 'b';
}

function rectangle(className: string, x: number, y: number, width: number, more = ''): string {
  const named = className === '' ? '' : ` class="${className}"`;
  return `<rect${named}${more} x="${round(x)}" y="${y}" width="${round(width)}" height="${BAR}" rx="2"/>`;
}

function text(x: number, y: number, className: string, words: string): string {
  return `<text x="${round(x)}" y="${y}" class="${className}">${escapeXml(words)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
