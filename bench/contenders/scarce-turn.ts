/**
 * A full cluster, as in KAI's scale tests: gangs of low priority take all nodes through the tool itself; another one of
 * the same priority cannot start, and its user waits for a reason; then one of high priority takes places of others.
 */
import type { CoreV1Event, V1Pod } from '@kubernetes/client-node';
import type { ApiClient } from '../../test/e2e/cluster/api-client.ts';
import { follow } from '../../test/e2e/cluster/watch-until.ts';
import type { Arena } from '../e2e/arena.ts';
import { createClasses, HIGH, LOW } from '../preemption/residents.ts';
import { GPUS_PER_NODE, type ScarceCase } from './cases.ts';
import { Course } from './course.ts';
import { type FieldTurn, takeFieldTurn, until, watchCourse } from './field-turn.ts';
import { GANG_LABEL, type Requests, submit, withdraw } from './submission.ts';
import type { Tool } from './tools.ts';

export interface ScarceTurn {
  /** Undefined when the residents could not start by the deadline, and nothing else was measured. */
  readonly filledMs: number | undefined;
  /** The first answer to the gang that cannot start. */
  readonly reason: Reason | undefined;
  readonly arrival: FieldTurn | undefined;
  /** Residents that lost all their pods, that lost some, and the pods that left. */
  readonly gone: number;
  readonly broken: number;
  readonly evicted: number;
}

export interface Reason {
  readonly afterMs: number;
  /** Where it stands and what it says. */
  readonly text: string;
}

export interface ScarceTurnOptions extends ScarceCase {
  readonly deadlineMs: number;
  /** Makes names unique. */
  readonly turn: number;
}

/** Members of the gang that cannot start. */
const HOPELESS = 10;
const REASON_WITHIN_MS = 60_000;

/** The tool runs already. */
export async function takeScarceTurn(arena: Arena, tool: Tool, options: ScarceTurnOptions): Promise<ScarceTurn> {
  const { nodes, residents: size, arriving, deadlineMs, turn } = options;
  const { api } = arena.cluster;
  await createClasses(api, tool.contender);
  const request = (name: string, members: number, priorityClassName: string) =>
    tool.submissionOf({ name: `${name}-${turn}`, size: members, gpus: GPUS_PER_NODE, priorityClassName });
  const residents = Array.from({ length: Math.ceil(nodes / size) }, (_, i) =>
    request(`resident-${i}`, Math.min(size, nodes - i * size), LOW),
  );
  const course = new Course(residents);
  const watcher = watchCourse(api, course);
  try {
    const requests: Requests = { gangs: new Map(), pods: new Map() };
    const start = performance.now();
    const submitted = submit(api, residents, requests);
    submitted.catch(() => {});
    await until(() => course.idle === 0, start + deadlineMs, submitted, watcher);
    if (course.idle > 0) {
      return { filledMs: undefined, reason: undefined, arrival: undefined, gone: 0, broken: 0, evicted: 0 };
    }
    const filledMs = performance.now() - start;
    const hopeless = request('hopeless', Math.min(HOPELESS, nodes), LOW);
    const asked = performance.now();
    const reason = awaitReason(api, hopeless.gang, asked);
    await submit(api, [hopeless], requests);
    const found = await reason;
    await withdraw(api, hopeless);
    const arrival = await takeFieldTurn(arena, [request('arriving', arriving, HIGH)], { deadlineMs });
    const evicted = course.unbound;
    return { filledMs, reason: found, arrival, gone: course.gone(), broken: course.broken(), evicted };
  } finally {
    await watcher.stop();
  }
}

/** The first thing that a user can read about the gang: a pod's PodScheduled condition with a message, or an Event. */
async function awaitReason(api: ApiClient, gang: string, since: number): Promise<Reason | undefined> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), REASON_WITHIN_MS);
  const first = async (texts: AsyncIterable<string>): Promise<Reason> => {
    for await (const text of texts) return { afterMs: performance.now() - since, text };
    throw new Error('expected a reason');
  };
  try {
    return await Promise.any([first(conditions(api, gang, abort.signal)), first(notes(api, gang, abort.signal))]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

async function* conditions(api: ApiClient, gang: string, signal: AbortSignal): AsyncGenerator<string> {
  for await (const { object } of follow(api, 'pods', { labelSelector: `${GANG_LABEL}=${gang}` }, 'default', signal)) {
    const text = reasonOf(object);
    if (text !== undefined) yield text;
  }
}

async function* notes(api: ApiClient, gang: string, signal: AbortSignal): AsyncGenerator<string> {
  for await (const { object } of follow(api, 'events', {}, 'default', signal)) {
    if (isAbout(object, gang)) yield `Event ${object.reason}: ${object.message}`;
  }
}

/** A gate is no reason: it only says that somebody else will decide. */
export function reasonOf({ status }: V1Pod): string | undefined {
  const condition = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (condition?.status !== 'False' || condition.reason === 'SchedulingGated' || !condition.message) return undefined;
  return `PodScheduled ${condition.reason}: ${condition.message}`;
}

/** What says that the gang was created, suspended or seen is no reason why it waits. */
export function isAbout({ involvedObject, reason }: CoreV1Event, gang: string): boolean {
  const isStep = /^(Suspended|CreatedWorkload|SuccessfulCreate|Created|UpdatedWorkload)$/.test(reason ?? '');
  return !isStep && (involvedObject.name ?? '').includes(gang);
}
