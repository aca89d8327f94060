/**
 * Three gangs that arrive together, each required to be inside one rack, on the real control plane: with Muster
 * (members gated, as shipped), and with Kubernetes' own topology scheduling (gates GenericWorkload and
 * TopologyAwareWorkloadScheduling, one required level). They take turns on the same nodes, and every turn is checked:
 * each gang is in one rack. Kubernetes' own scheduling needs minutes, because it tries each gang in every rack, pod by
 * pod, before it chooses one; it therefore gets one turn, between two turns of Muster.
 *
 * 5,000 nodes of 16 GPUs in racks of 100, gangs of 1,000 pods of one GPU: a rack of 1,600 GPUs holds one gang, never
 * two. (With a whole node per pod a gang would need ten racks.) The pods of the gangs are created in turns.
 *
 * `--quick`: 500 nodes in racks of 10, 100 pods per gang, no verdict. `--rounds N` (turns of Kubernetes' own), `--nodes
 * N`, `--pods N`, `--rack N` (nodes per rack; a rack must hold one gang).
 */
import { parseArgs } from 'node:util';
import { Arena, type Turn } from './e2e/arena.ts';
import {
  type Contender,
  gangFor,
  MUSTER_GATED,
  NATIVE_TOPOLOGY,
  NATIVE_TOPOLOGY_GATES,
  together,
} from './e2e/contenders.ts';
import { countFrom, cpuRows, eachRound, median, phaseRows, row, writesRow } from './e2e/rows.ts';
import { type BenchResult, type Progress, round, UsageError } from './result.ts';

const GANGS = 3;
const GPUS_A_NODE = 16;
const RACK = 'topology.kubernetes.io/rack';
const TURN_DEADLINE_MS = 900_000;

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { quick, nodes, pods, rack, rounds } = readFlags(flags);
  const order = [MUSTER_GATED, ...Array.from({ length: rounds }, () => [NATIVE_TOPOLOGY, MUSTER_GATED]).flat()];
  const turns = new Map<Contender, Turn[]>(order.map((contender) => [contender, []]));
  progress(`topology-e2e: starting a control plane with ${nodes} nodes`);
  const arena = await Arena.open({
    nodes: { count: nodes, gpus: GPUS_A_NODE, labels: (index) => ({ [RACK]: rackOf(index, rack) }) },
    featureGates: NATIVE_TOPOLOGY_GATES,
    muster: { topology: { levels: [{ name: 'rack', label: RACK }] } },
    turnDeadlineMs: TURN_DEADLINE_MS,
  });
  let last = 'none yet';
  try {
    for (const [i, contender] of order.entries()) {
      progress(`topology-e2e: turn ${i + 1} of ${order.length}: ${contender.name} (last: ${last})`);
      const gangs = gangNames(i);
      const turn = await arena.race(
        contender,
        together(gangs.map((name) => gangFor(contender, { name, size: pods, gpus: 1, rackKey: RACK }))),
      );
      for (const gang of gangs) checkOneRack(contender, turn, gang, rack);
      turns.get(contender)!.push(turn);
      last = `${contender.name}, bound after ${(turn.lastBoundMs / 1000).toFixed(1)} s`;
    }
  } finally {
    await arena.close();
  }
  const native = median(turns.get(NATIVE_TOPOLOGY)!, ({ lastBoundMs }) => lastBoundMs) / 1000;
  return [...turns].flatMap(([contender, own]) => describe(contender, own, native, !quick));
}

/** @param isFull false for a short run, which shows that everything works but is too short for a verdict. */
function describe(
  contender: Contender,
  turns: readonly Turn[],
  native: number,
  isFull: boolean,
): readonly BenchResult[] {
  const label = `${GANGS} gangs, a rack each: ${contender.name}`;
  const whole = median(turns, ({ lastBoundMs }) => lastBoundMs) / 1000;
  const goal = contender.muster && isFull ? round(native) : null;
  return [
    {
      ...row(`${label} (${eachRound(turns)})`, 's', whole, 'lower'),
      baseline: contender === NATIVE_TOPOLOGY ? null : round(native),
      goal,
      ok: goal === null ? null : whole <= native,
    },
    ...phaseRows(label, 'them', turns),
    row(`${label}: nodes a gang`, 'nodes', median(turns, nodesAGang), 'lower'),
    row(`${label}: neighbour ranks on one node`, '%', median(turns, neighboursTogether), 'higher'),
    writesRow(label, turns),
    ...cpuRows(label, contender, turns),
  ];
}

/** @throws Error unless all pods of the gang are in the same rack. */
function checkOneRack({ name }: Contender, { nodeOf }: Turn, gang: string, rackSize: number): void {
  const nodes = [...nodeOf].filter(([pod]) => gangOf(pod) === gang).map(([, node]) => node);
  const racks = new Set(nodes.map((node) => rackOf(numberOf(node), rackSize)));
  if (racks.size !== 1) {
    throw new Error(`expected ${name} to place ${gang} in one rack, found it in ${[...racks].sort().join(', ')}`);
  }
}

function nodesAGang({ nodeOf }: Turn): number {
  const places = new Set([...nodeOf].map(([pod, node]) => `${gangOf(pod)} ${node}`));
  return places.size / GANGS;
}

/** The percentage of pairs of pods with consecutive ranks that share a node. */
function neighboursTogether({ nodeOf }: Turn): number {
  let pairs = 0;
  let shared = 0;
  for (const [pod, node] of nodeOf) {
    const next = nodeOf.get(`${gangOf(pod)}-${numberOf(pod) + 1}`);
    if (next === undefined) continue;
    pairs++;
    if (next === node) shared++;
  }
  return (100 * shared) / pairs;
}

function gangNames(turn: number): readonly string[] {
  return Array.from({ length: GANGS }, (_, i) => `gang-${turn}-${i}`);
}

function rackOf(node: number, rackSize: number): string {
  return `rack-${Math.floor(node / rackSize)}`;
}

/** Pods are named `<gang>-<rank>`. */
function gangOf(pod: string): string {
  return pod.slice(0, pod.lastIndexOf('-'));
}

/** The rank of a pod, or the position of a node along the racks. */
function numberOf(name: string): number {
  return Number(name.slice(name.lastIndexOf('-') + 1));
}

function readFlags(flags: readonly string[]) {
  const { values } = parseArgs({
    args: [...flags],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      nodes: { type: 'string' },
      pods: { type: 'string' },
      rack: { type: 'string' },
    },
  });
  const size = values.quick
    ? { nodes: 500, pods: 100, rack: 10, rounds: 1 }
    : { nodes: 5_000, pods: 1_000, rack: 100, rounds: 1 };
  const read = {
    quick: values.quick,
    nodes: countFrom('nodes', values.nodes, size.nodes),
    pods: countFrom('pods', values.pods, size.pods),
    rack: countFrom('rack', values.rack, size.rack),
    rounds: countFrom('rounds', values.rounds, size.rounds),
  };
  if (read.pods > read.rack * GPUS_A_NODE || read.nodes < GANGS * read.rack) {
    throw new UsageError(
      `expected --rack to hold a gang and --nodes to make ${GANGS} racks, found ${read.pods} pods a gang, ` +
        `racks of ${read.rack} nodes with ${GPUS_A_NODE} GPUs each, and ${read.nodes} nodes`,
    );
  }
  return read;
}
