/** Reads, checks and renders Muster's configuration. */
import { dump, load } from 'js-yaml';
import { DEFAULT_SCHEDULER } from '../core/objects/pod-projection.ts';
import { formatDuration } from '../core/objects/text-values.ts';
import { MAX_GANG_SIZE } from '../core/podgroup/gang.ts';
import {
  checkLeaderElection,
  type LeaderElectionConfiguration,
  readLeaderElection,
  renderLeaderElection,
} from './leader-election.ts';
import {
  checkPreemption,
  type PreemptionConfiguration,
  type RepairConfiguration,
  readPreemption,
  readRepair,
  renderRepair,
} from './preemption.ts';
import { checkQueues, type QueuesConfiguration, readQueues, renderQueues } from './queues.ts';
import { Section, type TextForm } from './section.ts';
import { checkServer, readServer, renderServer, type ServerConfiguration } from './server.ts';
import { checkTopology, readTopology, type TopologyConfiguration } from './topology.ts';

/*
 * MusterConfiguration is one strict YAML document in which every field has a default. docs/configuration.md describes
 * every field. Durations are strings in the file; in the program they are milliseconds, in fields that end in `Ms`.
 */

const apiVersion = 'config.muster.dev/v1alpha1';
const kind = 'MusterConfiguration';

export interface ApiConfiguration {
  /** Undefined: the service account inside a pod, otherwise as kubectl does. */
  readonly kubeconfig: string | undefined;
  readonly maxInFlightWrites: number;
  readonly requestTimeoutMs: number;
  readonly watchIdleTimeoutMs: number;
}

export interface GangConfiguration {
  readonly barrierTimeoutMs: number;
  readonly nominationTimeoutMs: number;
  readonly repairTimeoutMs: number;
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
  readonly maxReplans: number;
  readonly maxGangSize: number;
  readonly timeBudgetMs: number;
  /** When members of gangs get the gate at creation. */
  readonly gates: 'auto' | 'always' | 'never';
  /** Where the admission policy reads it. */
  readonly gatesParameter: { readonly namespace: string; readonly name: string };
}

/** Deeply frozen. */
export interface MusterConfiguration {
  readonly server: ServerConfiguration;
  readonly api: ApiConfiguration;
  readonly leaderElection: LeaderElectionConfiguration;
  /** Resource names; a trailing `*` matches any suffix. */
  readonly managedResources: readonly string[];
  /** Those of the extender entry that binds, where that is another entry; undefined: the same. */
  readonly bindResources: readonly string[] | undefined;
  /** The schedulers whose pods Muster schedules; at least one. */
  readonly schedulerNames: readonly string[];
  readonly topology: TopologyConfiguration;
  readonly gang: GangConfiguration;
  readonly preemption: PreemptionConfiguration;
  readonly repair: RepairConfiguration;
  readonly queues: QueuesConfiguration;
  readonly lonePodCandidates: number;
  readonly log: { readonly verbosity: number };
}

/** Flags of `muster serve` that override values of the file. */
export interface ConfigurationOverrides {
  readonly kubeconfig?: string | undefined;
  readonly port?: number | undefined;
  readonly bindAddress?: string | undefined;
}

/** An invalid configuration, with all its problems. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(source: string, problems: readonly string[]) {
    const title = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    super(`${source}: ${title}; fix and start again\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

const resourceName: TextForm = {
  expected: 'a resource name such as nvidia.com/gpu or nvidia.com/mig-*',
  pattern: /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?\/([A-Za-z0-9][A-Za-z0-9._-]*)?\*?$/,
};

const objectName: TextForm = {
  expected: 'the namespace and name of an object, such as muster-system/muster-gates',
  pattern: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
};

const schedulerName: TextForm = {
  expected: "a scheduler's name as pods write it in spec.schedulerName, such as default-scheduler",
  pattern: /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
};

/**
 * Reads a configuration file.
 *
 * @param source the file's name in errors.
 * @throws ConfigurationError with all problems at once.
 */
export function parseConfiguration(text: string, source: string): MusterConfiguration {
  const problems: string[] = [];
  const config = readDocument(new Section(loadYaml(text, source), '', problems));
  problems.push(...crossCheck(config), ...checkTopology(config.topology), ...checkPreemption(config.preemption));
  problems.push(...checkServer(config.server), ...checkQueues(config.queues));
  problems.push(...checkLeaderElection(config.leaderElection));
  if (problems.length > 0) throw new ConfigurationError(source, problems);
  return deepFreeze(config);
}

/** The configuration of a file without any settings. */
export function defaultConfiguration(): MusterConfiguration {
  return parseConfiguration(dump({ apiVersion, kind }), 'defaults');
}

/**
 * The configuration with some values replaced.
 * @throws ConfigurationError when a replaced value is invalid.
 */
export function overrideConfiguration(
  config: MusterConfiguration,
  { kubeconfig, port, bindAddress }: ConfigurationOverrides,
): MusterConfiguration {
  const { server, api } = config;
  const overridden = {
    ...config,
    server: { ...server, port: port ?? server.port, bindAddress: bindAddress ?? server.bindAddress },
    api: { ...api, kubeconfig: kubeconfig ?? api.kubeconfig },
  };
  return parseConfiguration(renderConfiguration(overridden), 'flags');
}

/** The whole configuration as a file that `parseConfiguration` reads back. Fields without a value are omitted. */
export function renderConfiguration({ server, api, gang, ...config }: MusterConfiguration): string {
  const document = {
    apiVersion,
    kind,
    server: renderServer(server),
    api: {
      kubeconfig: api.kubeconfig,
      maxInFlightWrites: api.maxInFlightWrites,
      requestTimeout: formatDuration(api.requestTimeoutMs),
      watchIdleTimeout: formatDuration(api.watchIdleTimeoutMs),
    },
    leaderElection: renderLeaderElection(config.leaderElection),
    managedResources: config.managedResources,
    ...(config.bindResources !== undefined && { bindResources: config.bindResources }),
    schedulerNames: config.schedulerNames,
    topology: omitUndefined(config.topology),
    gang: {
      barrierTimeout: formatDuration(gang.barrierTimeoutMs),
      nominationTimeout: formatDuration(gang.nominationTimeoutMs),
      repairTimeout: formatDuration(gang.repairTimeoutMs),
      backoffInitial: formatDuration(gang.backoffInitialMs),
      backoffMax: formatDuration(gang.backoffMaxMs),
      maxReplans: gang.maxReplans,
      maxGangSize: gang.maxGangSize,
      timeBudget: formatDuration(gang.timeBudgetMs),
      gates: gang.gates,
      gatesParameter: `${gang.gatesParameter.namespace}/${gang.gatesParameter.name}`,
    },
    ...renderRepair(config.preemption, config.repair),
    queues: renderQueues(config.queues),
    lonePodCandidates: config.lonePodCandidates,
    log: config.log,
  };
  return dump({ ...document, api: omitUndefined(document.api) });
}

/** A file of thousands of queues is far smaller. */
const MAX_CHARACTERS = 2 ** 20;
const MAX_DEPTH = 32;
/** Values of a file; what an alias stands for counts each time. */
const MAX_VALUES = 200_000;

function loadYaml(text: string, source: string): unknown {
  if (text.length > MAX_CHARACTERS) {
    const problem = `expected at most ${MAX_CHARACTERS} characters, found ${text.length}; remove what does not belong here`;
    throw new ConfigurationError(source, [problem]);
  }
  // A file of comments only counts as a document without fields; the missing fields make a better message than
  // js-yaml's.
  if (text.split('\n').every((line) => /^\s*(#.*)?$/.test(line))) return {};
  let document: unknown;
  try {
    document = load(text, { filename: source, maxDepth: MAX_DEPTH });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError(source, [`expected one YAML document, found: ${reason.replaceAll('\n', '\n  ')}`]);
  }
  if (countValues(document, MAX_VALUES) < 0) {
    const problem = `expected at most ${MAX_VALUES} values, found more; an alias (*name) repeats all that it stands for: write less, or fewer aliases`;
    throw new ConfigurationError(source, [problem]);
  }
  return document;
}

/** A few lines of aliases of aliases stand for billions of values. @returns how many more there may be; below 0: too many. */
function countValues(value: unknown, left: number): number {
  let rest = left - 1;
  if (typeof value !== 'object' || value === null) return rest;
  for (const child of Object.values(value)) {
    rest = countValues(child, rest);
    if (rest < 0) break;
  }
  return rest;
}

/** Reads every field; problems are reported to the section. */
export function readDocument(root: Section): MusterConfiguration {
  root.constant('apiVersion', apiVersion);
  root.constant('kind', kind);
  const config = {
    server: readServer(root.section('server')),
    api: readApi(root.section('api')),
    leaderElection: readLeaderElection(root.section('leaderElection')),
    managedResources: root.texts(
      'managedResources',
      ['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*'],
      resourceName,
    ),
    bindResources: root.optionalTexts('bindResources', resourceName),
    schedulerNames: root.texts('schedulerNames', [DEFAULT_SCHEDULER], schedulerName),
    topology: readTopology(root.section('topology')),
    gang: readGang(root.section('gang')),
    preemption: readPreemption(root.section('preemption')),
    repair: readRepair(root.section('repair')),
    queues: readQueues(root.section('queues')),
    lonePodCandidates: root.integer('lonePodCandidates', 32, { min: 1, max: 10_000 }),
    log: readLog(root.section('log')),
  };
  root.end();
  return config;
}

function readApi(section: Section): ApiConfiguration {
  const api = {
    kubeconfig: section.optionalText('kubeconfig'),
    maxInFlightWrites: section.integer('maxInFlightWrites', 64, { min: 1, max: 1000 }),
    requestTimeoutMs: section.durationMs('requestTimeout', 10 * second, { min: 100, max: 5 * minute }),
    watchIdleTimeoutMs: section.durationMs('watchIdleTimeout', 90 * second, { min: 100, max: hour }),
  };
  section.end();
  return api;
}

function readGang(section: Section): GangConfiguration {
  const range = { min: 10, max: 24 * hour };
  const gang = {
    barrierTimeoutMs: section.durationMs('barrierTimeout', 100 * second, range),
    nominationTimeoutMs: section.durationMs('nominationTimeout', 15 * second, range),
    repairTimeoutMs: section.durationMs('repairTimeout', 5 * minute, range),
    backoffInitialMs: section.durationMs('backoffInitial', second, range),
    backoffMaxMs: section.durationMs('backoffMax', 30 * minute, range),
    maxReplans: section.integer('maxReplans', 8, { min: 0, max: 1000 }),
    maxGangSize: section.integer('maxGangSize', MAX_GANG_SIZE, { min: 1, max: 1_000_000 }),
    timeBudgetMs: section.durationMs('timeBudget', second, { min: 10, max: hour }),
    gates: section.choice('gates', 'auto', ['auto', 'always', 'never'] as const),
    gatesParameter: readObjectName(section, 'gatesParameter', 'muster-system/muster-gates'),
  };
  section.end();
  return gang;
}

/** @param fallback like the value: `namespace/name`. */
function readObjectName(section: Section, field: string, fallback: string) {
  const text = section.optionalText(field, objectName) ?? fallback;
  const [namespace = '', name = ''] = text.split('/');
  return { namespace, name };
}

function readLog(section: Section): MusterConfiguration['log'] {
  const log = { verbosity: section.integer('verbosity', 2, { min: 0, max: 10 }) };
  section.end();
  return log;
}

/** Checks across sections and fields; returns one message per problem. */
function crossCheck({ gang, schedulerNames }: MusterConfiguration): readonly string[] {
  const problems: string[] = [];
  if (schedulerNames.length === 0) {
    problems.push('schedulerNames: expected at least one name, found an empty list; with none, no pod is scheduled');
  }
  const { barrierTimeoutMs, nominationTimeoutMs, backoffInitialMs, backoffMaxMs } = gang;
  if (barrierTimeoutMs <= nominationTimeoutMs) {
    problems.push(
      `gang.barrierTimeout: expected more than gang.nominationTimeout (${formatDuration(nominationTimeoutMs)}), ` +
        `found ${formatDuration(barrierTimeoutMs)}; a member that kube-scheduler refused is replanned while its siblings ` +
        'are held at the barrier, so the barrier must outlast the wait for a nomination',
    );
  }
  if (backoffMaxMs < backoffInitialMs) {
    problems.push(
      `gang.backoffMax: expected at least gang.backoffInitial (${formatDuration(backoffInitialMs)}), ` +
        `found ${formatDuration(backoffMaxMs)}`,
    );
  }
  return problems;
}

function omitUndefined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}
