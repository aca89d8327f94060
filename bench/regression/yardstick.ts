/**
 * What this machine computes in a moment, so that times become ratios which another machine can be compared with: a
 * round reads JSON, sorts numbers and fills a map, as Muster does all day. It must never change, or the kept ratios
 * mean nothing.
 */
import { percentile } from '../result.ts';

const OBJECTS = 300;
const NUMBERS = 4_000;
/** A round takes one or two milliseconds, so most rounds are not interrupted by what else runs. */
const ROUNDS = 150;
/** V8 has optimized a round by then. */
const WARM_UP = 100;

const text = JSON.stringify(
  Array.from({ length: OBJECTS }, (_, i) => ({
    metadata: { name: `pod-${i}`, namespace: `team-${i % 7}`, labels: { app: `app-${i % 11}`, index: String(i) } },
    spec: { nodeName: `node-${(i * 37) % 5_000}`, containers: [{ name: 'main', requests: { cpu: 4, memory: i } }] },
  })),
);

/** Milliseconds of one round: the median. */
export function readYardstick(): number {
  const samples: number[] = [];
  for (let i = 0; i < ROUNDS + WARM_UP; i++) {
    const start = performance.now();
    compute();
    if (i >= WARM_UP) samples.push(performance.now() - start);
  }
  return percentile(samples, 50);
}

function compute(): void {
  const objects = JSON.parse(text) as readonly { readonly metadata: { readonly name: string } }[];
  const byName = new Map(objects.map((object, i) => [object.metadata.name, i]));
  const numbers = Float64Array.from({ length: NUMBERS }, (_, i) => (i * 7_919) % 10_007);
  numbers.sort();
  if (byName.size !== OBJECTS || numbers[0] !== 0)
    throw new Error('expected the yardstick to compute what it always does');
}
