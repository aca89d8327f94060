/** Deletes pods whose owner is gone, as background propagation does, the API's default for Jobs. */
import type { Registry } from './registry.ts';

export class GarbageCollector {
  readonly #registry: Registry;
  /** UIDs of the objects deleted since the last sweep. */
  #gone = new Set<string>();
  #unsubscribe = () => {};
  #cancel = () => {};

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  start(): void {
    const { store, clock } = this.#registry;
    this.#unsubscribe = store.subscribe(({ type, resource, object }) => {
      if (type !== 'DELETED' || resource === 'pods') return;
      if (this.#gone.size === 0) this.#cancel = clock.after(0, () => this.#sweep());
      this.#gone.add(object.metadata.uid);
    });
  }

  stop(): void {
    this.#unsubscribe();
    this.#cancel();
  }

  #sweep(): void {
    const gone = this.#gone;
    this.#gone = new Set();
    const isOrphan = (owners: readonly { readonly uid?: string }[]) => owners.some(({ uid = '' }) => gone.has(uid));
    for (const { metadata } of this.#registry.store.list('pods')) {
      if (!isOrphan(metadata.ownerReferences ?? [])) continue;
      this.#registry.delete('pods', metadata.namespace, metadata.name);
    }
  }
}
