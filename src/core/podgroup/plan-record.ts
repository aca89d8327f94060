/**
 * The record of a slot on its pod, annotation `muster.dev/plan`: `<plan>/<node>/<attempt>`, and after a blank the topology
 * levels that the gang had when it was planned: `m1k2j3/node-12/1 required=block exclusive=rack`. It stays on the pod when
 * that is bound, so that levels count as planned, whatever is written on a running pod later.
 *
 * Only Muster writes it, if deploy/record-policies.yaml is installed. Without that it is believed only as far as its
 * reader says.
 */
import { PLAN, QUEUE, TOPOLOGY_EXCLUSIVE } from '../objects/keys.ts';
import type { PodModel } from '../objects/model.ts';
import { wholeNumber } from '../objects/text-values.ts';
import type { TopologyRequest } from '../topology/request.ts';

/** What a gang asked of the fabric when it was planned, as far as it binds others or itself. */
export type PlannedLevels = Pick<TopologyRequest, 'required' | 'slice' | 'spread' | 'exclusive'>;

export interface PlanRecord {
  readonly plan: string;
  readonly node: string;
  readonly attempt: number;
  readonly levels: PlannedLevels;
}

export const NO_LEVELS: PlannedLevels = Object.freeze({
  required: undefined,
  slice: undefined,
  spread: undefined,
  exclusive: undefined,
});

/** The part of a request that is recorded. */
export function plannedLevels({ required, slice, spread, exclusive }: TopologyRequest): PlannedLevels {
  return { required, slice, spread, exclusive };
}

/** The record as it is written on the pod. */
export function renderPlan({ plan, node, attempt, levels }: PlanRecord): string {
  const { required, slice, spread, exclusive } = levels;
  const named = [
    ['required', required],
    ['slice', slice && `${slice.size}/${slice.level}`],
    ['spread', spread],
    ['exclusive', exclusive],
  ] as const;
  // A level that a gang was planned for exists, and no level's name has a blank.
  const words = named.flatMap(([key, value]) => (value && !/\s/.test(value) ? [`${key}=${value}`] : []));
  return [`${plan}/${node}/${attempt}`, ...words].join(' ');
}

/** Reads the record of a pod; undefined if it has none, or an invalid one. */
export function parsePlan({ annotations }: Pick<PodModel, 'annotations'>): PlanRecord | undefined {
  const [place = '', ...words] = (annotations[PLAN] ?? '').split(' ');
  const [plan, node, attempt, rest] = place.split('/');
  if (!plan || !node || !attempt || rest !== undefined || !/^\d{1,9}$/.test(attempt)) return undefined;
  return { plan, node, attempt: Number(attempt), levels: words.length === 0 ? NO_LEVELS : parseLevels(words) };
}

function parseLevels(words: readonly string[]): PlannedLevels {
  const levelIn = (key: string) => words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1) || undefined;
  const slice = levelIn('slice');
  const end = slice?.indexOf('/') ?? -1;
  const size = end < 0 ? undefined : wholeNumber(slice!.slice(0, end));
  const level = slice?.slice(end + 1);
  return {
    required: levelIn('required'),
    slice: size && level ? { size, level } : undefined,
    spread: levelIn('spread'),
    exclusive: levelIn('exclusive'),
  };
}

/** What a bound member was planned with; undefined: it is not bound, or its record is not about its node. */
export function levelsOf(pod: PodModel): PlannedLevels | undefined {
  if (pod.nodeName === '' || pod.annotations[PLAN] === undefined) return undefined;
  const record = parsePlan(pod);
  return record?.node === pod.nodeName ? record.levels : undefined;
}

/**
 * The level that a bound pod closes to other gangs: the one that its gang was planned with, as long as the pod still asks
 * for it. A key that is added or changed later closes nothing.
 */
export function exclusiveOf(pod: PodModel): string | undefined {
  const asked = pod.annotations[TOPOLOGY_EXCLUSIVE];
  return asked !== undefined && levelsOf(pod)?.exclusive === asked ? asked : undefined;
}

/**
 * The pod with the record that it had when it was bound: no binding changes, so neither does its record. A level that is
 * given up once does not come back.
 * @param before the same pod as it was known until now.
 */
export function keepRecord(pod: PodModel, before: PodModel): PodModel {
  if (before.nodeName === '') return pod;
  let kept = before.annotations[PLAN];
  if (exclusiveOf(before) !== undefined && pod.annotations[TOPOLOGY_EXCLUSIVE] !== exclusiveOf(before)) {
    const record = parsePlan(before)!;
    kept = renderPlan({ ...record, levels: { ...record.levels, exclusive: undefined } });
  }
  if (pod.annotations[PLAN] === kept) return pod;
  const { [PLAN]: _written, ...others } = pod.annotations;
  return { ...pod, annotations: kept === undefined ? others : { ...others, [PLAN]: kept } };
}

/**
 * The pod with the queue label that it had when it was bound: what it uses counts there until it ends. With another label it
 * would use up nothing of the queue that let it start, and no run limit would count.
 * @param before the same pod as it was known until now.
 */
export function keepQueue(pod: PodModel, before: PodModel): PodModel {
  const kept = before.labels[QUEUE];
  if (before.nodeName === '' || pod.labels[QUEUE] === kept) return pod;
  const { [QUEUE]: _written, ...others } = pod.labels;
  return { ...pod, labels: kept === undefined ? others : { ...others, [QUEUE]: kept } };
}
