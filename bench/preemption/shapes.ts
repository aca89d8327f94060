/** Scratch: hostile shapes of victim search. */
import { NodeTable } from '../../src/cluster/node-table.ts';
import type { PodModel } from '../../src/core/objects/model.ts';
import type { GangRequest, PlanPolicy } from '../../src/core/placement/gang-request.ts';
import { planGang } from '../../src/core/placement/plan.ts';
import { describeGang, gangKey } from '../../src/core/podgroup/gang.ts';
import type { RunningGang } from '../../src/core/preemption/candidates.ts';
import { planPreemption } from '../../src/core/preemption/preemption.ts';
import v8 from 'node:v8';
import { QuestionWriter } from '../../src/core/transport/question-writer.ts';
import type { Message } from '../../src/core/transport/messages.ts';
import { estimateWork, findVictims, proposalOf } from '../../src/core/reclaim/victim-question.ts';
import { confirmProposal } from '../../src/core/reclaim/confirm-victims.ts';
import { planStart } from '../../src/core/backfill/start-planner.ts';
import { aGangSources, aNode, aPod, aTemplate, GPU } from '../../test/support/builders.ts';
import { aGang, members } from '../../test/support/gangs.ts';

const NODES = Number(process.env.NODES ?? 5000);
const NOW = 1_700_000_000_000;
const LEVELS = ['block', 'rack', 'host'].map((name) => ({ name, label: name==='host'?'kubernetes.io/hostname':`example.com/${name}` }));
const policy: PlanPolicy = { isAccelerator: (r) => r === GPU, score: 'best-fit' };

function cluster({ size, gpus, lone = false, elastic = false, exclusive = '' }: { size: number; gpus: number; lone?: boolean; elastic?: boolean; exclusive?: string }) {
  const table = new NodeTable(LEVELS);
  for (let i = 0; i < NODES; i++) {
    const name = `n${String(i).padStart(4, '0')}`;
    table.applyNode(aNode({ name, labels: { 'example.com/block': `b${Math.floor(i / 1000)}`, 'example.com/rack': `r${Math.floor(i / 20)}`, 'kubernetes.io/hostname': name } }));
  }
  const template = aTemplate({ gpus, cpu: gpus, memory: gpus });
  const running: RunningGang[] = [];
  const perNode = 8 / gpus;
  const total = NODES * perNode;
  let seed = 7;
  const rnd = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let at = 0, g = 0; at < total; g++) {
    const pods: PodModel[] = [];
    const annotations: Record<string, string> = { 'muster.dev/min-members': String(elastic ? 1 : size) };
    if (elastic) annotations['muster.dev/max-members'] = String(size);
    if (exclusive && g % 10 === 0) annotations['muster.dev/topology-exclusive'] = exclusive;
    const priority = [0, 100, 200][rnd(3)]!;
    const startedAt = NOW - rnd(500_000) * 1000;
    for (let i = 0; i < size && at < total; i++, at++) {
      pods.push(aPod({ name: `g${g}-${i}`, nodeName: `n${String(Math.floor(at / perNode)).padStart(4, '0')}`, template, priority, startedAt, createdAt: startedAt, labels: lone ? {} : { 'muster.dev/pod-group': `g${g}` }, annotations: lone ? {} : annotations }));
    }
    for (const pod of pods) table.addPod(pod);
    if (!lone) running.push({ gang: describeGang(gangKey('default', `g${g}`), aGangSources(pods)), bound: pods });
  }
  table.snapshot();
  return { table, running };
}

const whole = { gpus: 8, cpu: 8, memory: 8 };
const kinds = (n: number, each: number) => Array.from({ length: n }, (_, k) => members(each, { gpus: [8, 4, 2, 1][k % 4]!, cpu: 1 + k, memory: 1 })).flat().map((m, i) => ({ ...m, uid: `m-${i}`, name: `m-${i}`, rank: i }));
const P = { priority: 1000 };
const preemptors: Record<string, GangRequest> = {
  '64 exclusive rack, required block': aGang(members(64, whole), { ...P, topology: { required: 'block', exclusive: 'rack' } }),
  '64 exclusive block required block': aGang(members(64, whole), { ...P, topology: { required: 'block', exclusive: 'block' } }),
  '16 exclusive rack, required rack': aGang(members(16, whole), { ...P, topology: { required: 'rack', exclusive: 'rack' } }),
  '64 exclusive host': aGang(members(64, whole), { ...P, topology: { exclusive: 'host' } }),
  '64 exclusive rack': aGang(members(64, whole), { ...P, topology: { exclusive: 'rack' } }),
  '1000': aGang(members(1000, whole), P),
  '5000': aGang(members(5000, whole), P),
  '40000 of 1 gpu': aGang(members(40000, { gpus: 1, cpu: 1, memory: 1 }), P),
  '1000 required block slices 16 rack': aGang(members(1000, whole), { ...P, topology: { required: 'block', slice: { size: 16, level: 'rack' } } }),
  'launcher + 63': aGang(kinds(1, 1).concat(members(63, { gpus: 4, cpu: 2 })).map((m, i) => ({ ...m, uid: `m-${i}`, name: `m-${i}`, rank: i })), P),
  '8 kinds x 8': aGang(kinds(8, 8), P),
  '8 kinds x 8 required rack': aGang(kinds(8, 8), { ...P, topology: { required: 'rack' } }),
  '16 kinds x 60 block': aGang(kinds(16, 60), { ...P, topology: { required: 'block' } }),
  '4 kinds x 16 slices of 8 in rack, block': aGang(kinds(4, 16), { ...P, topology: { required: 'block', slice: { size: 8, level: 'rack' } } }),
  'leader+7 required host': aGang(kinds(2, 4), { ...P, topology: { required: 'host' } }),
};
const clusters: Record<string, Parameters<typeof cluster>[0]> = {
  'gangs of 5 nodes': { size: 5, gpus: 8 },
  'gangs of 1 gpu pods x4': { size: 4, gpus: 1 },
  'one-pod gangs': { size: 1, gpus: 8 },
  'elastic 16': { size: 16, gpus: 8, elastic: true },
  'elastic 16 x 1gpu': { size: 16, gpus: 1, elastic: true },
  'lone 1 gpu': { size: 1, gpus: 1, lone: true },
  'exclusive rack 1 in 10, 5': { size: 5, gpus: 8, exclusive: 'rack' },
  'huge gangs 1000': { size: 1000, gpus: 8 },
};
let writer = new QuestionWriter();
const only = process.argv[2] ?? '';
const onlyP = process.argv[3] ?? '';
for (const [cname, shape] of Object.entries(clusters)) {
  if (!cname.includes(only)) continue;
  const { table, running } = cluster(shape);
  writer = new QuestionWriter();
  for (const [name, gang] of Object.entries(preemptors)) {
    if (!name.includes(onlyP)) continue;
    const snapshot = table.snapshot();
    for (const member of gang.members) snapshot.verdicts.of(member.template);
    const t = performance.now();
    planGang(snapshot, gang, policy, NOW);
    const planned = performance.now() - t;
    const runs: number[] = [];
    let line = '';
    for (let i = 0; i < Number(process.env.RUNS ?? 1); i++) {
      const cpu = () => process.threadCpuUsage().user / 1000;
      const start = cpu();
      if (process.env.KIND === 'thread') {
        const q = { snapshot, gang, running, budgets: [], barred: new Set<string>(), departures: () => new Map(), claim: undefined, isQuotaFull: false, othersLeave: false, now: NOW };
        let t0 = cpu();
        const work = estimateWork(q);
        const estimate = cpu() - t0;
        t0 = cpu();
        const free = snapshot.free.map((c) => c.slice()); snapshot.allocatable.map((c) => c.slice()); snapshot.podsOn.slice();
        const copy = cpu() - t0;
        let max = 0; let sum = 0; let n = 0; let bytes = 0;
        let it: Iterator<Message> | undefined;
        let gen = 0;
        for (;;) {
          t0 = cpu();
          it ??= writer.write(q);
          const g0 = cpu();
          const { done, value } = it.next();
          const g = cpu() - g0;
          if (done) break;
          const msg = v8.serialize(value);
          const took = cpu() - t0;
          gen = Math.max(gen, g);
          if (process.env.CHECK) reader.read(structuredClone(value));
          bytes += msg.length; max = Math.max(max, took); sum += took; n++;
        }
        t0 = cpu();
        const answer = process.env.PROPOSE ? proposalOf(findVictims(q, policy)) : undefined;
        t0 = cpu();
        const confirmed = answer && confirmProposal(q, answer, policy);
        line = `work ${work} estimate ${estimate.toFixed(1)} copy ${copy.toFixed(1)} ms, ${n} messages ${(bytes / 1e6).toFixed(1)} MB, turn max ${max.toFixed(1)} sum ${sum.toFixed(0)} ms, generator max ${gen.toFixed(1)}; confirm ${answer?.kind} ${confirmed?.kind} ${(cpu() - t0).toFixed(0)} ms`;
      } else if (process.env.KIND === 'start') {
        const endings = running.map(({ gang: g, bound }, j) => ({ gang: g.key, name: g.key, pods: bound, endsAt: process.env.UNKNOWN && j % 2 ? Infinity : NOW + 1000 * (1 + (j * 7919) % 10007), startedAt: NOW - j }) as never);
        const found = planStart(snapshot, { request: gang, lengthMs: 3600_000, endings, earlier: [] }, policy, NOW);
        line = found ? `start +${(found.startsAt - NOW) / 1000}s` : 'none';
      } else {
        const found = planPreemption(snapshot, { gang, running, budgets: [], barred: new Set() }, policy, NOW);
        line = found.kind === 'preempt' ? `${found.victims.length} victims, lost ${found.lostWork}` : found.kind;
      }
      runs.push(cpu() - start);
      if (process.env.KIND === "thread") console.log(line);
    }
    console.log(`${cname.padEnd(28)} ${name.padEnd(42)} plan ${planned.toFixed(0).padStart(5)} ms   ${runs.map((r) => r.toFixed(0).padStart(6)).join(' ')} ms   ${line}`);
  }
}
