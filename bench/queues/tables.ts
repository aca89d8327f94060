/** The results as rows with their goals. */
import { type BenchResult, figure, percentile, round } from '../result.ts';
import { type Fate, GRACE_MS, type Outcome, type Window } from './simulation.ts';
import { NODE_GPUS } from './trace.ts';

export const MUSTER = 'Muster';
export const FIFO = 'strict FIFO';
export const PRIVATE = 'private clusters';

export interface Runs {
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** Outcomes of the private clusters, by the variant of Muster that runs them. */
  readonly alone: ReadonlyMap<string, Outcome>;
  /** Nodes by tenant. */
  readonly quotas: ReadonlyMap<string, number>;
  readonly window: Window;
}

/** The sharing anomaly: how much a tenant's p99 delay may exceed that in its private cluster, plus one grace period. */
const MAX_OF_PRIVATE = 1.05;
/** As a share of the mean delay in strict FIFO. */
const MAX_OF_FIFO = 0.7;

export function tabulate(runs: Runs): readonly BenchResult[] {
  const all = new Map([...runs.outcomes, [PRIVATE, runs.alone.get(MUSTER)!]]);
  return [
    ...listDelays(all),
    ...listCompletions(all),
    ...listUtilisations(all, runs),
    ...listEvictions(runs),
    ...listUnfairness(runs),
    ...listTenants(runs),
  ];
}

/** Merges clusters that share nothing into one. */
export function merge(outcomes: readonly Outcome[]): Outcome {
  return {
    fates: new Map(outcomes.flatMap(({ fates }) => [...fates])),
    useful: outcomes.reduce((sum, { useful }) => sum + useful, 0),
    held: outcomes.reduce((sum, { held }) => sum + held, 0),
  };
}

/** Only Muster with known run times has a goal relative to strict FIFO. */
function listDelays(all: ReadonlyMap<string, Outcome>): readonly BenchResult[] {
  const meanOf = (outcome: Outcome) => round(mean(fatesOf(outcome).map(delaySeconds)));
  const fifo = meanOf(all.get(FIFO)!);
  return [...all].flatMap(([policy, outcome]) => {
    const delays = fatesOf(outcome).map(delaySeconds);
    const row = { ...figure(`mean delay, ${policy}`, 's', meanOf(outcome), 'lower'), baseline: fifo };
    const goal = round(MAX_OF_FIFO * fifo);
    const judged = policy === MUSTER ? { ...row, goal, ok: row.value! <= goal } : row;
    return [
      judged,
      {
        ...figure(`delay, ${policy}`, 's', 0, 'lower'),
        value: null,
        p50: round(percentile(delays, 50)),
        p99: round(percentile(delays, 99)),
      },
    ];
  });
}

function listCompletions(all: ReadonlyMap<string, Outcome>): readonly BenchResult[] {
  return [...all].map(([policy, outcome]) =>
    figure(`mean completion time, ${policy}`, 's', mean(fatesOf(outcome).map(completionSeconds)), 'lower'),
  );
}

/** Muster's utilisation against the best of the others, to three digits. */
function listUtilisations(all: ReadonlyMap<string, Outcome>, { quotas, window }: Runs): readonly BenchResult[] {
  const nodes = [...quotas.values()].reduce((sum, each) => sum + each, 0);
  const percent = (gpuMs: number) => round((100 * gpuMs) / (nodes * NODE_GPUS * (window.to - window.from)));
  const others = [...all].filter(([policy]) => !policy.startsWith(MUSTER)).map(([, { useful }]) => percent(useful));
  const best = Math.max(...others);
  return [...all].flatMap(([policy, { useful, held }]) => {
    const row = figure(`utilisation, ${policy}`, '%', percent(useful), 'higher');
    const isMuster = policy.startsWith(MUSTER);
    const judged = policy === MUSTER ? { goal: best, ok: row.value! >= best } : {};
    return [
      { ...row, ...(isMuster && { baseline: best }), ...judged },
      figure(`held, ${policy}`, '%', percent(held), 'higher'),
    ];
  });
}

function listEvictions({ outcomes, alone, quotas, window }: Runs): readonly BenchResult[] {
  const nodes = [...quotas.values()].reduce((sum, each) => sum + each, 0);
  return [...alone.keys()].flatMap((policy) => {
    const fates = fatesOf(outcomes.get(policy)!);
    const evictions = fates.reduce((sum, fate) => sum + fate.evictions, 0);
    const lost = fates.reduce((sum, fate) => sum + fate.lost, 0);
    const capacity = nodes * NODE_GPUS * (window.to - window.from);
    return [
      figure(`evictions, ${policy}`, 'jobs', evictions, 'lower'),
      figure(`work lost to evictions, ${policy}`, '%', (100 * lost) / capacity, 'lower'),
    ];
  });
}

/** Finish-time fairness of the tenant that fares worst. */
function listUnfairness({ outcomes, alone, quotas }: Runs): readonly BenchResult[] {
  return [...outcomes].map(([policy, outcome]) => {
    const own = alone.get(policy) ?? alone.get(MUSTER)!;
    const ratios = [...quotas.keys()].map((tenant) => {
      const timeIn = (one: Outcome) => mean(fatesOf(one, tenant).map(completionSeconds));
      return timeIn(outcome) / timeIn(own);
    });
    return figure(
      `fairness: completion time of the worst tenant, ${policy}`,
      'x private',
      Math.max(...ratios),
      'lower',
    );
  });
}

function listTenants({ outcomes, alone, quotas }: Runs): readonly BenchResult[] {
  const ninetyNinth = (outcome: Outcome, tenant: string) => percentile(fatesOf(outcome, tenant).map(delaySeconds), 99);
  return [...alone].flatMap(([policy, own]) =>
    [...quotas].map(([tenant, nodes]) => {
      const shared = outcomes.get(policy)!;
      const baseline = ninetyNinth(own, tenant);
      const p99 = ninetyNinth(shared, tenant);
      const goal = MAX_OF_PRIVATE * baseline + GRACE_MS / 1000;
      const delays = fatesOf(shared, tenant).map(delaySeconds);
      return {
        ...figure(`delay of ${tenant} (${nodes} nodes, ${delays.length} jobs), ${policy}`, 's', 0, 'lower'),
        value: null,
        p50: round(percentile(delays, 50)),
        p99: round(p99),
        baseline: round(baseline),
        goal: round(goal),
        ok: p99 <= goal,
      };
    }),
  );
}

function fatesOf({ fates }: Outcome, tenant?: string): readonly Fate[] {
  const all = [...fates.values()];
  return tenant === undefined ? all : all.filter(({ job }) => job.tenant === tenant);
}

function delaySeconds({ delayMs }: Fate): number {
  return delayMs / 1000;
}

function completionSeconds({ job, delayMs }: Fate): number {
  return (delayMs + job.durationMs) / 1000;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
