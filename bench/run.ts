/**
 * `npm run bench -- <name> [flags]`: runs one benchmark, prints its table and, without flags, writes it to
 * bench/results. Exits with 1 when a goal is missed and with 2 when the benchmark does not exist.
 */
import { describeMachine, measureForeignLoad } from './machine.ts';
import { type Benchmark, readResults, renderTable, UsageError, writeResults } from './result.ts';

const benchmarks: Readonly<Record<string, { readonly about: string; readonly load: () => Promise<Benchmark> }>> = {
  plan: { about: 'planning one gang on 5,000 nodes, in process', load: () => import('./plan.ts') },
  filter: { about: 'filter calls over HTTP, against a bare node:http echo', load: () => import('./filter.ts') },
  topology: { about: 'planning gangs on a fabric of four levels, in process', load: () => import('./topology.ts') },
  preemption: { about: 'choosing whom to evict for a gang of 512, in process', load: () => import('./preemption.ts') },
  hostile: { about: 'the longest stall that a tenant can cause, in process', load: () => import('./hostile.ts') },
  many: {
    about: 'many members, gangs, shapes and queues: CPU of cycles, and how it grows',
    load: () => import('./many.ts'),
  },
  regression: {
    about: 'whether it became slower: ratios inside one run, --check against those kept',
    load: () => import('./regression.ts'),
  },
  'fill-drain': {
    about: 'gangs that come and go: what stays whole, in virtual time',
    load: () => import('./fill-drain.ts'),
  },
  queues: { about: 'a week of jobs of eleven tenants, in virtual time', load: () => import('./queues.ts') },
  traces: { about: 'published traces through a whole Muster, in virtual time', load: () => import('./traces.ts') },
  recover: { about: 'starting in a cluster of 5,000 nodes and 50,000 pods', load: () => import('./recover.ts') },
  scale: { about: 'plan, start and steady state from 1,000 nodes to 100,000', load: () => import('./scale.ts') },
  'load-http': { about: 'a whole Muster under load, or any with --url', load: () => import('./load-http.ts') },
  fuzz: { about: 'a million broken and hostile inputs', load: () => import('./fuzz.ts') },
  interleavings: { about: 'every order in which a small world can go', load: () => import('./interleavings.ts') },
  mutations: { about: 'one guard after the other taken out', load: () => import('./mutations.ts') },
  e2e: { about: 'a gang on the real control plane, against kube-scheduler itself', load: () => import('./e2e.ts') },
  contenders: { about: 'the same gangs with the gang schedulers of others', load: () => import('./contenders.ts') },
  'topology-e2e': { about: "gangs in one rack each, against Kubernetes' own", load: () => import('./topology-e2e.ts') },
  'preemption-e2e': {
    about: "whom a gang evicts in a full cluster, against Kubernetes' own",
    load: () => import('./preemption-e2e.ts'),
  },
  faults: {
    about: 'every program killed and frozen, bad connections: what stays true',
    load: () => import('./faults.ts'),
  },
  soak: { about: 'an hour of churn on 1,000 nodes: what grows', load: () => import('./soak.ts') },
};

const [name = '', ...flags] = process.argv.slice(2);
const chosen = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
if (chosen === undefined) {
  const list = Object.entries(benchmarks).map(([known, { about }]) => `  ${known.padEnd(16)}${about}`);
  const found = name === '' ? 'none' : `"${name}"`;
  console.error([`expected the name of a benchmark, found ${found}; there are:`, ...list].join('\n'));
  process.exit(2);
}

const showsProgress = process.stderr.isTTY;
const loadBefore = await measureForeignLoad();
const start = performance.now();
const { run } = await chosen.load();
/** Without a terminal one line a minute: a log of a run of an hour shows where it is. */
const LINE_EVERY_MS = 60_000;
let lineAt = start + LINE_EVERY_MS;
const report = (text: string) => {
  if (showsProgress) process.stderr.write(`\r\x1b[K${text}`);
  else if (performance.now() >= lineAt) {
    lineAt = performance.now() + LINE_EVERY_MS;
    process.stderr.write(`${text}\n`);
  }
};
const results = await run(report, flags).catch((error: unknown) => {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exit(2);
});
if (showsProgress) process.stderr.write('\r\x1b[K');
const seconds = Math.round((performance.now() - start) / 1000);
const loadAfter = await measureForeignLoad();
// A run with flags answers a special question; only figures of the unchanged benchmark are kept.
const isKept = flags.length === 0;
const before = readResults(name);
if (isKept) writeResults(name, results);
console.log(`${renderTable(results, before)}

${describeMachine()}; ${seconds} s; others kept ${loadBefore} % of it busy before and ${loadAfter} % after
${isKept ? `written to bench/results/${name}.json` : 'not written to bench/results: a run with flags'}`);
if (results.some(({ ok }) => ok === false)) process.exitCode = 1;
