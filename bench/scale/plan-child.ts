/** Plans gangs on a cluster of so many nodes, in a process of its own: `plan-child.ts NODES` prints milliseconds as JSON. */
import { aGang, members } from '../../test/support/gangs.ts';
import { measurePlan } from '../plan.ts';
import { percentile } from '../result.ts';
import type { PlanCase } from '../scenarios/gangs.ts';

/** Medians. */
export interface Plans {
  readonly small: number;
  readonly smallNewTemplate: number;
  readonly smallNodesChanged: number;
  /** A fifth of the nodes, each with one member. */
  readonly large: number;
  readonly largeNodesChanged: number;
}

const SMALL = 64;
const ITERATIONS = 40;
const WARM_UP = 15;

const nodes = Number(process.argv[2]);
const measure = (count: number, cold: PlanCase['cold']) => {
  const gang = aGang(members(count, { gpus: 8, cpu: 32, memory: 128 }));
  return percentile(measurePlan({ gang, places: count, cold }, ITERATIONS, { nodes, warmUp: WARM_UP }), 50);
};
const plans: Plans = {
  small: measure(SMALL, 'nothing'),
  smallNewTemplate: measure(SMALL, 'template'),
  smallNodesChanged: measure(SMALL, 'nodes'),
  large: measure(nodes / 5, 'nothing'),
  largeNodesChanged: measure(nodes / 5, 'nodes'),
};
console.log(JSON.stringify(plans));
