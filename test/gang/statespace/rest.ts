/** What must hold when nothing happens any more, and when afterwards all pods are gone. */
import { isOver, type Model } from './model.ts';

/** A gang that could start has started, no gang is there in part, and no call waits. */
export function checkRest(model: Model): readonly string[] {
  const found: string[] = [];
  const pods = model.api.list('Pod').filter((pod) => !isOver(pod));
  const bound = pods.filter(({ spec }) => spec.nodeName);
  const membersOf = (name: string) => pods.filter(({ metadata }) => metadata.labels?.['muster.dev/pod-group'] === name);
  const cordoned = model.api.list('Node').filter(({ spec }) => spec.unschedulable);
  for (const { name, min } of model.gangs) {
    const members = membersOf(name);
    const started = members.filter(({ spec }) => spec.nodeName).length;
    if (!model.disturbed.has(name) && started > 0 && started < min)
      found.push(`at rest, ${started} of ${min} members of ${name} are bound`);
    // A gang that lost or got a member may have a problem that keeps it waiting.
    const isComplete = members.length >= min && started === 0 && !model.disturbed.has(name);
    if (isComplete && bound.length === 0 && cordoned.length === 0)
      found.push(`at rest, nothing runs and ${name} waits`);
  }
  for (const { pod, process } of model.assumed.values())
    if (process) found.push(`at rest, the bind call of ${pod.metadata.name} is not answered`);
  for (const { session } of model.processes)
    if (session.writes.length > 0) found.push(`at rest, ${session.writes.length} writes are not answered`);
  return found;
}

/** Deletes all pods and lets every process see it: nothing may be held any more. */
export async function checkLeftovers(model: Model): Promise<readonly string[]> {
  for (const { metadata } of model.api.list('Pod')) model.api.delete(metadata.name);
  for (let steps = 0; steps < 300; steps++) {
    const process = model.processes.findIndex(
      ({ session }) => session.events.Pod.length > 0 || model.clock.isDue(session),
    );
    const writing = model.processes.findIndex(({ session }) => session.writes.length > 0);
    if (process !== -1) {
      const { session } = model.processes[process]!;
      await model.apply(
        session.events.Pod.length > 0 ? { do: 'deliver', process, kind: 'Pod' } : { do: 'timer', process },
      );
    } else if (writing !== -1) await model.apply({ do: 'answer', process: writing, write: 0, how: 'ok' });
    else if (steps < 200 && Number.isFinite(model.clock.untilNext)) await model.apply({ do: 'advance' });
    else break;
  }
  return model.processes.flatMap(({ scheduler: { reservations, barrier } }) => {
    const left = [reservations.size, [...reservations.holds()].length, barrier.held];
    return left.some((count) => count > 0)
      ? [`without pods, ${left.join(' slots, ')} holds and held calls are left`]
      : [];
  });
}
