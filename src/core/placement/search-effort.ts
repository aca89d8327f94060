/**
 * Bounds how long one plan searches. Where sums say that a domain may hold several kinds of members, only trying tells,
 * and a tenant can ask for what fails in each of thousands of domains. Counted are looks at nodes, not time, so the same
 * snapshot still gives the same plan.
 *
 * Each level of the topology has its own share, so that a search that is in vain in racks still gets to blocks. The best
 * domain of each level is tried in any case.
 */

/** Some 5 ms. All racks of 5,000 nodes are 40,000 looks for two kinds of members in two orders. */
const LOOKS = 2 ** 16;
/** More for large clusters and gangs, whose first tries cost as much. */
const LOOKS_PER_NODE = 4;
const LOOKS_PER_MEMBER = 64;

/** What a try costs beside its looks at nodes, in looks. */
const COST_OF_TRY = 16;

export class SearchEffort {
  readonly #limit: number;
  /** Looks of tries that were in vain, by level of the domain; the whole cluster is -1. */
  readonly #inVain = new Map<number, number>();
  #looks = 0;

  /** @param limit looks in vain at each level. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** For a plan of so many members in a cluster of so many nodes. */
  static for(nodes: number, members: number): SearchEffort {
    return new SearchEffort(LOOKS + LOOKS_PER_NODE * nodes + LOOKS_PER_MEMBER * members);
  }

  /** Looks at nodes so far: what the search cost. */
  get looks(): number {
    return this.#looks;
  }

  /** One class of members is tried on so many nodes. */
  look(nodes: number): void {
    this.#looks += nodes + COST_OF_TRY;
  }

  /**
   * A try was in vain. Only such tries are bounded: those that succeed are as many as the gang has parts.
   * @param level of the domain.
   * @param looks how many there were before it.
   */
  fail(level: number, looks: number): void {
    this.#inVain.set(level, (this.#inVain.get(level) ?? 0) + this.#looks - looks);
  }

  /** Whether only the best domains of the level are still tried. */
  isSpent(level: number): boolean {
    return (this.#inVain.get(level) ?? 0) >= this.#limit;
  }
}
