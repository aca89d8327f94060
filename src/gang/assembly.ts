/**
 * Builds the gang package: the decision loop, the verbs that kube-scheduler calls, and the view for the inspect API.
 */
import type { PodModel } from '../core/objects/model.ts';
import { Admission } from './admit/admission.ts';
import { Backfill } from './admit/backfill.ts';
import { Endings } from './admit/endings.ts';
import { QueueTable } from './admit/queue-table.ts';
import { findRestoredModels } from './admit/restored-models.ts';
import { RunHistory } from './admit/run-history.ts';
import { RunLimits } from './admit/run-limits.ts';
import { Satisfiability } from './admit/satisfiability.ts';
import { Coordinator } from './coordinator.ts';
import { Binder } from './extender/binder.ts';
import { Inspection } from './extender/inspection.ts';
import { LoneAdmission } from './extender/lone-admission.ts';
import { LonePods } from './extender/lone-pods.ts';
import { Verbs } from './extender/verbs.ts';
import { Barrier, type Brought } from './framework/barrier.ts';
import type { LoopContext } from './framework/context.ts';
import { CycleTimer } from './framework/cycle-timer.ts';
import { Isolation } from './framework/isolation.ts';
import { LowestPriority } from './framework/lowest-priority.ts';
import { PlanningInputs } from './framework/planning-input.ts';
import type { ExtenderVerbs, GateSwitch, SchedulerView, Searcher } from './framework/ports.ts';
import { Releaser } from './framework/releaser.ts';
import { GangTable } from './observe/gang-table.ts';
import { Observation } from './observe/observation.ts';
import { EarlyPlanner } from './plan/early-planner.ts';
import { FreedSpace } from './plan/freed-space.ts';
import { Pacing } from './plan/pacing.ts';
import { Planner } from './plan/planner.ts';
import { SlotAssigner } from './plan/slot-assigner.ts';
import { OpenSearches } from './preempt/open-searches.ts';
import { Preemptor } from './preempt/preemptor.ts';
import { VictimFinder } from './preempt/victim-finder.ts';
import { NodeFailures } from './repair/node-failures.ts';
import { type FindModels, Repairer } from './repair/repairer.ts';
import { BarrierReach } from './state/barrier-reach.ts';
import { Passage } from './state/passage.ts';
import type { GangRecord } from './state/records.ts';
import { Reservations } from './state/reservations.ts';
import { StartFailures } from './state/start-failures.ts';
import { BarrierOpener } from './write/barrier-opener.ts';
import { Dispatcher, type DispatcherParts } from './write/dispatcher.ts';
import { Evictor } from './write/evictor.ts';
import { GateKeeper } from './write/gate-keeper.ts';
import { HolderFinder } from './write/holder-finder.ts';
import { KeyAdvisor } from './write/key-advisor.ts';
import { Nominator } from './write/nominator.ts';
import { Publisher } from './write/publisher.ts';
import { QueuePublisher } from './write/queue-publisher.ts';
import { StrayKeeper } from './write/stray-keeper.ts';

/** What the package needs from outside. */
export type SchedulerPorts = Pick<
  LoopContext,
  'view' | 'writer' | 'queueWriter' | 'observer' | 'clock' | 'settings'
> & {
  /** How long the barrier may hold a bind call, milliseconds; less than kube-scheduler's `httpTimeout`. */
  readonly barrierTimeoutMs: number;
  /** At most this many of the nodes that fit are offered to a lone pod. */
  readonly lonePodCandidates: number;
  /** The schedulers whose pods `projectPod` takes for ours; for messages. */
  readonly schedulerNames: readonly string[];
  readonly projectPod: (raw: object) => PodModel;
  readonly searcher: Searcher;
  /** Undefined: no admission policy is told anything. */
  readonly gates?: GateSwitch;
};

export interface Scheduler {
  readonly coordinator: Coordinator;
  readonly verbs: ExtenderVerbs;
  readonly view: SchedulerView;
  readonly reservations: Reservations;
  readonly barrier: Barrier;
  /** Whether a member that is created now gets the gate. */
  readonly isGating: () => boolean;
}

export function assembleScheduler(ports: SchedulerPorts): Scheduler {
  const { view, writer, queueWriter, observer, clock, settings } = ports;
  const reservations = new Reservations();
  const passage = new Passage();
  const barrier: Barrier = new Barrier(clock, {
    onTimeout: (gang, timeout) => observation.onBarrierTimeout(gang, timeout),
    onAbandoned: () => observer.onBarrierAbandoned(),
    onOpened: (brought) => noteOpened(brought, ports, passage),
  });
  const isolation: Isolation = new Isolation({
    clock,
    budgetMs: settings.timeBudgetMs,
    onFault: (report) => observer.onFault(report),
    setAside: (gang, fault) => giveUp(gangs.setAside(gang, fault), { reservations, releaser, timer }),
    hasPlaces: (gang) => reservations.countOf(gang) > 0,
  });
  const context: LoopContext = {
    view,
    reservations,
    startFailures: new StartFailures(settings),
    passage,
    reach: new BarrierReach(passage, clock, ports.barrierTimeoutMs),
    barrier,
    writer,
    queueWriter,
    observer,
    clock,
    settings,
    isolation,
  };
  const gangs: GangTable = new GangTable(context);
  const timer: CycleTimer = new CycleTimer(clock, gangs);
  const releaser: Releaser = new Releaser(context, timer);
  const evictor = new Evictor(context, timer);
  const opener = new BarrierOpener(context, timer);

  // 1 observe, 2 repair
  const observation = new Observation(context, gangs, releaser, timer);
  const failures = new NodeFailures(settings.repair.memoryMs, settings.repair.suspectAfter);

  // 3 admit
  const inputs = new PlanningInputs(context, failures);
  const queues = new QueueTable(context);
  const findModels: FindModels = (record, members) => findRestoredModels(record, members, queues);
  const repairer = new Repairer(context, evictor, failures, findModels);
  const history = new RunHistory();
  const limits = new RunLimits(context, queues, evictor);
  const endings = new Endings(context, queues, history);
  const backfill = new Backfill(context, { inputs, endings, searcher: ports.searcher, waker: timer });
  const satisfiability = new Satisfiability(context, queues);
  const admission = new Admission(context, { queues, satisfiability, backfill, limits, history, repairs: repairer });

  // 4 plan, 5 preempt
  const pacing = new Pacing(reservations, passage);
  const assigner = new SlotAssigner(context, pacing);
  const early = new EarlyPlanner(context, assigner, inputs);
  const lowest = new LowestPriority(context);
  const freedSpace = new FreedSpace(context, { lowest, queues });
  const planner = new Planner(context, { assigner, early, inputs, pacing, freedSpace, queues, satisfiability });
  const victims = new VictimFinder(context, new OpenSearches(ports.searcher, timer), backfill);
  const preemptor = new Preemptor(context, { assigner, inputs, queues, victims, lowest });

  // 6 write, 7 publish
  const advisor = new KeyAdvisor(context, timer, queues, ports.schedulerNames);
  const dispatcher = assembleDispatcher(context, timer, { evictor, opener, advisor, gates: ports.gates });
  const queuePublisher = new QueuePublisher(context, queues);
  const holders = new HolderFinder(context);
  const publisher = new Publisher(context, repairer, queuePublisher, holders);
  const coordinator = new Coordinator(context, {
    timer,
    gangs,
    queues,
    failures,
    releaser,
    observation,
    repairer,
    admission,
    satisfiability,
    planner,
    preemptor,
    dispatcher,
    queuePublisher,
    publisher,
  });

  // Answers between two cycles
  const verbs = assembleVerbs(context, ports, { gangs, observation, opener, timer, queues, admission, advisor });
  const inspection = new Inspection(context, { gangs, failures, queues, backfill, endings, holders });
  return { coordinator, verbs, view: inspection, reservations, barrier, isGating: () => dispatcher.isGating };
}

function noteOpened(brought: Brought, { observer, clock }: SchedulerPorts, passage: Passage): void {
  passage.noteBrought(brought, clock.now());
  observer.onBarrierOpened(brought.waitedMs / 1000);
}

function assembleDispatcher(
  context: LoopContext,
  timer: CycleTimer,
  {
    gates,
    ...shared
  }: Pick<DispatcherParts, 'evictor' | 'opener' | 'advisor'> & { readonly gates: GateSwitch | undefined },
): Dispatcher {
  const strays = new StrayKeeper(context, timer);
  const nominator = new Nominator(context, timer);
  return new Dispatcher(context, { ...shared, nominator, strays, gates: new GateKeeper(context, gates, timer) });
}

function assembleVerbs(
  context: LoopContext,
  ports: SchedulerPorts,
  parts: {
    readonly gangs: GangTable;
    readonly observation: Observation;
    readonly opener: BarrierOpener;
    readonly timer: CycleTimer;
    readonly queues: QueueTable;
    readonly admission: Admission;
    readonly advisor: KeyAdvisor;
  },
): Verbs {
  const { gangs, observation, opener, timer, queues, admission, advisor } = parts;
  const { reservations, settings } = context;
  const lonePods = new LonePods(reservations, settings.policy.isAccelerator, ports.lonePodCandidates);
  return new Verbs(context, {
    gangs,
    observation,
    binder: new Binder(context, { gangs, opener, waker: timer, lonePods }),
    lonePods,
    loneAdmission: new LoneAdmission(context, queues, admission),
    projectPod: ports.projectPod,
    advisor,
  });
}

/** A gang that is set aside gives back what is not bound. */
function giveUp(
  record: GangRecord | undefined,
  parts: { readonly reservations: Reservations; readonly releaser: Releaser; readonly timer: CycleTimer },
): void {
  const { reservations, releaser, timer } = parts;
  if (record) {
    reservations.releasePlaceholdersOf(record.gang.key);
    if (reservations.countOf(record.gang.key) > 0)
      releaser.release({ record, cause: 'set-aside', message: 'it is set aside', isBlameless: true });
  }
  timer.wake();
}
