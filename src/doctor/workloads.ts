/** Judges pods and Jobs: what keeps a gang from Muster, or costs it its work. */
import { COSCHEDULING_LABEL, GANG_GATE, POD_GROUP_LABEL } from '../core/objects/keys.ts';
import { type Finding, nameSome } from './finding.ts';
import type { MusterSettings } from './scheduler-config.ts';

interface SeenContainer {
  readonly resources?: {
    readonly requests?: Readonly<Record<string, unknown>>;
    readonly limits?: Readonly<Record<string, unknown>>;
  };
  readonly securityContext?: { readonly privileged?: boolean };
}

interface SeenMetadata {
  readonly namespace?: string;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
}

interface SeenPodSpec {
  readonly schedulerName?: string;
  readonly nodeName?: string;
  readonly schedulingGates?: readonly { readonly name: string }[];
  readonly containers?: readonly SeenContainer[];
  readonly initContainers?: readonly SeenContainer[];
  readonly resourceClaims?: readonly unknown[];
}

/** The fields of a Pod that are read. */
export interface SeenWorkloadPod {
  readonly metadata?: SeenMetadata;
  readonly spec?: SeenPodSpec;
  readonly status?: { readonly phase?: string };
}

/** The fields of a Job that are read. */
export interface SeenJob {
  readonly metadata?: SeenMetadata;
  readonly spec?: {
    readonly backoffLimit?: number;
    readonly podFailurePolicy?: {
      readonly rules?: readonly {
        readonly action?: string;
        readonly onPodConditions?: readonly { readonly type?: string }[];
      }[];
    };
    readonly template?: { readonly metadata?: SeenMetadata; readonly spec?: SeenPodSpec };
  };
  readonly status?: { readonly conditions?: readonly { readonly type?: string; readonly status?: string }[] };
}

/** The fields of a ResourceQuota that are read. */
export interface SeenQuota {
  readonly metadata?: SeenMetadata;
  readonly spec?: { readonly hard?: Readonly<Record<string, unknown>> };
}

export interface SeenWorkloads {
  readonly pods: readonly SeenWorkloadPod[];
  readonly jobs: readonly SeenJob[];
  readonly quotas: readonly SeenQuota[];
}

/** A gate that is closed for so long has nobody to open it. */
const OLD_GATE_MS = 600_000;
const MARKER = 'muster.dev/member';

/** @param now milliseconds since the epoch. */
export function checkWorkloads(seen: SeenWorkloads, settings: MusterSettings, now: number): readonly Finding[] {
  const pods = seen.pods.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
  return [
    ...checkReach(pods, settings),
    ...checkGates(pods, now),
    ...checkOtherSchedulers(pods, settings),
    ...checkPrivileged(pods),
    ...seen.jobs.flatMap(checkJob),
    ...checkQuotas(seen, pods),
  ];
}

/** Members that are bound without Muster: they lack what brings a pod to the extender. */
function checkReach(pods: readonly SeenWorkloadPod[], settings: MusterSettings): readonly Finding[] {
  const isManaged = managing(settings);
  const gangs = new Set<string>();
  for (const pod of pods) {
    const gang = gangOf(pod.metadata);
    if (gang === undefined || !settings.schedulerNames.includes(schedulerOf(pod.spec))) continue;
    if (!resourcesOf(pod.spec).some((name) => name === MARKER || isManaged(name))) gangs.add(gang);
  }
  return onEach(gangs, {
    kind: 'never-reaches',
    severity: 'warning',
    text: 'expected members to request an accelerator or the marker, found some without: they never reach Muster',
    fix: 'request muster.dev/member: 1 in their template, or apply deploy/admission-policy.yaml',
  });
}

function checkGates(pods: readonly SeenWorkloadPod[], now: number): readonly Finding[] {
  const gates = new Map<string, Set<string>>();
  for (const { metadata, spec } of pods) {
    const gang = gangOf(metadata);
    const age = now - Date.parse(metadata?.creationTimestamp ?? '');
    if (gang === undefined || !(age > OLD_GATE_MS)) continue;
    for (const { name } of spec?.schedulingGates ?? []) {
      if (name === GANG_GATE) continue;
      const gangs = gates.get(name) ?? new Set();
      gates.set(name, gangs.add(gang));
    }
  }
  return [...gates].flatMap(([gate, gangs]) =>
    onEach(gangs, {
      kind: 'other-gate',
      severity: 'warning',
      text: `expected no gate but Muster's for longer than ten minutes, found ${gate}: its owner has not opened it`,
      fix: `see the controller that sets ${gate}; two systems that admit gangs wait for each other`,
    }),
  );
}

function checkOtherSchedulers(pods: readonly SeenWorkloadPod[], settings: MusterSettings): readonly Finding[] {
  const isManaged = managing(settings);
  const found = new Map<string, Set<string>>();
  for (const { spec } of pods) {
    const name = schedulerOf(spec);
    if (spec?.nodeName === undefined || settings.schedulerNames.includes(name)) continue;
    if (!resourcesOf(spec).some(isManaged)) continue;
    const nodes = found.get(name) ?? new Set();
    found.set(name, nodes.add(spec.nodeName));
  }
  return [...found].map(([name, nodes]) => ({
    kind: 'other-scheduler',
    severity: 'warning',
    about: `scheduler ${name}`,
    text: `expected nodes with accelerators to have one scheduler, found pods of ${name} on ${nameSome([...nodes].toSorted())}: both may give away the same space`,
    fix: 'give each scheduler its own nodes, by taints or node selectors',
  }));
}

/** What needs RDMA needs a capability and a device, not the whole machine. */
function checkPrivileged(pods: readonly SeenWorkloadPod[]): readonly Finding[] {
  const gangs = new Set<string>();
  for (const { metadata, spec } of pods) {
    const gang = gangOf(metadata);
    const isPrivileged = containersOf(spec).some(({ securityContext }) => securityContext?.privileged === true);
    if (gang !== undefined && isPrivileged) gangs.add(gang);
  }
  return onEach(gangs, {
    kind: 'privileged',
    severity: 'warning',
    text: 'expected members without privileged: true, found it: whoever runs in them is root on the node',
    fix: 'for RDMA add the capability IPC_LOCK and request the resource of an RDMA device plugin (such as rdma/hca); GPUDirect needs nvidia-peermem or DMA-BUF on the node',
  });
}

function checkJob({ metadata, spec, status }: SeenJob): readonly Finding[] {
  const isOver = status?.conditions?.some(
    ({ type, status: value }) => (type === 'Complete' || type === 'Failed') && value === 'True',
  );
  const gang = gangOf({ ...spec?.template?.metadata, namespace: metadata?.namespace ?? '' });
  if (isOver || gang === undefined) return [];
  const isSpared = spec?.podFailurePolicy?.rules?.some(
    ({ action, onPodConditions }) =>
      action === 'Ignore' && onPodConditions?.some(({ type }) => type === 'DisruptionTarget'),
  );
  if (isSpared) return [];
  const finding: Finding = {
    kind: 'backoff-limit',
    severity: 'warning',
    about: `job ${metadata?.namespace}/${metadata?.name}`,
    text: `expected a podFailurePolicy that ignores DisruptionTarget, found none: when the gang is preempted, each pod counts against backoffLimit (${spec?.backoffLimit ?? 6}) and the Job fails`,
    fix: 'add podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]} (docs/preemption.md)',
  };
  return [finding];
}

function checkQuotas({ quotas }: SeenWorkloads, pods: readonly SeenWorkloadPod[]): readonly Finding[] {
  const gated = new Set(
    pods
      .filter(({ spec }) => spec?.schedulingGates?.some(({ name }) => name === GANG_GATE))
      .map(({ metadata }) => metadata?.namespace),
  );
  return quotas
    .filter(({ metadata }) => gated.has(metadata?.namespace))
    .flatMap(({ metadata, spec }) => {
      const counted = Object.keys(spec?.hard ?? {}).filter((name) =>
        /^(pods|count\/pods|requests\..*\/.*)$/.test(name),
      );
      if (counted.length === 0) return [];
      const finding: Finding = {
        kind: 'quota-counts-gated',
        severity: 'info',
        about: `resourcequota ${metadata?.namespace}/${metadata?.name}`,
        text: `expected queues to limit gangs, found a ResourceQuota on ${counted.join(', ')}: pods that wait at the gate count, too`,
        fix: 'raise it to what may wait, and limit what runs by a queue (docs/queues.md)',
      };
      return [finding];
    });
}

/** One finding about all of them. */
function onEach(gangs: ReadonlySet<string>, finding: Omit<Finding, 'about'>): readonly Finding[] {
  if (gangs.size === 0) return [];
  return [{ ...finding, about: `gang ${nameSome([...gangs].toSorted())}` }];
}

function gangOf(metadata: SeenMetadata | undefined): string | undefined {
  const name = metadata?.labels?.[POD_GROUP_LABEL] ?? metadata?.labels?.[COSCHEDULING_LABEL];
  return name === undefined || name === '' ? undefined : `${metadata?.namespace}/${name}`;
}

function schedulerOf(spec: SeenPodSpec | undefined): string {
  return spec?.schedulerName ?? 'default-scheduler';
}

function containersOf(spec: SeenPodSpec | undefined): readonly SeenContainer[] {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
}

function resourcesOf(spec: SeenPodSpec | undefined): readonly string[] {
  return containersOf(spec).flatMap(({ resources }) => [
    ...Object.keys(resources?.requests ?? {}),
    ...Object.keys(resources?.limits ?? {}),
  ]);
}

function managing({ managedResources }: MusterSettings): (name: string) => boolean {
  const prefixes = managedResources.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  return (name) => managedResources.includes(name) || prefixes.some((prefix) => name.startsWith(prefix));
}
