/** All that `muster doctor` judges: facts in, findings out. */
import { type Fact, type Finding, judge, sortFindings } from './finding.ts';
import {
  checkPolicies,
  checkRights,
  checkService,
  type ReviewedRight,
  type RunningService,
  type SeenPolicies,
} from './installation.ts';
import { checkSchedulerConfiguration, type MusterSettings, type SchedulerConfiguration } from './scheduler-config.ts';
import { checkWorkloads, type SeenWorkloads } from './workloads.ts';

export interface SeenScheduler {
  /** Where it was read. */
  readonly about: string;
  readonly config: SchedulerConfiguration;
}

export interface DoctorFacts {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Muster's service account, `namespace/name`. */
  readonly account: string;
  /** Where Muster was asked. */
  readonly serviceAbout: string;
  readonly settings: Fact<MusterSettings>;
  /** What counts where the settings are unknown. */
  readonly defaults: MusterSettings;
  readonly schedulers: readonly Fact<SeenScheduler>[];
  readonly rights: Fact<readonly ReviewedRight[]>;
  readonly policies: Fact<SeenPolicies>;
  /** Of Muster's configuration; undefined: it is not known. */
  readonly webhookPort: number | undefined;
  readonly workloads: Fact<SeenWorkloads>;
  readonly service: Fact<RunningService>;
}

/** Errors first. */
export function diagnose(facts: DoctorFacts): readonly Finding[] {
  const settings = facts.settings.kind === 'known' ? facts.settings.value : facts.defaults;
  return sortFindings([
    ...judge(facts.settings, () => []),
    ...judgeSchedulers(facts.schedulers, settings),
    ...judge(facts.rights, (rights) => checkRights(rights, facts.account)),
    ...judge(facts.policies, (policies) => checkPolicies(policies, facts.webhookPort)),
    ...judge(facts.service, (service) => checkService(service, facts.serviceAbout)),
    ...judge(facts.workloads, (workloads) => checkWorkloads(workloads, settings, facts.now)),
  ]);
}

/** One that calls Muster is enough: others of the cluster may be meant to do without. */
function judgeSchedulers(schedulers: readonly Fact<SeenScheduler>[], settings: MusterSettings): readonly Finding[] {
  const judged = schedulers.map((fact) =>
    judge(fact, ({ config, about }) => checkSchedulerConfiguration(config, settings, about)),
  );
  const isWithout = (findings: readonly Finding[]) => findings.some(({ kind }) => kind === 'no-extender');
  const calls = schedulers.some((fact, i) => fact.kind === 'known' && !isWithout(judged[i]!));
  return judged.flatMap((findings) =>
    calls
      ? findings.map((finding) =>
          finding.kind === 'no-extender' ? { ...finding, severity: 'info' as const } : finding,
        )
      : findings,
  );
}
