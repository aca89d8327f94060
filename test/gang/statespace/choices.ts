/**
 * Which actions are possible, and which one an undisturbed world would take next. Everything else is a deviation: an
 * event that comes late, an answer that is lost, a process that dies.
 */
import type { WireObject } from '../../support/cluster-in-memory.ts';
import { type Action, isOver, type Model } from './model.ts';

/**
 * What an undisturbed world does first when several things are possible. `prompt`: watches are fast. `late watch`:
 * everything else goes on before an event is delivered. `slow API`: writes are answered when nothing else is left.
 */
export type Pace = 'prompt' | 'late watch' | 'slow API';

export const PACES: readonly Pace[] = ['prompt', 'late watch', 'slow API'];

const ORDERS: Readonly<Record<Pace, readonly Action['do'][]>> = {
  prompt: ['timer', 'answer', 'deliver', 'bind', 'attempt', 'advance'],
  'late watch': ['timer', 'answer', 'bind', 'attempt', 'deliver', 'advance'],
  'slow API': ['timer', 'deliver', 'bind', 'attempt', 'answer', 'advance'],
};

export interface Choices {
  /** Undefined: nothing happens any more, however long one waits. */
  readonly usual: Action | undefined;
  readonly deviations: readonly Action[];
}

export function listChoices(model: Model, pace: Pace): Choices {
  const ordinary = listOrdinary(model);
  const order = ORDERS[pace];
  const usual = ordinary.toSorted((a, b) => order.indexOf(a.do) - order.indexOf(b.do))[0];
  const deviations = [...ordinary.filter((action) => action !== usual), ...listFaults(model)];
  return { usual, deviations };
}

/** What may happen in a world without faults, in any order. */
function listOrdinary(model: Model): readonly Action[] {
  const actions: Action[] = [];
  for (const [process, { session }] of model.processes.entries()) {
    if (model.clock.isDue(session)) actions.push({ do: 'timer', process });
    for (const write of session.writes.keys()) actions.push({ do: 'answer', process, write, how: 'ok' });
    for (const kind of ['Pod', 'Node'] as const)
      if (session.events[kind].length > 0) actions.push({ do: 'deliver', process, kind });
  }
  // Calls go to the newest process first: the other one is about to be replaced.
  for (let process = model.processes.length - 1; process >= 0; process--) {
    for (const { pod: assumedPod, process: caller } of model.assumed.values()) {
      const pod = assumedPod.metadata.name;
      if (!caller && model.api.pod(pod)?.metadata.uid === assumedPod.metadata.uid)
        actions.push({ do: 'bind', pod, process });
    }
    for (const pod of model.api.list('Pod'))
      if (mayTry(model, pod)) actions.push({ do: 'attempt', pod: pod.metadata.name, process });
  }
  if (Number.isFinite(model.clock.untilNext)) actions.push({ do: 'advance' });
  return actions;
}

function mayTry(model: Model, { metadata, spec, status }: WireObject): boolean {
  if (spec.nodeName || spec.schedulingGates || status.phase !== 'Pending') return false;
  return model.active.has(metadata.name) && !model.assumed.has(metadata.uid!);
}

function listFaults(model: Model): readonly Action[] {
  const faults: Action[] = [{ do: 'crash' }];
  if (model.processes.length === 1) faults.push({ do: 'second leader' });
  for (const [process, { session }] of model.processes.entries())
    for (const write of session.writes.keys())
      faults.push({ do: 'answer', process, write, how: 'lost' }, { do: 'answer', process, write, how: 'fail' });
  for (const { pod, process } of model.assumed.values())
    if (process) faults.push({ do: 'disconnect', pod: pod.metadata.name });
  for (const pod of model.api.list('Pod')) {
    const { name, labels } = pod.metadata;
    if (isOver(pod)) continue;
    faults.push({ do: 'delete', pod: name });
    if (labels?.['muster.dev/pod-group']) faults.push({ do: 'leave', pod: name }, { do: 'move', pod: name });
    if (pod.spec.nodeName) faults.push({ do: 'succeed', pod: name }, { do: 'fail', pod: name });
  }
  for (const { metadata, spec } of model.api.list('Node'))
    if (!spec.unschedulable) faults.push({ do: 'cordon', node: metadata.name });
  return faults;
}
