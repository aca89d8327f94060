/** Reads what `question-writer.ts` wrote, and keeps what later messages name by number. */
import type { NodeModel, PodModel, PodTemplate, PodUid } from '../objects/model.ts';
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
  EntitiesMessage,
  Message,
  QuestionMessage,
  RunningMessage,
  SnapshotMessage,
} from './messages.ts';

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

  /** @returns undefined: the message is no question, but part of one. */
  read(message: Message): VictimQuestion | undefined {
    switch (message.kind) {
      case 'entities':
        this.#learn(message);
        return undefined;
      case 'question':
        return this.#question(message);
      default:
        return message satisfies never;
    }
  }

  #learn({ templates, pods }: EntitiesMessage): void {
    for (const [number, template] of templates) this.#templates.set(number, template);
    for (const [number, pod] of pods) this.#pods.set(number, this.#whole(pod) as PodModel);
  }

  #question(message: QuestionMessage): VictimQuestion {
    const { gang, budgets, barred, isQuotaFull, othersLeave, now } = message;
    const departures = new Map<PodModel, number>();
    message.departing.forEach((number, i) => {
      departures.set(this.#pod(number), message.departsAt[i]!);
    });
    const question: VictimQuestion = {
      snapshot: this.#snapshot(message.snapshot),
      gang: { ...gang, members: gang.members.map((member) => this.#whole(member)) },
      running: this.#running(message.running),
      budgets,
      barred,
      departures: () => departures,
      claim: message.claim && this.#claim(message.claim),
      isQuotaFull,
      othersLeave,
      now,
    };
    for (const number of message.forgottenPods) this.#pods.delete(number);
    for (const number of message.forgottenTemplates) this.#templates.delete(number);
    return question;
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
  #readNodes({ rows, nodes: changed }: SnapshotMessage): NodeSet {
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
      topology: buildTopology(scheme, nodes, byName),
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

  #claim({ queue, tree, priority, asked, use }: ClaimMessage): QuotaClaim {
    this.#tree = tree ?? this.#tree;
    return { tree: this.#tree!, queue: this.#tree!.byName.get(queue)!, priority, asked, use };
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
