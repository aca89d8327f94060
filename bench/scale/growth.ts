/** How a cost grows with the size of the cluster, as the exponent of a power: 0 not at all, 1 in proportion. */

export interface Point {
  readonly size: number;
  readonly value: number;
}

/** The slope of the straight line that fits the points best on two logarithmic axes. */
export function fitExponent(points: readonly Point[]): number {
  const logs = points.map(({ size, value }) => [Math.log(size), Math.log(value)] as const);
  const mean = (axis: 0 | 1) => logs.reduce((sum, point) => sum + point[axis], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = logs.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return logs.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
}

/** The largest exponent between neighbours: a curve that only bends upwards at its end does not hide in the fit. */
export function steepestStep(points: readonly Point[]): number {
  return Math.max(...points.slice(1).map((point, i) => fitExponent([points[i]!, point])));
}
