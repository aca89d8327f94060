/**
 * Computes what a pod requests, as kube-scheduler does for the pods on a node (component-helpers v0.37.2
 * resource/helpers.go:145 PodRequests, called from kube-scheduler pkg/scheduler/framework/types.go:1385):
 *
 * 1. Containers add up. Init containers run one by one before them, so they count by their maximum, each together
 *    with the restartable ones (sidecars) started before it. Sidecars also add to the containers.
 * 2. That is done for the spec, for what the kubelet has allocated and for what it has actuated; the largest counts.
 *    An infeasible resize of the spec does not count.
 * 3. Pod-level cpu, memory and huge pages replace the sum. Overhead is added.
 *
 * Feature gates as v1.37.2 has them by default: PodLevelResources, InPlacePodVerticalScaling and
 * InPlacePodLevelResourcesVerticalScaling on, DRANodeAllocatableResources off. Sums are exact and rounded once, at
 * the end. Cost: a few BigInt additions per container; the projector caches the result.
 */
import type { ResourceAmount } from './model.ts';
import { fromNano, parseNano, parseQuantity, type Scale } from './quantity.ts';
import type { RawAmounts, RawContainer, RawContainerStatus, RawPodSpec, RawPodStatus } from './raw-pod.ts';

/** A pod requests it to reach the extender. It is `ignoredByScheduler`, so no node has it. */
export const MEMBER_MARKER = 'muster.dev/member';

/** Amounts in 10^-9 units. */
type Amounts = Map<string, bigint>;

/** Which amounts of a container count: by its spec, or by what its status says. */
type Pick = (container: RawContainer, status: RawContainerStatus | undefined) => RawAmounts | null | undefined;

/**
 * Requests in base units, sorted by name, without zero amounts; `pods: 1` included, the marker left out. For a pod
 * that does not run yet the status has no effect.
 * @throws Error when an amount is no quantity.
 */
export function podRequests(spec: RawPodSpec, status: RawPodStatus = {}): ResourceAmount[] {
  const total = sumContainers(spec, status);
  for (const [name, amount] of podLevelRequests(spec, status)) total.set(name, amount);
  add(total, parseAmounts(spec.overhead));
  total.delete(MEMBER_MARKER);
  total.set('pods', parseNano(1));
  return toAmounts(total);
}

/**
 * The amounts of a wire object such as a node's `allocatable`, sorted by name, without zero amounts.
 * @throws Error when an amount is no quantity.
 */
export function readAmounts(raw: RawAmounts | null | undefined): ResourceAmount[] {
  const amounts = Object.entries(raw ?? {}).map(([name, text]) => ({
    name,
    amount: parseQuantity(text, scaleOf(name)),
  }));
  return settle(amounts);
}

function toAmounts(amounts: Amounts): ResourceAmount[] {
  return settle([...amounts].map(([name, nano]) => ({ name, amount: fromNano(nano, scaleOf(name)) })));
}

/** The units in which amounts of the resource are counted. */
export function scaleOf(name: string): Scale {
  return name === 'cpu' ? 'milli' : 'one';
}

function settle(amounts: readonly ResourceAmount[]): ResourceAmount[] {
  return amounts.filter(({ amount }) => amount !== 0).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function sumContainers(spec: RawPodSpec, status: RawPodStatus): Amounts {
  const infeasible = isResizeInfeasible(status);
  const statuses = containerStatuses(status);
  const specified = sumBy(spec, statuses, (container) => container.resources?.requests);
  if (statuses.size === 0 && !status.allocatedResources && !infeasible) return specified;

  const fallback: Pick = (container) => (infeasible ? undefined : container.resources?.requests);
  const byAllocation: Pick = (container, of) => of?.allocatedResources ?? fallback(container, of);
  const byActuation: Pick = (container, of) => of?.resources?.requests ?? byAllocation(container, of);
  const podActuated = status.resources?.requests;
  const known = status.allocatedResources && podActuated;
  const total = known ? parseAmounts(status.allocatedResources) : sumBy(spec, statuses, byAllocation);
  raise(total, known ? parseAmounts(podActuated) : sumBy(spec, statuses, byActuation));
  if (!infeasible) raise(total, specified);
  return total;
}

function sumBy(spec: RawPodSpec, statuses: ReadonlyMap<string, RawContainerStatus>, pick: Pick): Amounts {
  const amountsOf = (container: RawContainer) => parseAmounts(pick(container, statuses.get(container.name ?? '')));
  const running: Amounts = new Map();
  for (const container of spec.containers ?? []) add(running, amountsOf(container));

  const sidecars: Amounts = new Map();
  const starting: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const amounts = amountsOf(container);
    if (container.restartPolicy === 'Always') {
      add(running, amounts);
      add(sidecars, amounts);
    } else {
      add(amounts, sidecars);
      raise(starting, amounts);
    }
  }
  raise(running, starting);
  return running;
}

/**
 * The status of a container takes precedence over that of an init container of the same name, and the first of a list
 * over the rest.
 */
function containerStatuses(status: RawPodStatus): Map<string, RawContainerStatus> {
  const byName = new Map<string, RawContainerStatus>();
  for (const list of [status.containerStatuses, status.initContainerStatuses]) {
    for (const one of list ?? []) if (!byName.has(one.name ?? '')) byName.set(one.name ?? '', one);
  }
  return byName;
}

/** What is set on the pod level. Only cpu, memory and huge pages can be set there (helpers.go:71). */
function podLevelRequests(spec: RawPodSpec, status: RawPodStatus): Amounts {
  const requests = spec.resources?.requests;
  const named = parseSupported(requests);
  if (named.size === 0 || !status.resources) return named;
  const effective: Amounts = isResizeInfeasible(status) ? new Map() : named;
  raise(effective, parseSupported(status.resources.requests));
  raise(effective, parseSupported(status.allocatedResources));
  return effective;
}

function parseSupported(raw: RawAmounts | null | undefined): Amounts {
  const amounts = parseAmounts(raw);
  for (const name of amounts.keys()) {
    if (name !== 'cpu' && name !== 'memory' && !name.startsWith('hugepages-')) amounts.delete(name);
  }
  return amounts;
}

function isResizeInfeasible(status: RawPodStatus): boolean {
  const pending = status.conditions?.find(({ type }) => type === 'PodResizePending');
  return pending?.reason === 'Infeasible';
}

function parseAmounts(raw: RawAmounts | null | undefined): Amounts {
  const amounts: Amounts = new Map();
  for (const name in raw) amounts.set(name, parseNano(raw[name]!));
  return amounts;
}

function add(total: Amounts, more: Amounts): void {
  for (const [name, amount] of more) total.set(name, (total.get(name) ?? 0n) + amount);
}

/** Keeps the larger amount of each name. */
function raise(total: Amounts, other: Amounts): void {
  for (const [name, amount] of other) {
    const present = total.get(name);
    if (present === undefined || amount > present) total.set(name, amount);
  }
}
