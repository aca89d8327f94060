/** What there may be many of: each case is played with a number of them, and with four times as many. */
import { aRawPod } from '../../test/support/builders.ts';
import { nodeAt, Stage, type Work } from './stage.ts';

const GPUS_PER_NODE = 8;
const GATE = 'muster.dev/gang';
/** Of what runs and is never evicted. */
const HIGH_PRIORITY = 1_000_000;
/** How often something happens that wakes Muster, and how long it may think about it, milliseconds. */
const EVENTS = 20;
const EVENT_MS = 2_000;
/** Back-offs and planned starts are under way by then. */
const REST_MS = 60_000;

/** What a case cost; CPU times in milliseconds. */
export interface Cost {
  readonly cyclesMs: number;
  readonly watchMs: number;
  readonly longestCycleMs: number;
  readonly cycles: number;
  readonly plans: number;
  /** Pods that were bound, or events that happened: what the time is divided by. */
  readonly units: number;
}

export interface Case {
  readonly name: string;
  /** The larger number; the smaller is a quarter of it. */
  readonly most: number;
  /** What a unit is. */
  readonly unit: 'pod' | 'event';
  readonly play: (many: number) => Promise<Cost>;
}

export const cases: readonly Case[] = [
  { name: 'members of one gang that starts', most: 10_000, unit: 'pod', play: (many) => start(1, many) },
  { name: 'gangs of 20 that start', most: 500, unit: 'pod', play: (many) => start(many, 20) },
  { name: 'gangs that run while one of 500 starts', most: 4_000, unit: 'pod', play: startBeside },
  {
    name: 'gangs that wait, all alike, and one of them changes',
    most: 4_000,
    unit: 'event',
    play: (many) => wait(many, touch),
  },
  {
    name: 'gangs that wait, all alike, and a GPU is freed',
    most: 4_000,
    unit: 'event',
    play: (many) => wait(many, free),
  },
  { name: 'gangs that wait, each of another shape, and a GPU is freed', most: 500, unit: 'event', play: waitInShapes },
  {
    name: 'queues without guarantees with 5 waiting gangs each, and a GPU is freed',
    most: 200,
    unit: 'event',
    play: waitInQueues,
  },
];

/** Gangs of one-GPU members, gated as shipped, come to nodes that just hold them. */
async function start(gangs: number, members: number): Promise<Cost> {
  const pods = gangs * members;
  const stage = new Stage(Math.ceil(pods / GPUS_PER_NODE));
  await stage.pass(1_000);
  stage.takeWork();
  for (let i = 0; i < gangs; i++) createGang(stage, `gang-${i}`, members);
  await stage.pass(3_600_000, () => stage.bound >= pods);
  expectBound(stage, pods);
  return costOf(stage.takeWork(), pods);
}

async function startBeside(running: number): Promise<Cost> {
  const members = 500;
  const stage = new Stage(Math.ceil((running + members) / GPUS_PER_NODE));
  for (let i = 0; i < running; i++)
    stage.create('Pod', runningPod(`run-${i}`, nodeAt(Math.floor(i / GPUS_PER_NODE)), 1, `run-${i}`));
  await stage.pass(REST_MS);
  stage.takeWork();
  createGang(stage, 'gang', members);
  await stage.pass(3_600_000, () => stage.bound >= members);
  expectBound(stage, members);
  return costOf(stage.takeWork(), members);
}

/** Waiting gangs of four nodes each, while others keep the whole cluster. */
async function wait(gangs: number, event: (stage: Stage, i: number) => void): Promise<Cost> {
  const stage = await fullStage(0);
  for (let i = 0; i < gangs; i++) {
    for (let rank = 0; rank < 4; rank++) stage.create('Pod', member(`gang-${i}`, rank, 4, { gpus: 8 }));
  }
  return await wake(stage, gangs, event);
}

function touch(stage: Stage, i: number): void {
  stage.update('Pod', 'default/gang-0-0', ({ metadata }) => {
    metadata.annotations = { ...metadata.annotations, 'example.com/touched': String(i) };
  });
}

function free(stage: Stage, i: number): void {
  stage.delete('Pod', `default/filler-${i}`);
}

/** Shapes differ in members, in GPUs of a member and in priority. None of them fits into what is freed. */
async function waitInShapes(gangs: number): Promise<Cost> {
  const stage = await fullStage(0);
  for (let i = 0; i < gangs; i++) {
    const size = EVENTS + 1 + (i % 10);
    const gpus = [1, 2, 4, 8][Math.floor(i / 10) % 4]!;
    const priority = Math.floor(i / 40);
    for (let rank = 0; rank < size; rank++) stage.create('Pod', member(`gang-${i}`, rank, size, { gpus, priority }));
  }
  return await wake(stage, gangs, free);
}

async function waitInQueues(queues: number): Promise<Cost> {
  const stage = await fullStage(queues);
  const each = 5;
  for (let i = 0; i < queues * each; i++) {
    const namespace = `q${i % queues}`;
    for (let rank = 0; rank < 2; rank++) stage.create('Pod', member(`gang-${i}`, rank, 2, { gpus: 8, namespace }));
  }
  return await wake(stage, queues * each, free);
}

/** 256 nodes on which lone pods have a GPU each, and gangs of one the others, each in one of the queues. */
async function fullStage(queues: number): Promise<Stage> {
  const nodes = 256;
  const stage = new Stage(nodes, queues);
  for (let i = 0; i < nodes; i++) {
    stage.create('Pod', runningPod(`filler-${i}`, nodeAt(i), 1));
    const namespace = queues === 0 ? 'default' : `q${i % queues}`;
    stage.create('Pod', runningPod(`run-${i}`, nodeAt(i), GPUS_PER_NODE - 1, `run-${i}`, namespace));
  }
  await stage.pass(1_000);
  return stage;
}

async function wake(stage: Stage, gangs: number, event: (stage: Stage, i: number) => void): Promise<Cost> {
  await stage.pass(REST_MS);
  const { Pending = 0 } = stage.states();
  if (Pending !== gangs) throw new Error(`expected ${gangs} waiting gangs, found ${JSON.stringify(stage.states())}`);
  stage.takeWork();
  for (let i = 0; i < EVENTS; i++) {
    event(stage, i);
    await stage.pass(EVENT_MS);
  }
  return costOf(stage.takeWork(), EVENTS);
}

function expectBound(stage: Stage, pods: number): void {
  if (stage.bound !== pods)
    throw new Error(`expected ${pods} bound pods, found ${stage.bound}: ${JSON.stringify(stage.states())}`);
}

function costOf(work: Work, units: number): Cost {
  const { cycles, cyclesMs, longestCycleMs, watchMs, plans } = work;
  return { cycles, cyclesMs, longestCycleMs, watchMs, plans, units };
}

/** A Job and its pods, as fast as the API server takes them. */
function createGang(stage: Stage, name: string, members: number): void {
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name, uid: `uid-of-${name}`, controller: true };
  const labels = { 'muster.dev/pod-group': name };
  stage.create('Job', {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'default', uid: owner.uid, creationTimestamp: '2025-12-31T00:00:00Z' },
    spec: { parallelism: members, completions: members, completionMode: 'Indexed', template: { metadata: { labels } } },
    status: {},
  });
  for (let rank = 0; rank < members; rank++) {
    stage.createInTurn('Pod', member(name, rank, members, { gpus: 1, owner }));
  }
}

interface MemberOptions {
  readonly gpus: number;
  readonly namespace?: string;
  readonly priority?: number;
  readonly owner?: object;
}

function member(gang: string, rank: number, size: number, options: MemberOptions): object {
  const { gpus, namespace = 'default', priority = 0, owner } = options;
  const name = `${gang}-${rank}`;
  return aRawPod({
    name,
    namespace,
    gpus,
    priority,
    labels: {
      'muster.dev/pod-group': gang,
      'batch.kubernetes.io/job-name': gang,
      'batch.kubernetes.io/job-completion-index': String(rank),
    },
    annotations: { 'muster.dev/min-members': String(size) },
    metadata: {
      uid: `uid-of-${namespace}/${name}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...(owner && { ownerReferences: [owner] }),
    },
    spec: { schedulingGates: [{ name: GATE }] },
  });
}

function runningPod(name: string, node: string, gpus: number, gang?: string, namespace = 'default'): object {
  return aRawPod({
    name,
    namespace,
    gpus,
    nodeName: node,
    priority: HIGH_PRIORITY,
    labels: gang === undefined ? {} : { 'muster.dev/pod-group': gang },
    annotations: gang === undefined ? {} : { 'muster.dev/min-members': '1' },
    status: { phase: 'Running', startTime: '2026-01-01T00:00:00Z' },
  });
}
