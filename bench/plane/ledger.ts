/**
 * The judge of a run on the real control plane. It reads the history of all pods, in the order of the API server, and
 * knows nothing of Muster but the annotation in which it records a place.
 *
 * What counts as wrong:
 * - *partial gang*: a gang of which members were bound, but which never had its minimum bound at the same time before
 *   they left or the run ended; or whose first member was bound while fewer than the minimum existed without a gate, so
 *   that they could not all have been at the barrier.
 *   A gang that had its minimum and then loses members (finished, evicted, lost node) is none. A start whose members
 *   finished by themselves before the others were bound is told apart, see `Overtaken`.
 * - *double booking*: what the pods on a node request is more than the node has, after any event of the history. A pod
 *   counts from its binding until it has ended or is gone.
 * - *crossed level*: a gang that requires one domain has staying members in two.
 * - *quota*: bound pods of a queue request more than its limit.
 */
import type { V1Pod } from '@kubernetes/client-node';
import { gangGate } from '../../test/e2e/objects.ts';

/** What a run expects of a gang; pods name it by the label `muster.dev/pod-group`. */
export interface ExpectedGang {
  readonly name: string;
  /** Its minimum. */
  readonly min: number;
  /** How many of its pods have to succeed until it is done. */
  readonly completions: number;
  /** All its members have to be in one domain: the value that this function gives for their nodes. */
  readonly domainOf?: (node: string) => string;
}

export type ViolationKind = 'partial gang' | 'double booking' | 'crossed level' | 'quota';

export interface Violation {
  readonly kind: ViolationKind;
  readonly text: string;
}

export interface LedgerOptions {
  /** What a node has, by resource, in whole units; `pods` is the number of pods. */
  readonly allocatable: ReadonlyMap<string, number>;
  /** The most that the bound pods of a queue may request. */
  readonly limits?: readonly { readonly queue: string; readonly resource: string; readonly limit: number }[];
}

/** The state of a pod, as far as it counts. */
interface Entry {
  readonly name: string;
  readonly gang: string | undefined;
  readonly queue: string | undefined;
  readonly requests: ReadonlyMap<string, number>;
  /** Where it holds capacity; undefined: nowhere (not bound yet, or ended). */
  readonly node: string | undefined;
  /** Bound, not ended, and nobody asked it to leave. */
  readonly stays: boolean;
  readonly succeeded: boolean;
  readonly ended: boolean;
  readonly gated: boolean;
  readonly nominated: boolean;
  /** Muster's record of its place. */
  readonly placed: boolean;
}

/** One gang: from its first binding to the last member that leaves is one start. */
interface GangState {
  expected: ExpectedGang;
  readonly members: Map<string, Entry>;
  readonly succeeded: Set<string>;
  staying: number;
  /** Members that were bound since then, by UID. */
  readonly current: Set<string>;
  /** When the first member of the current start was bound; undefined: none is. */
  openedAt: number | undefined;
  reached: boolean;
  /** Its user deleted it: it may end in any state. */
  isDeleted: boolean;
}

/** A gang came to its minimum. */
export interface Start {
  readonly gang: string;
  /** When it did, milliseconds of the clock of `apply`. */
  readonly at: number;
  /** How long after its first binding. */
  readonly tookMs: number;
}

/**
 * Members were bound and finished before the others were bound: a binding that the API server refused after the first one
 * does not undo the gang (a limit of G1), and pods that run for a second do not wait for its repetition. Whoever knows
 * whether bindings could be written at that time judges whether it was that.
 */
export interface Overtaken {
  readonly gang: string;
  /** First binding and last end, milliseconds of the clock of `apply`. */
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const MAX_VIOLATIONS = 50;

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #pods = new Map<string, Entry>();
  readonly #gangs = new Map<string, GangState>();
  readonly #used = new Map<string, Map<string, number>>();
  readonly #queues = new Map<string, number>();
  readonly #violations: Violation[] = [];
  readonly #starts: Start[] = [];
  readonly #overtaken: Overtaken[] = [];

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** To be called before its first pod exists. */
  expect(gang: ExpectedGang): void {
    this.#gangs.set(gang.name, {
      expected: gang,
      members: new Map(),
      succeeded: new Set(),
      staying: 0,
      current: new Set(),
      openedAt: undefined,
      reached: false,
      isDeleted: false,
    });
  }

  /** Its user is about to delete it. */
  excuse(gang: string): void {
    const state = this.#gangs.get(gang);
    if (state) state.isDeleted = true;
  }

  /** Forgets a gang that is done, if it has no pods any more: a long run would fill the memory. */
  forget(gang: string): boolean {
    const isGone = this.#gangs.get(gang)?.members.size === 0;
    if (isGone) this.#gangs.delete(gang);
    return isGone;
  }

  get violations(): readonly Violation[] {
    return this.#violations;
  }

  get overtaken(): readonly Overtaken[] {
    return this.#overtaken;
  }

  /** The starts since the last call. */
  takeStarts(): readonly Start[] {
    return this.#starts.splice(0);
  }

  /** Pods that exist. */
  get size(): number {
    return this.#pods.size;
  }

  /** Pods that exist and have not ended, by what Muster holds of them. */
  count(): { readonly bound: number; readonly nominated: number; readonly placed: number; readonly gated: number } {
    const counts = { bound: 0, nominated: 0, placed: 0, gated: 0 };
    for (const pod of this.#pods.values()) {
      if (pod.ended) continue;
      if (pod.node !== undefined) counts.bound++;
      else if (pod.nominated) counts.nominated++;
      if (pod.node === undefined && pod.placed) counts.placed++;
      if (pod.gated) counts.gated++;
    }
    return counts;
  }

  /** Names of pods without a gang that carry the gate, and of pods of these gangs that have a place without being bound. */
  listHeld(waiting: readonly string[]): readonly string[] {
    return [...this.#pods.values()]
      .filter((pod) => {
        if (pod.ended || pod.node !== undefined) return false;
        if (pod.gang === undefined) return pod.gated;
        return waiting.includes(pod.gang) && (pod.nominated || pod.placed);
      })
      .map(({ name }) => name);
  }

  isDone(gang: string): boolean {
    const state = this.#gangs.get(gang);
    return state !== undefined && (state.isDeleted || state.succeeded.size >= state.expected.completions);
  }

  /** Whether all that it still needs is bound: what remains is up to the nodes. */
  isWithNodes(gang: string): boolean {
    const state = this.#gangs.get(gang);
    return state?.reached === true && state.staying + state.succeeded.size >= state.expected.completions;
  }

  /** What became of it, for a message. */
  describe(gang: string): string {
    const state = this.#gangs.get(gang);
    if (!state) return `${gang}: unknown`;
    const { members, succeeded, staying, expected } = state;
    const pods = [...members.values()];
    const held = pods.filter(({ gated }) => gated).length;
    return `${gang}: ${succeeded.size} of ${expected.completions} done, ${pods.length} pods, ${staying} bound, ${held} gated`;
  }

  /** The run has ended: whoever is partly bound now never came to its minimum. */
  close(): void {
    for (const state of this.#gangs.values())
      if (state.staying > 0 && !state.reached) this.#blamePart(state, 'at the end');
  }

  apply(type: string, pod: V1Pod, at: number): void {
    const uid = pod.metadata?.uid ?? '';
    const before = this.#pods.get(uid);
    const after = type === 'DELETED' ? undefined : readEntry(pod);
    if (after === undefined) this.#pods.delete(uid);
    else this.#pods.set(uid, after);
    this.#book(before, after);
    const gang = this.#gangs.get(after?.gang ?? before?.gang ?? '');
    if (gang) this.#move(gang, uid, { before, after, at });
  }

  /** The history was interrupted: these are all pods now. Those that are missing went meanwhile. */
  replace(pods: readonly V1Pod[], at: number): void {
    const now = new Set(pods.map(({ metadata }) => metadata?.uid));
    for (const [uid, { gang = '' }] of this.#pods) {
      if (!now.has(uid)) this.apply('DELETED', { metadata: { uid, labels: { 'muster.dev/pod-group': gang } } }, at);
    }
    for (const pod of pods) this.apply('MODIFIED', pod, at);
  }

  #book(before: Entry | undefined, after: Entry | undefined): void {
    if (before?.node !== undefined && after?.node === undefined) {
      this.#add(before, before.node, -1);
    } else if (before?.node === undefined && after?.node !== undefined) {
      this.#add(after, after.node, 1);
      this.#checkNode(after, after.node);
      this.#checkQueue(after);
    }
  }

  #add({ requests, queue }: Entry, node: string, sign: 1 | -1): void {
    const used = this.#used.get(node) ?? new Map<string, number>();
    this.#used.set(node, used);
    for (const [resource, amount] of requests) used.set(resource, (used.get(resource) ?? 0) + sign * amount);
    for (const limit of this.#options.limits ?? []) {
      if (limit.queue !== queue) continue;
      const key = `${queue} ${limit.resource}`;
      this.#queues.set(key, (this.#queues.get(key) ?? 0) + sign * (requests.get(limit.resource) ?? 0));
    }
  }

  #checkNode({ name }: Entry, node: string): void {
    for (const [resource, has] of this.#options.allocatable) {
      const used = this.#used.get(node)?.get(resource) ?? 0;
      if (used > has) this.#blame('double booking', `${node}: ${used} of ${has} ${resource} with ${name}`);
    }
  }

  #checkQueue({ name, queue }: Entry): void {
    for (const { resource, limit, queue: limited } of this.#options.limits ?? []) {
      const used = this.#queues.get(`${limited} ${resource}`) ?? 0;
      if (limited === queue && used > limit)
        this.#blame('quota', `${queue}: ${used} of ${limit} ${resource} with ${name}`);
    }
  }

  #move(gang: GangState, uid: string, step: { before: Entry | undefined; after: Entry | undefined; at: number }): void {
    const { before, after, at } = step;
    if (after) gang.members.set(uid, after);
    else gang.members.delete(uid);
    if (after?.succeeded) gang.succeeded.add(uid);
    const change = Number(after?.stays ?? false) - Number(before?.stays ?? false);
    gang.staying += change;
    if (change > 0) {
      gang.current.add(uid);
      this.#arrive(gang, after!, at);
    }
    const needed = this.#neededBy(gang);
    if (gang.staying > 0 && gang.staying >= needed && !gang.reached) {
      gang.reached = true;
      this.#starts.push({ gang: gang.expected.name, at, tookMs: at - (gang.openedAt ?? at) });
    }
    if (change < 0 && gang.staying === 0) {
      if (!gang.reached) this.#blameEnd(gang, at);
      gang.openedAt = undefined;
      gang.reached = false;
      gang.current.clear();
    }
  }

  /** Members that succeeded need no partner any more. */
  #neededBy({ expected, succeeded }: GangState): number {
    return Math.max(1, Math.min(expected.min, expected.completions - succeeded.size));
  }

  #arrive(gang: GangState, member: Entry, at: number): void {
    const { expected, members } = gang;
    if (gang.openedAt === undefined) {
      gang.openedAt = at;
      const ready = [...members.values()].filter(({ ended, gated }) => !ended && !gated).length;
      const needed = this.#neededBy(gang);
      if (ready < needed && !gang.isDeleted) {
        const found = `${ready} of ${needed} exist without a gate`;
        this.#blame(
          'partial gang',
          `${expected.name}: ${member.name} was bound first while ${found}: ${describe(members)}`,
        );
      }
    }
    const { domainOf } = expected;
    if (!domainOf) return;
    const staying = [...members.values()].filter(({ stays }) => stays);
    const domains = new Set(staying.map(({ node }) => domainOf(node!)));
    if (domains.size > 1) this.#blame('crossed level', `${expected.name}: ${[...domains].join(', ')}`);
  }

  /** All members of a start have left, and it never came to its minimum. */
  #blameEnd(gang: GangState, at: number): void {
    const haveFinished = [...gang.current].every((uid) => gang.succeeded.has(uid));
    if (!haveFinished) this.#blamePart(gang, 'before they left');
    else if (!gang.isDeleted) {
      const { name } = gang.expected;
      this.#overtaken.push({
        gang: name,
        from: gang.openedAt ?? at,
        to: at,
        text: `${name}: ${describe(gang.members)}`,
      });
    }
  }

  #blamePart(gang: GangState, when: string): void {
    if (gang.isDeleted) return;
    const what = `never ${this.#neededBy(gang)} bound at once ${when}: ${describe(gang.members)}`;
    this.#blame('partial gang', `${gang.expected.name}: ${what}`);
  }

  #blame(kind: ViolationKind, text: string): void {
    if (this.#violations.length < MAX_VIOLATIONS) this.#violations.push({ kind, text });
  }
}

function readEntry({ metadata, spec, status }: V1Pod): Entry {
  const { labels, annotations } = metadata ?? {};
  const ended = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  const isToLeave = status?.conditions?.some(({ type, status: is }) => type === 'DisruptionTarget' && is === 'True');
  const node = spec?.nodeName && !ended ? spec.nodeName : undefined;
  const requests = new Map([['pods', 1]]);
  for (const { resources } of spec?.containers ?? []) addAmounts(requests, resources?.requests);
  return {
    name: metadata?.name ?? '',
    gang: labels?.['muster.dev/pod-group'],
    queue: labels?.['muster.dev/queue'],
    requests,
    node,
    stays: node !== undefined && metadata?.deletionTimestamp === undefined && !isToLeave,
    succeeded: status?.phase === 'Succeeded',
    ended,
    gated: spec?.schedulingGates?.some(({ name }) => name === gangGate) ?? false,
    nominated: Boolean(status?.nominatedNodeName) && !spec?.nodeName,
    placed: annotations?.['muster.dev/plan'] !== undefined,
  };
}

/** The members and what is true of each, for a message. */
function describe(members: ReadonlyMap<string, Entry>): string {
  const flags = ['stays', 'succeeded', 'ended', 'gated', 'nominated', 'placed'] as const;
  const lines = [...members.values()].map(
    (pod) => `${pod.name} ${pod.node ?? '-'} ${flags.filter((is) => pod[is]).join('+')}`,
  );
  return lines.slice(0, 20).join(', ');
}

/** Adds amounts of a wire object. The judge reads them on its own, and knows the few ways in which benchmarks write them. */
function addAmounts(sums: Map<string, number>, amounts: Readonly<Record<string, string>> = {}): void {
  for (const [resource, text] of Object.entries(amounts)) {
    const amount = Number(text.replace(/Gi$/, '')) * (text.endsWith('Gi') ? 2 ** 30 : 1);
    if (!Number.isFinite(amount)) throw new Error(`expected ${resource} as a number or in Gi, found "${text}"`);
    sums.set(resource, (sums.get(resource) ?? 0) + amount);
  }
}
