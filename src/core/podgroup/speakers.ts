/**
 * Finds the members that speak for the gang: those that say what its waiting members are to follow. A template may be
 * edited while members run, so members that have started are asked last, and of the pods of one controller those that
 * say something else than the newest one are out of date. O(members).
 */
import { isTerminated, type PodModel } from '../objects/model.ts';
import { memberKeys } from './member-keys.ts';

/** @param members in rank order, which the speakers keep. At least one of several members speaks. */
export function findSpeakers(members: readonly PodModel[]): readonly PodModel[] {
  const present = members.filter((pod) => !isTerminated(pod));
  const waiting = present.filter(({ nodeName }) => nodeName === '');
  const subjects = waiting.length > 0 ? waiting : present.length > 0 ? present : members;
  if (subjects.length === 0) return subjects;
  const text = memberKeys(subjects[0]!).gangWide;
  // Nearly always all say the same.
  if (subjects.every((pod) => memberKeys(pod).gangWide === text)) return subjects;
  const newest = new Map<string, PodModel>();
  for (const pod of subjects) {
    const template = templateOf(pod);
    const known = template === undefined ? undefined : newest.get(template);
    if (template !== undefined && (!known || isNewer(pod, known))) newest.set(template, pod);
  }
  return subjects.filter((pod) => {
    const template = templateOf(pod);
    return template === undefined || memberKeys(newest.get(template)!).gangWide === memberKeys(pod).gangWide;
  });
}

function isNewer(a: PodModel, b: PodModel): boolean {
  return a.createdAt > b.createdAt || (a.createdAt === b.createdAt && a.name > b.name);
}

/**
 * What makes pods like this one. A Deployment makes a ReplicaSet for each version of its template, and a
 * LeaderWorkerSet a StatefulSet for each group. Several kinds of pods that one owner makes are told apart by their
 * index. Undefined for a pod that nobody owns: it is out of date only when its user says so.
 */
function templateOf(pod: PodModel): string | undefined {
  const { owner, labels } = pod;
  if (!owner) return undefined;
  const kind = memberKeys(pod).index?.kind ?? '';
  const workerSet = labels['leaderworkerset.sigs.k8s.io/name'];
  if (workerSet) return `${workerSet} ${labels['leaderworkerset.sigs.k8s.io/worker-index'] === '0'}`;
  const hash = labels['pod-template-hash'];
  return hash && owner.name.endsWith(hash) ? owner.name.slice(0, -hash.length) : `${owner.uid} ${kind}`;
}
