/** Reads what `question-writer.ts` wrote, and keeps what later messages name by number. */
import type { Ending } from '../backfill/planned-start.ts';
import type { StartQuestion } from '../backfill/start-question.ts';
import type { NodeModel, PodModel, PodTemplate, PodUid } from '../objects/model.ts';
import type { GangRequest } from '../placement/gang-request.ts';
import type { RunningGang } from '../preemption/candidates.ts';
import type { QueueTree } from '../queues/tree.ts';
import type { QuotaClaim } from '../reclaim/quota-rights.ts';
import type { VictimQuestion } from '../reclaim/victim-question.ts';
import { NodeVerdicts } from '../snapshot/node-verdicts.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { buildPools } from '../topology/gpu-pools.ts';
import { type ConfiguredLevels, configureLevels, detectLevels } from '../topology/levels.ts';
import { buildTopology, type NodeIdx } from '../topology/tree.ts';
import type {
  ByNumber,
  ClaimMessage,
  EndingsMessage,
  EntitiesMessage,
  Message,
  RequestMessage,
  RunningMessage,
  SnapshotMessage,
  StartMessage,
  VictimsMessage,
} from './messages.ts';

/** A question as it was written. */
export type ReadQuestion =
  | { readonly kind: 'victims'; readonly question: VictimQuestion }
  | { readonly kind: 'start'; readonly question: StartQuestion };

/** What follows from the nodes alone. */
type NodeSet = Pick<Snapshot, 'nodes' | 'indexOf' | 'byName' | 'rank' | 'verdicts' | 'topology' | 'pools'>;

export class QuestionReader {
  readonly #levels: ConfiguredLevels | undefined;
  readonly #templates = new Map<number, PodTemplate>();
  readonly #pods = new Map<number, PodModel>();
  readonly #podsOn: (readonly PodModel[])[] = [];
  #nodeSet: NodeSet | undefined;
  #tree: QueueTree | undefined;

  /** @param levels as those of the writer's snapshots; undefined: detected from the nodes' labels. */
  constructor(levels: ConfiguredLevels | undefined) {
    this.#levels = levels;
  }

  /** @returns undefined: the message is part of a question. */
  read(message: Message): ReadQuestion | undefined {
    switch (message.kind) {
      case 'entities':
        this.#learn(message);
        return undefined;
      case 'victims': {
        const question = this.#victims(message);
        this.#forget(message);
        return { kind: 'victims', question };
      }
      case 'start': {
        const question = this.#start(message);
        this.#forget(message);
        return { kind: 'start', question };
      }
      default:
        return message satisfies never;
    }
  }

  #learn({ templates, pods }: EntitiesMessage): void {
    for (const [number, template] of templates) this.#templates.set(number, template);
    for (const [number, pod] of pods) this.#pods.set(number, this.#whole(pod) as PodModel);
  }

  #forget({ forgottenPods, forgottenTemplates }: VictimsMessage | StartMessage): void {
    for (const number of forgottenPods) this.#pods.delete(number);
    for (const number of forgottenTemplates) this.#templates.delete(number);
  }

  #start({ snapshot, gang, lengthMs, endings, earlier, now }: StartMessage): StartQuestion {
    const query = {
      request: this.#request(gang),
      lengthMs,
      endings: this.#endings(endings),
      earlier: earlier.map((start) => ({ ...start, request: this.#request(start.request) })),
    };
    return { snapshot: this.#snapshot(snapshot), query, now };
  }

  #endings({ keys, pods, podEnds, startedAt, endsAt }: EndingsMessage): readonly Ending[] {
    return keys.map((key, i) => ({
      key,
      pods: this.#podsAt(pods, i > 0 ? podEnds[i - 1]! : 0, podEnds[i]!),
      startedAt: startedAt[i]!,
      endsAt: endsAt[i]!,
    }));
  }

  #request(gang: RequestMessage): GangRequest {
    return { ...gang, members: gang.members.map((member) => this.#whole(member)) };
  }

  #victims(message: VictimsMessage): VictimQuestion {
    const { budgets, barred, isQuotaFull, othersLeave, now } = message;
    const departures = new Map<PodModel, number>();
    message.departing.forEach((number, i) => {
      departures.set(this.#pod(number), message.departsAt[i]!);
    });
    return {
      snapshot: this.#snapshot(message.snapshot),
      gang: this.#request(message.gang),
      running: this.#running(message.running),
      budgets,
      barred,
      departures: () => departures,
      claim: message.claim && this.#claim(message.claim),
      isQuotaFull,
      othersLeave,
      now,
    };
  }

  #snapshot(message: SnapshotMessage): Snapshot {
    const { generation, columns, free, allocatable, repelling, exclusive, podsOn } = message;
    const nodeSet = this.#readNodes(message);
    for (let at = 0; at < podsOn.length; ) {
      const [row, count] = [podsOn[at]!, podsOn[at + 1]!];
      this.#podsOn[row] = this.#podsAt(podsOn, at + 2, at + 2 + count);
      at += 2 + count;
    }
    const occupants = message.occupants.map((occupant) => this.#whole(occupant));
    return {
      generation,
      ...nodeSet,
      columns,
      free,
      allocatable,
      podsOn: this.#podsOn.slice(),
      repelling,
      exclusive,
      occupants,
    };
  }

  /** As `cluster/node-table.ts` derives it. */
  #readNodes({ rows, nodes: changed, exclusiveLevels: exclusive }: SnapshotMessage): NodeSet {
    if (this.#nodeSet && changed.length === 0) return this.#nodeSet;
    const nodes: (NodeModel | undefined)[] = Array.from({ length: rows }, (_, row) => this.#nodeSet?.nodes[row]);
    for (const [row, node] of changed) nodes[row] = node;
    const rowOf = nodes.flatMap((node, row) => (node ? [[node.name, row as NodeIdx] as const] : []));
    const byName = rowOf.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    const rank = new Int32Array(rows);
    byName.forEach((row, position) => {
      rank[row] = position;
    });
    const scheme = this.#levels ? configureLevels(this.#levels) : detectLevels(byName.map((row) => nodes[row]!));
    this.#nodeSet = {
      nodes,
      indexOf: new Map(rowOf),
      byName,
      rank,
      verdicts: new NodeVerdicts(nodes),
      topology: buildTopology({ ...scheme, exclusive }, nodes, byName),
      pools: buildPools(nodes),
    };
    return this.#nodeSet;
  }

  #running(message: RunningMessage): readonly RunningGang[] {
    const { members, memberEnds, boundEnds, ranks, minMember } = message;
    return message.keys.map((key, i): RunningGang => {
      const from = i > 0 ? boundEnds[i - 1]! : 0;
      const bound = this.#podsAt(message.bound, from, boundEnds[i]!);
      const known = bound.flatMap(({ uid }, at): [PodUid, number][] =>
        ranks[from + at]! < 0 ? [] : [[uid, ranks[from + at]!]],
      );
      const gang = {
        key,
        members: this.#podsAt(members, i > 0 ? memberEnds[i - 1]! : 0, memberEnds[i]!),
        ranks: new Map(known),
        minMember: minMember[i]! < 0 ? undefined : minMember[i]!,
      };
      return { gang, bound };
    });
  }

  #claim({ queue, tree, priority, asked, use, covered }: ClaimMessage): QuotaClaim {
    this.#tree = tree ?? this.#tree;
    return { tree: this.#tree!, queue: this.#tree!.byName.get(queue)!, priority, asked, use, covered };
  }

  #podsAt(numbers: Int32Array, from: number, to: number): readonly PodModel[] {
    return Array.from(numbers.subarray(from, to), (number) => this.#pod(number));
  }

  #pod(number: number): PodModel {
    return this.#pods.get(number)!;
  }

  #whole<T extends { readonly template: PodTemplate }>(
    value: ByNumber<T>,
  ): Omit<T, 'template'> & { template: PodTemplate } {
    return { ...value, template: this.#templates.get(value.template)! };
  }
}
