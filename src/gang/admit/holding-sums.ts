/** What pods request and what gangs hold, by resource and GPU model. Summed once, and again when something of it changed. */
import type { PodModel, PodTemplate } from '../../core/objects/model.ts';
import { type Amounts, addUse } from '../../core/queues/amounts.ts';
import { gpuModelOf } from '../../core/reclaim/quota-rights.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { GPU_PRODUCT } from '../../core/topology/gpu-pools.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GangRecord } from '../state/records.ts';
import type { Placeholder } from '../state/reservations.ts';
import type { Slot } from '../state/slot.ts';

/** What a gang with slots holds, and what that was summed from. */
interface Sum {
  readonly bound: Amounts;
  readonly slots: readonly Slot[];
  readonly places: readonly Placeholder[];
  readonly pools: Snapshot['pools'];
  readonly amounts: Amounts;
}

export class HoldingSums {
  readonly #context: Pick<LoopContext, 'view' | 'reservations' | 'settings'>;
  /** What the bound members of each gang hold; counted again when its members change. */
  readonly #bound = new WeakMap<GangRecord['census'], Amounts>();
  /**
   * Asked for three times in a cycle: with a map for each slot that was a fifth of the CPU time of a gang of 10,000 that
   * starts.
   */
  readonly #sums = new WeakMap<GangRecord, Sum>();

  constructor(context: Pick<LoopContext, 'view' | 'reservations' | 'settings'>) {
    this.#context = context;
  }

  /** What the pods request, by the GPU model of their nodes, or by the only model that they accept. */
  amountsOf(pods: readonly PodModel[]): Amounts {
    const amounts = new Map<string, number>();
    this.#add(
      amounts,
      pods,
      ({ template }) => template,
      ({ nodeName }) => nodeName,
    );
    return amounts;
  }

  /** Bound members, pods that have not left yet, slots and placeholders. */
  of(record: GangRecord): Amounts {
    const { gang, census } = record;
    const { reservations, view } = this.#context;
    let bound = this.#bound.get(census);
    if (!bound) {
      bound = this.amountsOf(gang.leaving.length > 0 ? [...census.bound, ...gang.leaving] : census.bound);
      this.#bound.set(census, bound);
    }
    if (reservations.countOf(gang.key) + reservations.countPlaceholders(gang.key) === 0) return bound;
    const slots = reservations.slotsOf(gang.key);
    const places = reservations.placeholdersOf(gang.key);
    const { pools } = view.snapshot();
    const known = this.#sums.get(record);
    const isSame = known?.bound === bound && known.slots === slots && known.places === places && known.pools === pools;
    if (isSame) return known.amounts;
    const amounts = new Map(bound);
    this.#add(
      amounts,
      [...slots, ...places],
      ({ pod }) => pod.template,
      ({ node }) => node,
    );
    this.#sums.set(record, { bound, slots, places, pools, amounts });
    return amounts;
  }

  /** Nearly always neighbours are alike: they are counted, and added together. */
  #add<T>(
    into: Map<string, number>,
    all: readonly T[],
    templateOf: (each: T) => PodTemplate,
    nodeOf: (each: T) => string,
  ): void {
    const { view, settings } = this.#context;
    const { isAccelerator } = settings.policy;
    const snapshot = all.length > 0 ? view.snapshot() : undefined;
    let template: PodTemplate | undefined;
    let model: string | undefined;
    let count = 0;
    for (const each of all) {
      const node = nodeOf(each);
      const nextTemplate = templateOf(each);
      const nextModel = node === '' ? nextTemplate.nodeSelector[GPU_PRODUCT] : gpuModelOf(snapshot!, node);
      if (nextTemplate !== template || nextModel !== model) {
        if (template) addUse(into, template, model, isAccelerator, count);
        template = nextTemplate;
        model = nextModel;
        count = 0;
      }
      count++;
    }
    if (template) addUse(into, template, model, isAccelerator, count);
  }
}
