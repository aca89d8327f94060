/**
 * Gangs that were seen and not read yet. Anybody may create thousands of them at once, so namespaces take turns: whoever
 * brings few waits for one of each other namespace, however many those bring.
 */
import type { GangKey } from '../../core/podgroup/gang.ts';

export class ComingGangs {
  /** In the order of their turns. None is empty. */
  readonly #byNamespace = new Map<string, Set<GangKey>>();

  get isEmpty(): boolean {
    return this.#byNamespace.size === 0;
  }

  has(gang: GangKey): boolean {
    return this.#byNamespace.get(namespaceOf(gang))?.has(gang) ?? false;
  }

  add(gang: GangKey): void {
    const namespace = namespaceOf(gang);
    const gangs = this.#byNamespace.get(namespace);
    if (gangs) gangs.add(gang);
    else this.#byNamespace.set(namespace, new Set([gang]));
  }

  delete(gang: GangKey): void {
    const namespace = namespaceOf(gang);
    const gangs = this.#byNamespace.get(namespace);
    if (gangs?.delete(gang) && gangs.size === 0) this.#byNamespace.delete(namespace);
  }

  /** Removes the gang whose turn it is; undefined: there is none. */
  take(): GangKey | undefined {
    for (const [namespace, gangs] of this.#byNamespace) {
      this.#byNamespace.delete(namespace);
      const [gang] = gangs;
      gangs.delete(gang!);
      // Its next turn comes after the others'.
      if (gangs.size > 0) this.#byNamespace.set(namespace, gangs);
      return gang;
    }
    return undefined;
  }
}

function namespaceOf(gang: GangKey): string {
  return gang.slice(0, gang.indexOf('/'));
}
