/** The course of the soak as an SVG: one panel for each group of figures, over the same time. */
import type { Sample } from './sample.ts';

interface Panel {
  readonly title: string;
  readonly lines: readonly { readonly name: string; readonly of: (sample: Sample) => number }[];
}

const PANELS: readonly Panel[] = [
  {
    title: 'memory of Muster, MB',
    lines: [
      { name: 'RSS', of: ({ rssMb }) => rssMb },
      { name: 'heap used', of: ({ heapMb }) => heapMb },
    ],
  },
  {
    title: 'latency, ms',
    lines: [
      { name: 'filter, mean', of: ({ filterMs }) => filterMs },
      { name: 'cycle, mean', of: ({ cycleMs }) => cycleMs },
    ],
  },
  { title: 'event-loop lag, p99 of 10 s, ms', lines: [{ name: 'lag', of: ({ lagP99Ms }) => lagP99Ms }] },
  {
    title: 'gangs that Muster knows',
    lines: [
      { name: 'all', of: ({ gangs }) => gangs },
      { name: 'waiting', of: ({ waitingGangs }) => waitingGangs },
    ],
  },
  {
    title: 'on their way to a node',
    lines: [
      { name: 'reservations', of: ({ reservations }) => reservations },
      { name: 'nominations', of: ({ nominations }) => nominations },
      { name: 'gates', of: ({ gates }) => gates },
    ],
  },
  { title: 'Events in the API server', lines: [{ name: 'Events', of: ({ events }) => events }] },
];

const WIDTH = 900;
const HEIGHT = 110;
const LEFT = 70;
const COLORS = ['#1f6feb', '#d1481f', '#2a8a3e'];

export function drawCourse(samples: readonly Sample[]): string {
  const end = samples.at(-1)?.minutes ?? 1;
  const x = (minutes: number) => LEFT + ((WIDTH - LEFT - 10) * minutes) / end;
  const panels = PANELS.map((panel, i) => drawPanel(panel, samples, x, i * (HEIGHT + 40) + 30));
  const height = PANELS.length * (HEIGHT + 40) + 20;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>The course of the soak</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...panels,
    ...[0, 0.25, 0.5, 0.75, 1].map(
      (part) =>
        `<text x="${x(part * end)}" y="${height - 5}" text-anchor="middle">${Math.round(part * end)} min</text>`,
    ),
    '</svg>\n',
  ].join('\n');
}

function drawPanel(panel: Panel, samples: readonly Sample[], x: (minutes: number) => number, top: number): string {
  const top99 = Math.max(1e-9, ...panel.lines.flatMap(({ of }) => samples.map(of)));
  const y = (value: number) => top + HEIGHT - (HEIGHT * value) / top99;
  const lines = panel.lines.map(({ of }, i) => {
    const points = samples.map((sample) => `${x(sample.minutes).toFixed(1)},${y(of(sample)).toFixed(1)}`).join(' ');
    return `<polyline fill="none" stroke="${COLORS[i]}" stroke-width="1" points="${points}"/>`;
  });
  const names = panel.lines.map(({ name }, i) => `<tspan fill="${COLORS[i]}" dx="12">${name}</tspan>`).join('');
  return [
    `<text x="${LEFT}" y="${top - 8}">${panel.title}${names}</text>`,
    `<rect x="${LEFT}" y="${top}" width="${WIDTH - LEFT - 10}" height="${HEIGHT}" fill="none" stroke="#bbb"/>`,
    `<text x="${LEFT - 6}" y="${top + 10}" text-anchor="end">${Number(top99.toPrecision(3))}</text>`,
    `<text x="${LEFT - 6}" y="${top + HEIGHT}" text-anchor="end">0</text>`,
    ...lines,
  ].join('\n');
}
