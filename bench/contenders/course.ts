/** What happens to gangs during a turn: when their pods are bound, and how many gangs are bound in part. */

/** A change of one pod, as seen by a watch. */
export interface PodChange {
  readonly gang: string;
  readonly name: string;
  readonly isBound: boolean;
  readonly isRunning: boolean;
  readonly isDeleted: boolean;
}

/** The gangs that have some of their members bound and not all. */
export interface PartialGangs {
  readonly partial: number;
  /** Of these: no member was bound during the last second, so nobody is at work on them. */
  readonly stalled: number;
}

interface Gang {
  readonly size: number;
  readonly bound: Map<string, number>;
  readonly running: Set<string>;
  lastBound: number;
  /** When it was whole for the first time. */
  whole: number | undefined;
}

/** A gang of which no member was bound for so long is at a standstill. */
const STALL_MS = 1_000;

export class Course {
  readonly #gangs: ReadonlyMap<string, Gang>;
  readonly #boundAt = new Map<string, { readonly gang: string; readonly at: number }>();
  #firstBound: number | undefined;
  #lastBound: number | undefined;
  #unbound: number;
  #idle: number;

  constructor(gangs: readonly { readonly gang: string; readonly size: number }[]) {
    this.#gangs = new Map(
      gangs.map(({ gang, size }) => [
        gang,
        { size, bound: new Map(), running: new Set(), lastBound: 0, whole: undefined },
      ]),
    );
    const pods = gangs.reduce((sum, { size }) => sum + size, 0);
    this.#unbound = pods;
    this.#idle = pods;
  }

  /** Pods of other gangs are left out. */
  observe({ gang: of, name, isBound, isRunning, isDeleted }: PodChange, now: number): void {
    const gang = this.#gangs.get(of);
    if (gang === undefined) return;
    if (isDeleted) {
      if (gang.bound.delete(name)) this.#unbound++;
      if (gang.running.delete(name)) this.#idle++;
      this.#boundAt.delete(name);
      return;
    }
    if (isBound && !gang.bound.has(name)) {
      gang.bound.set(name, now);
      gang.lastBound = now;
      this.#unbound--;
      this.#firstBound ??= now;
      this.#lastBound = now;
      this.#boundAt.set(name, { gang: of, at: now });
      if (gang.bound.size === gang.size) gang.whole ??= now;
    }
    if (isRunning && !gang.running.has(name)) {
      gang.running.add(name);
      this.#idle--;
    }
  }

  get unbound(): number {
    return this.#unbound;
  }

  /** Pods that do not run. */
  get idle(): number {
    return this.#idle;
  }

  get firstBound(): number | undefined {
    return this.#firstBound;
  }

  get lastBound(): number | undefined {
    return this.#lastBound;
  }

  sample(now: number): PartialGangs {
    let partial = 0;
    let stalled = 0;
    for (const { size, bound, lastBound } of this.#gangs.values()) {
      if (bound.size === 0 || bound.size >= size) continue;
      partial++;
      if (now - lastBound > STALL_MS) stalled++;
    }
    return { partial, stalled };
  }

  /**
   * From the request for a pod, or for the gang whose controller made it, to its binding.
   * @param since by pod and by gang.
   */
  podLatencies(since: { readonly pods: ReadonlyMap<string, number>; readonly gangs: ReadonlyMap<string, number> }) {
    return [...this.#boundAt].map(([name, { gang, at }]) => at - (since.pods.get(name) ?? since.gangs.get(gang)!));
  }

  /** From the first request for a gang until all its members are bound; gangs that never were are left out. */
  gangLatencies(since: ReadonlyMap<string, number>): readonly number[] {
    return [...this.#gangs].flatMap(([name, { whole }]) => (whole === undefined ? [] : [whole - since.get(name)!]));
  }

  /** Gangs that lost some of their bound members and kept others. */
  broken(): number {
    return this.#count(({ size, bound, whole }) => whole !== undefined && bound.size > 0 && bound.size < size);
  }

  /** Gangs that were whole and lost all members. */
  gone(): number {
    return this.#count(({ bound, whole }) => whole !== undefined && bound.size === 0);
  }

  #count(matches: (gang: Gang) => boolean): number {
    return [...this.#gangs.values()].filter(matches).length;
  }
}
