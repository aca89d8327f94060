/**
 * Writes questions as messages for one receiver, and remembers what that receiver knows. `question-reader.ts` is the
 * other end.
 *
 * 1. New pods and templates, in batches, so that no single message takes long to copy.
 * 2. The question: changed rows, columns of numbers, and everything else by number.
 *
 * O(pods + nodes) for each question, of which only what is new is copied field by field. The first question on 5,000
 * nodes with 40,000 pods sends all of them.
 */
import type { Ending } from '../backfill/planned-start.ts';
import type { StartQuestion } from '../backfill/start-question.ts';
import type { NodeModel, PodModel, PodTemplate } from '../objects/model.ts';
import type { GangRequest } from '../placement/gang-request.ts';
import type { RunningGang } from '../preemption/candidates.ts';
import type { QueueTree } from '../queues/tree.ts';
import type { QuotaClaim } from '../reclaim/quota-rights.ts';
import type { VictimQuestion } from '../reclaim/victim-question.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type {
  ByNumber,
  ClaimMessage,
  EndingsMessage,
  Message,
  RequestMessage,
  RunningMessage,
  SnapshotMessage,
  StartMessage,
  VictimsMessage,
} from './messages.ts';
import { Numbers } from './numbers.ts';

/** A question before it is known what can be forgotten. */
type Unfinished<T> = Omit<T, 'forgottenPods' | 'forgottenTemplates'>;

/** Pods of one message: structured cloning takes some 3 µs for each. */
const BATCH = 2_000;

export class QuestionWriter {
  readonly #templates = new Numbers<PodTemplate>();
  readonly #pods = new Numbers<PodModel>();
  #nodes: readonly (NodeModel | undefined)[] = [];
  #podsOn: readonly (readonly PodModel[])[] = [];
  #tree: QueueTree | undefined;

  /** Send all messages in this order. A question must have been written to its end before the next one begins. */
  writeVictims(question: VictimQuestion): Generator<Message> {
    return this.#write(() => this.#victims(question));
  }

  /** As `writeVictims`. */
  writeStart(question: StartQuestion): Generator<Message> {
    return this.#write(() => this.#start(question));
  }

  *#write(describe: () => Unfinished<VictimsMessage> | Unfinished<StartMessage>): Generator<Message> {
    this.#templates.begin();
    this.#pods.begin();
    const body = describe();
    const templates = this.#templates.takeNew();
    const pods = this.#pods.takeNew();
    for (let from = 0; from < Math.max(pods.length, 1); from += BATCH) {
      const batch = pods.slice(from, from + BATCH).map(([number, pod]) => [number, this.#byNumber(pod)] as const);
      yield { kind: 'entities', templates: from === 0 ? templates : [], pods: batch };
    }
    yield { ...body, forgottenPods: this.#pods.takeUnused(), forgottenTemplates: this.#templates.takeUnused() };
  }

  #victims(question: VictimQuestion): Unfinished<VictimsMessage> {
    const { budgets, barred, isQuotaFull, othersLeave, now } = question;
    const departures = [...question.departures()];
    return {
      kind: 'victims',
      snapshot: this.#snapshot(question.snapshot),
      gang: this.#request(question.gang),
      running: this.#running(question.running),
      budgets,
      barred,
      departing: Int32Array.from(departures, ([pod]) => this.#pod(pod)),
      departsAt: Float64Array.from(departures, ([, at]) => at),
      claim: question.claim && this.#claim(question.claim),
      isQuotaFull,
      othersLeave,
      now,
    };
  }

  #start({ snapshot, query, now }: StartQuestion): Unfinished<StartMessage> {
    const { request, lengthMs, endings, earlier } = query;
    return {
      kind: 'start',
      snapshot: this.#snapshot(snapshot),
      gang: this.#request(request),
      lengthMs,
      endings: this.#endings(endings),
      earlier: earlier.map((start) => ({ ...start, request: this.#request(start.request) })),
      now,
    };
  }

  #request(gang: GangRequest): RequestMessage {
    const members = gang.members.map(({ uid, namespace, name, labels, template, rank, pinnedTo }) =>
      this.#byNumber({ uid, namespace, name, labels, template, rank, pinnedTo }),
    );
    return { ...gang, members };
  }

  #endings(endings: readonly Ending[]): EndingsMessage {
    const pods: number[] = [];
    const podEnds: number[] = [];
    for (const ending of endings) {
      for (const pod of ending.pods) pods.push(this.#pod(pod));
      podEnds.push(pods.length);
    }
    return {
      keys: endings.map(({ key }) => key),
      pods: Int32Array.from(pods),
      podEnds: Int32Array.from(podEnds),
      startedAt: Float64Array.from(endings, ({ startedAt }) => startedAt),
      endsAt: Float64Array.from(endings, ({ endsAt }) => endsAt),
    };
  }

  #snapshot(snapshot: Snapshot): SnapshotMessage {
    const { generation, columns, free, allocatable, repelling, exclusive, nodes, occupants } = snapshot;
    const changed: (readonly [number, NodeModel | undefined])[] = [];
    const podsOn: number[] = [];
    for (let row = 0; row < nodes.length; row++) {
      if (nodes[row] !== this.#nodes[row]) changed.push([row, nodes[row]]);
      const pods = snapshot.podsOn[row]!;
      const isChanged = pods !== this.#podsOn[row];
      if (isChanged) podsOn.push(row, pods.length);
      // One by one: users decide how many there are, and a call takes only so many arguments.
      for (const pod of pods) {
        const number = this.#pod(pod);
        if (isChanged) podsOn.push(number);
      }
    }
    this.#nodes = nodes;
    // The list of the snapshot changes in place.
    this.#podsOn = snapshot.podsOn.slice();
    return {
      generation,
      columns,
      free,
      allocatable,
      repelling,
      exclusive,
      exclusiveLevels: snapshot.topology.scheme.exclusive,
      rows: nodes.length,
      nodes: changed,
      podsOn: Int32Array.from(podsOn),
      occupants: occupants.map((occupant) => this.#byNumber(occupant)),
    };
  }

  #running(running: readonly RunningGang[]): RunningMessage {
    const members: number[] = [];
    const memberEnds: number[] = [];
    const bound: number[] = [];
    const boundEnds: number[] = [];
    const ranks: number[] = [];
    for (const { gang, bound: own } of running) {
      for (const pod of gang.members) members.push(this.#pod(pod));
      memberEnds.push(members.length);
      for (const pod of own) {
        bound.push(this.#pod(pod));
        ranks.push(gang.ranks.get(pod.uid) ?? -1);
      }
      boundEnds.push(bound.length);
    }
    return {
      keys: running.map(({ gang }) => gang.key),
      // Users write these numbers, and they may be sums: 32 bits would turn a large one into a small one.
      minMember: Float64Array.from(running, ({ gang }) => gang.minMember ?? -1),
      members: Int32Array.from(members),
      memberEnds: Int32Array.from(memberEnds),
      bound: Int32Array.from(bound),
      boundEnds: Int32Array.from(boundEnds),
      ranks: Float64Array.from(ranks),
    };
  }

  #claim({ tree, queue, priority, asked, use, covered }: QuotaClaim): ClaimMessage {
    const isKnown = tree === this.#tree;
    this.#tree = tree;
    return { tree: isKnown ? undefined : tree, queue: queue.name, priority, asked, use, covered };
  }

  #pod(pod: PodModel): number {
    this.#templates.of(pod.template);
    return this.#pods.of(pod);
  }

  #byNumber<T extends { readonly template: PodTemplate }>(value: T): ByNumber<T> {
    return { ...value, template: this.#templates.of(value.template) };
  }
}
