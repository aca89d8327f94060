/**
 * What pods request and what gangs hold, by resource and GPU model. Each list of pods or slots is summed once, and again
 * when it is another list, or when nodes came, went, or changed their labels: a pod on a node that does not exist uses
 * nothing, and the label of its node says which GPU model it uses.
 */
import type { PodModel, PodTemplate } from '../../core/objects/model.ts';
import { type Amounts, addUse, NOTHING, sumAmounts } from '../../core/queues/amounts.ts';
import { gpuModelOf } from '../../core/reclaim/quota-rights.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { GPU_PRODUCT } from '../../core/topology/gpu-pools.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';

/** A slot or placeholder: what takes up the node. */
interface Planned {
  readonly pod: PodModel;
  readonly node: string;
}

/** The pools are others as soon as a node came, went, or has other labels. */
interface ListSum {
  readonly pools: Snapshot['pools'];
  readonly amounts: Amounts;
}

/** What a gang holds, and what that was summed from. */
interface Total {
  readonly parts: readonly Amounts[];
  readonly amounts: Amounts;
}

interface Context {
  readonly view: Pick<LoopContext['view'], 'snapshot'>;
  readonly reservations: Pick<LoopContext['reservations'], 'slotsOf' | 'placeholdersOf'>;
  readonly settings: Pick<LoopContext['settings'], 'policy'>;
}

export class HoldingSums {
  readonly #context: Context;
  /** By the list, which is another one when anything of it changes. */
  readonly #lists = new WeakMap<readonly unknown[], ListSum>();
  /**
   * Asked for three times in a cycle: with a map for each slot that was a fifth of the CPU time of a gang of 10,000 that
   * starts.
   */
  readonly #held = new WeakMap<GangRecord, Total>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** What the pods request, by the GPU model of their nodes, or by the only model that they accept. */
  amountsOf(pods: readonly PodModel[], nodeOf: (pod: PodModel) => string = nodeNameOf): Amounts {
    return pods.length === 0 ? NOTHING : this.#sum(pods, podOf, nodeOf);
  }

  /** What slots or placeholders take on their nodes. */
  amountsOfPlanned(planned: readonly Planned[]): Amounts {
    return planned.length === 0 ? NOTHING : this.#sum(planned, podOfPlanned, nodeOfPlanned);
  }

  /** Bound members, pods that have not left yet, slots and placeholders. */
  of(record: GangRecord): Amounts {
    const { gang, census } = record;
    const { slots, places, pools } = this.#plannedFor(gang.key);
    const bound = this.#sumPods(census.bound, pools);
    if (gang.leaving.length + slots.length + places.length === 0) return bound;
    const leaving = this.#sumPods(gang.leaving, pools);
    const parts = [bound, leaving, this.#sumPlanned(slots, pools), this.#sumPlanned(places, pools)];
    const known = this.#held.get(record);
    if (known?.parts.every((part, i) => part === parts[i])) return known.amounts;
    const amounts = sumAmounts(parts);
    this.#held.set(record, { parts, amounts });
    return amounts;
  }

  /** The same without the pods that have not left yet: others come for them. */
  ofMembers({ gang, census }: GangRecord): Amounts {
    const { slots, places, pools } = this.#plannedFor(gang.key);
    const bound = this.#sumPods(census.bound, pools);
    return sumAmounts([bound, this.#sumPlanned(slots, pools), this.#sumPlanned(places, pools)]);
  }

  #plannedFor(gang: string) {
    const { reservations, view } = this.#context;
    const [slots, places] = [reservations.slotsOf(gang), reservations.placeholdersOf(gang)];
    return { slots, places, pools: view.snapshot().pools };
  }

  #sumPods(pods: readonly PodModel[], pools: Snapshot['pools']): Amounts {
    return this.#known(pods, pools) ?? this.#keep(pods, pools, this.amountsOf(pods));
  }

  #sumPlanned(planned: readonly Planned[], pools: Snapshot['pools']): Amounts {
    return this.#known(planned, pools) ?? this.#keep(planned, pools, this.amountsOfPlanned(planned));
  }

  #known(list: readonly unknown[], pools: Snapshot['pools']): Amounts | undefined {
    if (list.length === 0) return NOTHING;
    const known = this.#lists.get(list);
    return known?.pools === pools ? known.amounts : undefined;
  }

  #keep(list: readonly unknown[], pools: Snapshot['pools'], amounts: Amounts): Amounts {
    this.#lists.set(list, { pools, amounts });
    return amounts;
  }

  /** Nearly always neighbours are alike: they are counted, and added together. */
  #sum<T>(all: readonly T[], podOf: (each: T) => PodModel, nodeOf: (each: T) => string): Amounts {
    const { view, settings } = this.#context;
    const { isAccelerator } = settings.policy;
    const snapshot = view.snapshot();
    const amounts = new Map<string, number>();
    let template: PodTemplate | undefined;
    let model: string | undefined;
    let count = 0;
    for (const each of all) {
      const node = nodeOf(each);
      const pod = podOf(each);
      // Anybody may create a pod for any node, with any request: what nobody confirms there uses nothing.
      if (pod.nodeName !== '' && !pod.isConfirmed) continue;
      if (node !== '' && !snapshot.indexOf.has(node)) continue;
      const nextTemplate = pod.template;
      const nextModel = node === '' ? nextTemplate.nodeSelector[GPU_PRODUCT] : gpuModelOf(snapshot, node);
      if (nextTemplate !== template || nextModel !== model) {
        if (template) addUse(amounts, template, model, isAccelerator, count);
        template = nextTemplate;
        model = nextModel;
        count = 0;
      }
      count++;
    }
    if (template) addUse(amounts, template, model, isAccelerator, count);
    return amounts;
  }
}

const podOf = (pod: PodModel) => pod;
const nodeNameOf = ({ nodeName }: PodModel) => nodeName;
const podOfPlanned = ({ pod }: Planned) => pod;
const nodeOfPlanned = ({ node }: Planned) => node;
