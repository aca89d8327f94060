/** Costs by the size of the cluster, on two logarithmic axes, as an SVG: a line parallel to the dashed one is linear. */

export interface Line {
  readonly name: string;
  /** One for each size. */
  readonly values: readonly number[];
}

export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** What each size would cost if cost grew in proportion, in any unit. */
  readonly proportion: readonly number[];
}

export interface Axis {
  readonly positions: readonly number[];
  readonly names: readonly string[];
}

const WIDTH = 900;
const HEIGHT = 180;
const PANEL = HEIGHT + 75;
const LEFT = 70;
const RIGHT = 330;
const INNER = WIDTH - LEFT - RIGHT;
const COLORS = ['#1f6feb', '#d1481f', '#2a8a3e', '#6f42c1', '#b08800'];

export function drawScale(panels: readonly Panel[], axis: Axis): string {
  const height = panels.length * PANEL + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Costs by the size of the cluster</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...panels.map((panel, i) => drawPanel(panel, axis, i * PANEL + 35)),
    '</svg>\n',
  ].join('\n');
}

function drawPanel(panel: Panel, axis: Axis, top: number): string {
  const values = panel.lines.flatMap((line) => line.values);
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  const ends = [Math.log(axis.positions[0]!), Math.log(axis.positions.at(-1)!)] as const;
  const x = (i: number) => LEFT + (INNER * (Math.log(axis.positions[i]!) - ends[0])) / (ends[1] - ends[0]);
  const y = (value: number) => top + HEIGHT - (HEIGHT * (Math.log10(value) - low)) / (high - low);
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return [
    `<text x="${LEFT}" y="${top - 10}" font-weight="bold">${panel.title}, ${panel.unit}</text>`,
    `<rect x="${LEFT}" y="${top}" width="${INNER}" height="${HEIGHT}" fill="none" stroke="#bbb"/>`,
    ...decades.map((value) => drawDecade(value, y(value))),
    ...axis.names.map((name, i) => `<text x="${x(i)}" y="${top + HEIGHT + 16}" text-anchor="middle">${name}</text>`),
    drawProportion(panel, x, y, top),
    ...panel.lines.map((line, i) => drawLine(line, x, y, COLORS[i]!)),
    ...panel.lines.map(
      ({ name, values: all }, i) =>
        `<text x="${LEFT + INNER + 15}" y="${top + 14 + 30 * i}" fill="${COLORS[i]}">${name}<tspan x="${LEFT + INNER + 15}" dy="13" font-size="11">${all.map(short).join(' · ')}</tspan></text>`,
    ),
  ].join('\n');
}

function drawDecade(value: number, at: number): string {
  return [
    `<line x1="${LEFT}" x2="${LEFT + INNER}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="#eee"/>`,
    `<text x="${LEFT - 6}" y="${(at + 4).toFixed(1)}" text-anchor="end">${value.toLocaleString('en-US')}</text>`,
  ].join('');
}

/** Through the second point of the first line, as far as it is inside the panel. */
function drawProportion(
  { lines, proportion }: Panel,
  x: (i: number) => number,
  y: (value: number) => number,
  top: number,
): string {
  const from = Math.min(1, proportion.length - 1);
  const unit = lines[0]!.values[from]! / proportion[from]!;
  const points = proportion.map((part, i) => [x(i), y(part * unit)] as const);
  const inside = points.filter(([, at]) => at >= top && at <= top + HEIGHT);
  return `<polyline fill="none" stroke="#999" stroke-dasharray="5 4" points="${join(inside)}"/>`;
}

function drawLine({ values }: Line, x: (i: number) => number, y: (value: number) => number, color: string): string {
  const points = values.map((value, i) => [x(i), y(value)] as const);
  return [
    `<polyline fill="none" stroke="${color}" stroke-width="1.5" points="${join(points)}"/>`,
    ...points.map(([cx, cy]) => `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="2.5" fill="${color}"/>`),
  ].join('');
}

function join(points: readonly (readonly [number, number])[]): string {
  return points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
}

function short(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 3 });
}
