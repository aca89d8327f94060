/** Muster's Prometheus metrics. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CallOutcome, ExtenderVerb, FailedOutcome } from './outcomes.ts';

/*
 * All metrics, in the order of docs/METRICS.md; a test compares the two. Labels take values from small fixed sets. They
 * never name a pod, gang, node or namespace, as each name would add a series forever.
 */

const requestBuckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30,
];
const planBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** From seconds to days. */
const waitBuckets = [1, 3, 10, 30, 60, 180, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400, 259_200, 604_800];
const barrierBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 25, 30, 60, 120];

/** How a barrier can end. */
export const barrierResults = ['opened', 'timeout', 'abandoned'] as const;
/** What can happen to an Event; see `EventRecorder`. */
export const eventResults = ['written', 'failed', 'repeated', 'replaced', 'dropped'] as const;

/** What can become of new TLS files. */
export const tlsReloadResults = ['ok', 'failed'] as const;

export type EventResult = (typeof eventResults)[number];

/**
 * The metrics of one Muster, in their own registry, so that two instances in one process stay apart (tests,
 * simulation).
 */
export class Metrics {
  readonly #registry = new Registry();

  readonly buildInfo = this.#gauge('muster_build_info', '1, with what runs', ['version']);
  readonly requestDuration = this.#histogram(
    'muster_extender_request_duration_seconds',
    'Time from an extender call to its answer; a bind includes the wait at the barrier',
    ['verb', 'outcome'],
    requestBuckets,
  );
  readonly refusedCalls = this.#counter(
    'muster_refused_calls_total',
    'Calls that were not answered because of who called',
    ['reason'],
  );
  readonly refusedConnections = this.#counter(
    'muster_refused_connections_total',
    'Connections that were closed because there were too many, or because they took too long',
    ['reason'],
  );
  readonly tlsReloads = this.#counter(
    'muster_tls_reloads_total',
    'Times that new TLS files were read while Muster ran',
    ['result'],
  );
  readonly tlsCertificateEnd = this.#gauge(
    'muster_tls_certificate_expiry_timestamp_seconds',
    'When the certificate ends that Muster presents',
    [],
  );
  readonly accessReviews = this.#counter(
    'muster_access_reviews_total',
    'Questions to the API server about bearer tokens and their rights',
    ['kind', 'result'],
  );
  readonly admissionReviews = this.#counter(
    'muster_admission_reviews_total',
    'New pods that the API server asked the webhook about',
    ['result'],
  );
  readonly planDuration = this.#histogram(
    'muster_plan_duration_seconds',
    'Time to plan one gang',
    ['result'],
    planBuckets,
  );
  readonly decisionRoundDuration = this.#histogram(
    'muster_decision_round_duration_seconds',
    'Time of one round of the decision loop over all gangs that wait',
    [],
    planBuckets,
  );
  readonly preemptionPlanDuration = this.#histogram(
    'muster_preemption_plan_duration_seconds',
    'Time to choose the victims of one gang',
    ['result'],
    planBuckets,
  );
  readonly startPlanDuration = this.#histogram(
    'muster_start_plan_duration_seconds',
    'Time to plan when and where a blocked gang will start',
    ['result'],
    planBuckets,
  );
  readonly backfills = this.#counter(
    'muster_backfills_total',
    'Gangs that started past one that waits, without delaying it',
    [],
  );
  readonly runTimesOver = this.#counter(
    'muster_run_times_over_total',
    'Gangs that were evicted because they ran as long as their queue allows',
    ['queue'],
  );
  readonly searchTroubles = this.#counter(
    'muster_search_troubles_total',
    'Searches for victims, and plans of starts, in their own thread that gave no answer that could be used',
    ['question', 'trouble'],
  );
  readonly preemptions = this.#counter('muster_preemptions_total', 'Gangs that preempted others', []);
  readonly preemptionLostWork = this.#counter(
    'muster_preemption_lost_accelerator_seconds_total',
    'Work that victims lost: accelerator-seconds since their start or last checkpoint',
    [],
  );
  readonly preemptionsBlocked = this.#counter(
    'muster_preemptions_blocked_total',
    'Preemptions that chose other victims because evictions stayed refused',
    [],
  );
  readonly evictions = this.#counter('muster_evictions_total', 'Evictions asked for', ['result']);
  readonly restarts = this.#counter(
    'muster_gang_restarts_total',
    'Running gangs that were evicted to start anew because they had lost members',
    [],
  );
  readonly nodeFailures = this.#counter(
    'muster_node_failures_total',
    'Times a running gang lost members because of a node',
    [],
  );
  readonly suspectNodes = this.#gauge('muster_suspect_nodes', 'Nodes that gangs lost members on again and again', []);
  readonly gangs = this.#gauge('muster_gangs', 'Gangs by state', ['state']);
  readonly gangFaults = this.#counter(
    'muster_gang_faults_total',
    'Times a gang was set aside because handling it failed or took too long',
    ['step', 'cause'],
  );
  readonly gangWait = this.#histogram(
    'muster_gang_wait_seconds',
    'Time from the creation of a gang until enough of its members are on nodes',
    ['queue'],
    waitBuckets,
  );
  readonly reservations = this.#gauge('muster_reservations', 'Slots that are reserved and not bound', []);
  readonly reservationsReleased = this.#counter(
    'muster_reservation_released_total',
    'Slots that were given back unused',
    ['reason'],
  );
  readonly nominations = this.#counter('muster_nominations_total', 'Nominations written to pods', ['result']);
  readonly nominationsLost = this.#counter(
    'muster_nominations_lost_total',
    'Nominations that kube-scheduler erased and that were written again',
    [],
  );
  readonly refusals = this.#counter(
    'muster_refusals_total',
    'Slots that kube-scheduler did not accept for their member',
    ['cause'],
  );
  readonly barrierHeld = this.#gauge('muster_barrier_held', 'Bind calls held until their gang is complete', []);
  readonly barriers = this.#counter('muster_barrier_total', 'Barriers by how they ended', ['result']);
  readonly barrierWait = this.#histogram(
    'muster_barrier_wait_seconds',
    'Time from the first bind call held for a gang to the opening of its barrier',
    [],
    barrierBuckets,
  );
  readonly bindings = this.#counter('muster_bind_total', 'Bindings written', ['result']);
  readonly watchEvents = this.#counter('muster_watch_events_total', 'Events received from the API server', [
    'kind',
    'type',
  ]);
  readonly watchRestarts = this.#counter('muster_watch_restarts_total', 'Watches that had to be opened again', [
    'kind',
    'reason',
  ]);
  readonly clusterSynced = this.#gauge('muster_cluster_synced', '1 once all objects of the kind are known, else 0', [
    'kind',
  ]);
  readonly leader = this.#gauge('muster_leader', '1 while this process leads, else 0', []);
  readonly leaseRequests = this.#counter('muster_lease_requests_total', 'Requests for the Lease that says who leads', [
    'request',
    'result',
  ]);
  readonly fencedWrites = this.#counter(
    'muster_fenced_writes_total',
    'Writes that had to wait until the Lease was confirmed, or were not sent because it was not',
    ['result'],
  );
  readonly snapshotGeneration = this.#gauge(
    'muster_snapshot_generation',
    'Generation of the newest snapshot of the cluster',
    [],
  );
  readonly topologyDomains = this.#gauge('muster_topology_domains', 'Topology domains by level', ['level']);
  readonly topologyFindings = this.#gauge(
    'muster_topology_findings',
    'What is wrong with the topology labels of the nodes',
    ['kind', 'level'],
  );
  readonly topologyDriftedNodes = this.#gauge(
    'muster_topology_drifted_nodes',
    'Nodes that moved to another topology domain since the start',
    [],
  );
  readonly queueUse = this.#gauge('muster_queue_use', 'What the queue holds', ['queue', 'resource', 'model']);
  readonly queueUsage = this.#gauge('muster_queue_usage', 'Decayed mean of what the queue held', [
    'queue',
    'resource',
    'model',
  ]);
  readonly queueGuaranteed = this.#gauge('muster_queue_guaranteed', 'What the queue is guaranteed', [
    'queue',
    'resource',
    'model',
  ]);
  readonly queueLimit = this.#gauge('muster_queue_limit', 'The most that the queue may hold', [
    'queue',
    'resource',
    'model',
  ]);
  readonly queueShare = this.#gauge('muster_queue_share', 'Dominant share of the cluster that the queue uses', [
    'queue',
  ]);
  readonly queueEntitledShare = this.#gauge(
    'muster_queue_entitled_share',
    'Share of the cluster that the weight of the queue entitles it to',
    ['queue'],
  );
  readonly queueGangs = this.#gauge('muster_queue_gangs', 'Gangs of the queue', ['queue', 'state']);
  readonly queueLongestWait = this.#gauge(
    'muster_queue_longest_wait_seconds',
    'Longest wait so far of a gang of the queue that could start if there were room',
    ['queue'],
  );
  readonly queueExpectedStart = this.#gauge(
    'muster_queue_expected_start_seconds',
    'Estimate: time until the first waiting gang of the queue starts',
    ['queue'],
  );
  readonly plannedStarts = this.#gauge('muster_planned_starts', 'Gangs that found no room and have a planned start', [
    'kind',
  ]);
  readonly events = this.#counter('muster_events_total', 'Events meant for users, by what became of them', ['result']);
  readonly eventsWaiting = this.#gauge('muster_events_waiting', 'Events that wait to be written', []);

  constructor() {
    // Counters used in alerts with rates or ratios must exist before their first increment.
    for (const result of barrierResults) this.barriers.inc({ result }, 0);
    for (const result of eventResults) this.events.inc({ result }, 0);
    for (const result of tlsReloadResults) this.tlsReloads.inc({ result }, 0);
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The Content-Type of what `render` returns. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in Prometheus' text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  /** One call of kube-scheduler was answered, or could not be; @param seconds a bind's include the wait at the barrier. */
  observeRequest<Verb extends ExtenderVerb>(
    verb: Verb,
    outcome: CallOutcome<Verb> | FailedOutcome,
    seconds: number,
  ): void {
    this.requestDuration.observe({ verb, outcome }, seconds);
  }

  /** The server presents a certificate from now on, or refused new files. */
  observeCertificate(
    event:
      | { readonly kind: 'installed'; readonly expiresAt: number; readonly isFirst: boolean }
      | { readonly kind: 'refused' },
  ): void {
    if (event.kind === 'installed') this.tlsCertificateEnd.set(event.expiresAt / 1000);
    if (event.kind === 'refused' || !event.isFirst) {
      this.tlsReloads.inc({ result: event.kind === 'refused' ? 'failed' : 'ok' });
    }
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: readonly number[],
  ): Histogram<Label> {
    const registers = [this.#registry];
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers });
  }
}
