/** Judges what an uninstalled Muster has left behind: what still acts or waits is a fault, what was kept on purpose is not. */
import { GANG_GATE } from '../core/objects/keys.ts';
import { type Fact, type Finding, judge, nameSome, sortFindings } from './finding.ts';
import { callsMuster, type SchedulerConfiguration } from './scheduler-config.ts';
import type { SeenWorkloadPod } from './workloads.ts';

/** A pod with what is needed to open its gate, and to name its owner. */
export interface WaitingPod extends SeenWorkloadPod {
  readonly metadata?: SeenWorkloadPod['metadata'] & {
    readonly uid?: string;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
}

/** An object of Muster's by its name. */
export interface LeftObject {
  /** As kubectl takes it, such as `clusterroles`. */
  readonly plural: string;
  /** Undefined: it is in none. */
  readonly namespace: string | undefined;
  readonly name: string;
}

export interface LeftoverFacts {
  /** Where Muster ran. */
  readonly namespace: string;
  readonly pods: Fact<readonly WaitingPod[]>;
  readonly objects: Fact<readonly LeftObject[]>;
  readonly schedulers: readonly Fact<{ readonly about: string; readonly config: SchedulerConfiguration }>[];
  /** How many Queue objects there are; undefined: their kind is gone. */
  readonly queues: Fact<number | undefined>;
  /** Nodes with the label or the taint of a second scheduler. */
  readonly labelledNodes: Fact<readonly string[]>;
}

const MARKER = 'muster.dev/member';
/** What adds gates and markers to new pods. */
const ADDING: ReadonlySet<string> = new Set([
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
]);
/** What runs. */
const RUNNING: ReadonlySet<string> = new Set(['deployments']);

/** Errors first. */
export function findLeftovers(facts: LeftoverFacts): readonly Finding[] {
  return sortFindings([
    ...need(judge(facts.objects, checkObjects)),
    ...facts.schedulers.flatMap((fact) => judge(fact, checkScheduler)),
    ...need(judge(facts.pods, checkPods)),
    ...judge(facts.queues, checkQueues),
    ...judge(facts.labelledNodes, checkNodes),
  ]);
}

/** Without these nobody can say that nothing is left. */
function need(findings: readonly Finding[]): readonly Finding[] {
  return findings.map((finding) => (finding.kind === 'not-checked' ? { ...finding, severity: 'warning' } : finding));
}

/** Pods with Muster's gate. */
export function listGated(pods: readonly WaitingPod[]): readonly WaitingPod[] {
  return pods.filter(({ spec }) => spec?.schedulingGates?.some(({ name }) => name === GANG_GATE));
}

/** What would close the gates of new pods; undefined: nothing does. */
export function findGating(objects: readonly LeftObject[]): string | undefined {
  const adding = objects.filter(({ plural }) => ADDING.has(plural));
  return adding.length === 0 ? undefined : adding.map(({ plural, name }) => `${plural}/${name}`).join(', ');
}

function checkObjects(objects: readonly LeftObject[]): readonly Finding[] {
  return objects.map((object) => {
    const { plural, namespace, name } = object;
    const [kind, severity, why] = ADDING.has(plural)
      ? (['still-adds', 'error', 'new pods still get a gate or a marker that nobody opens or offers'] as const)
      : RUNNING.has(plural)
        ? (['still-runs', 'error', 'it runs'] as const)
        : (['object-left', 'warning', 'it is left'] as const);
    const where = namespace === undefined ? '' : ` -n ${namespace}`;
    return {
      kind,
      severity,
      about: `${plural}/${name}`,
      text: `expected none, found it: ${why}`,
      fix: `helm uninstall, or kubectl delete ${plural} ${name}${where}`,
    };
  });
}

function checkScheduler({ about, config }: { about: string; config: SchedulerConfiguration }): readonly Finding[] {
  if (!callsMuster(config)) return [];
  return [
    {
      kind: 'still-called',
      severity: 'error',
      about,
      text: 'expected no extender of Muster, found one: no pod that requests an accelerator is scheduled without Muster',
      fix: 'take it out of extenders and start kube-scheduler again',
    },
  ];
}

function checkPods(pods: readonly WaitingPod[]): readonly Finding[] {
  const waiting = pods.filter(({ spec }) => spec?.nodeName === undefined);
  const gated = listGated(waiting);
  const marked = waiting.filter(({ spec }) =>
    [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
      ({ resources }) => resources?.requests?.[MARKER] !== undefined || resources?.limits?.[MARKER] !== undefined,
    ),
  );
  const findings: Finding[] = [];
  if (gated.length > 0) {
    findings.push({
      kind: 'gate-closed',
      severity: 'error',
      about: `${gated.length} pods`,
      text: `expected no pod with the gate ${GANG_GATE}, found ${nameSome(gated.map(pathOf).toSorted())}: nobody opens it`,
      fix: 'muster uninstall --open-gates --yes',
    });
  }
  if (marked.length > 0) {
    const owners = [...new Set(marked.map(ownerOf))].toSorted();
    findings.push({
      kind: 'marker-waits',
      severity: 'error',
      about: `${marked.length} pods`,
      text: `expected no waiting pod that requests ${MARKER}, found some of ${nameSome(owners)}: no node offers it`,
      fix: 'create them again without it: suspend and resume the Job, or delete the pods that a controller replaces',
    });
  }
  return findings;
}

function checkQueues(count: number | undefined): readonly Finding[] {
  if (count === undefined) return [];
  return [
    {
      kind: 'kept',
      severity: 'info',
      about: 'queues.muster.dev',
      text: `the kind Queue and ${count} queues with their usage are kept on purpose`,
      fix: 'kubectl delete crd queues.muster.dev, if you do not want them back',
    },
  ];
}

function checkNodes(nodes: readonly string[]): readonly Finding[] {
  if (nodes.length === 0) return [];
  return [
    {
      kind: 'kept',
      severity: 'info',
      about: `${nodes.length} nodes`,
      text: `${nameSome(nodes.toSorted())} have the label or the taint of the second scheduler; other pods stay off them`,
      fix: 'kubectl label node NODE muster.dev/scheduler-; kubectl taint node NODE muster.dev/scheduler-',
    },
  ];
}

function pathOf({ metadata }: WaitingPod): string {
  return `${metadata?.namespace}/${metadata?.name}`;
}

function ownerOf(pod: WaitingPod): string {
  const [owner] = pod.metadata?.ownerReferences ?? [];
  return owner ? `${owner.kind.toLowerCase()} ${pod.metadata?.namespace}/${owner.name}` : `pod ${pathOf(pod)}`;
}
