/** Which gangs mount a claim: a claim that changes is about these, and reading all 10,000 gangs again takes 300 ms. */
import type { PodModel } from '../core/objects/model.ts';
import type { GangKey } from '../core/podgroup/gang.ts';

export class ClaimIndex {
  /** By claim, `namespace/name`; then by the UID of the pod that mounts it. */
  readonly #gangs = new Map<string, Map<string, GangKey>>();

  add({ uid, namespace, claims }: PodModel, gang: GangKey): void {
    for (const claim of claims) {
      const key = `${namespace}/${claim}`;
      const gangs = this.#gangs.get(key);
      if (gangs) gangs.set(uid, gang);
      else this.#gangs.set(key, new Map([[uid, gang]]));
    }
  }

  remove({ uid, namespace, claims }: PodModel): void {
    for (const claim of claims) {
      const key = `${namespace}/${claim}`;
      const gangs = this.#gangs.get(key);
      gangs?.delete(uid);
      if (gangs?.size === 0) this.#gangs.delete(key);
    }
  }

  /** @param claim `namespace/name`. */
  gangsOf(claim: string): ReadonlySet<GangKey> {
    return new Set(this.#gangs.get(claim)?.values());
  }
}
