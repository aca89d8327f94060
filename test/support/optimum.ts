/**
 * The best placement on a small random tree by exhaustive search. Shares no code with the planner: domains are read
 * from labels, capacities are divisions, and all sets of domains are enumerated.
 *
 * Levels are numbered outer to inner from 0; `tree.depth` is the host level, -1 the whole cluster.
 */
import type { Tree } from './random-trees.ts';

/** Consecutive ranks that must share a domain of `level`; the last slice may be shorter. */
export interface Slices {
  readonly size: number;
  readonly level: number;
}

/** Equal members to place. */
export interface Wish {
  readonly count: number;
  /** GPUs per member. */
  readonly gpus: number;
  readonly slices: Slices | undefined;
}

/** Indices of nodes. */
type Nodes = readonly number[];

/**
 * The domains of a level among these nodes. Two nodes share a domain when their labels agree from the outermost level
 * to this one and this one is set; a node without this label is in none.
 */
export function domainsOf(tree: Tree, level: number, among: Nodes = allNodes(tree)): readonly Nodes[] {
  if (level < 0) return [among];
  if (level >= tree.depth) return among.map((node) => [node]);
  const domains = new Map<string, number[]>();
  for (const node of among) {
    const key = domainKey(tree, node, level);
    if (key !== undefined) domains.set(key, [...(domains.get(key) ?? []), node]);
  }
  return [...domains.values()];
}

/** Equal for two nodes in the same domain of the level, undefined for a node in none. */
export function domainKey(tree: Tree, node: number, level: number): string | undefined {
  const { labels, name } = tree.nodes[node]!;
  if (level < 0) return 'cluster';
  if (level >= tree.depth) return name;
  return labels[level] === undefined ? undefined : JSON.stringify(labels.slice(0, level + 1));
}

export function allNodes({ nodes }: Tree): Nodes {
  return nodes.map((_, index) => index);
}

/** How many such members fit on these nodes; with slices, only whole slices count. */
export function mostOn(tree: Tree, nodes: Nodes, wish: Wish): number {
  let most = 0;
  while (most < wish.count && holds(tree, nodes, { ...wish, count: most + 1 })) most++;
  return most;
}

/** Whether all members fit on these nodes. Every domain is tried for the short slice. */
export function holds(tree: Tree, nodes: Nodes, { count, gpus, slices }: Wish): boolean {
  const room = (some: Nodes) => some.reduce((sum, node) => sum + Math.floor(tree.nodes[node]!.free / gpus), 0);
  if (!slices) return room(nodes) >= count;
  const full = Math.floor(count / slices.size);
  const short = count % slices.size;
  const rooms = domainsOf(tree, slices.level, nodes).map(room);
  const wholeIn = (left: readonly number[]) => left.reduce((sum, each) => sum + Math.floor(each / slices.size), 0);
  if (short === 0) return wholeIn(rooms) >= full;
  return rooms.some((own, i) => own >= short && wholeIn(rooms.with(i, own - short)) >= full);
}

/** Whether some domain of the level holds all members. */
export function fitsOneDomain(tree: Tree, level: number, wish: Wish, among: Nodes = allNodes(tree)): boolean {
  return domainsOf(tree, level, among).some((domain) => holds(tree, domain, wish));
}

/**
 * The fewest domains of the level that hold all members together, over all subsets. A node in no domain of the level
 * counts as one of its own, since nothing is known about its neighbours. Undefined when all domains together are not
 * enough.
 */
export function fewestDomains(
  tree: Tree,
  level: number,
  wish: Wish,
  among: Nodes = allNodes(tree),
): number | undefined {
  const alone = level < 0 ? [] : among.filter((node) => domainKey(tree, node, level) === undefined);
  const items = [...domainsOf(tree, level, among), ...alone.map((node) => [node])];
  if (!holds(tree, among, wish)) return undefined;
  let fewest: number | undefined;
  for (let subset = 1; subset < 2 ** items.length; subset++) {
    const chosen = items.filter((_, i) => (subset >> i) & 1);
    if (fewest !== undefined && chosen.length >= fewest) continue;
    if (holds(tree, chosen.flat(), wish)) fewest = chosen.length;
  }
  return fewest;
}

export interface Widened {
  /** The innermost level, not inside `from`, of which one domain holds all members. */
  readonly level: number;
  /** The fewest domains of `from` inside one such domain. */
  readonly domains: number;
}

/**
 * The best result of a preference for the level `from`: one domain of it, else the fewest within one domain of the next
 * outer level, and so on. Undefined when the members fit nowhere.
 * @param outermost the level of which one domain must hold everything in any case.
 */
export function widen(tree: Tree, from: number, wish: Wish, outermost = -1): Widened | undefined {
  const outer = domainsOf(tree, outermost).filter((nodes) => holds(tree, nodes, wish));
  for (let level = Math.max(from, outermost); outer.length > 0; level--) {
    const counts = outer
      .flatMap((nodes) => domainsOf(tree, level, nodes))
      .map((domain) => fewestDomains(tree, from, wish, domain))
      .filter((count) => count !== undefined);
    if (counts.length > 0) return { level, domains: Math.min(...counts) };
  }
  return undefined;
}

/** Number of domains of the level that the nodes touch, counted like `fewestDomains`. */
export function countTouched(tree: Tree, level: number, nodes: Iterable<number>): number {
  return new Set([...nodes].map((node) => domainKey(tree, node, level) ?? `alone ${node}`)).size;
}

/** Members of one kind in a mixed gang. */
export interface Kind {
  readonly count: number;
  readonly gpus: number;
  readonly cpu: number;
}

/** Whether one domain of the level holds two kinds of members together, by trying every distribution over the nodes. */
export function fitsMixed(tree: Tree, level: number, kinds: readonly [Kind, Kind], cpus: number): boolean {
  return domainsOf(tree, level).some((domain) => holdsMixed(tree, domain, kinds, cpus));
}

function holdsMixed(tree: Tree, nodes: Nodes, [a, b]: readonly [Kind, Kind], cpus: number): boolean {
  /** Reachable remainders of both kinds after the nodes so far. */
  let left = new Set([`${a.count} ${b.count}`]);
  for (const node of nodes) {
    const next = new Set<string>();
    for (const [leftA = 0, leftB = 0] of [...left].map((text) => text.split(' ').map(Number))) {
      for (let x = 0; x <= leftA; x++) {
        const gpus = tree.nodes[node]!.free - x * a.gpus;
        const cpu = cpus - x * a.cpu;
        if (gpus < 0 || cpu < 0) break;
        const y = Math.min(leftB, b.gpus === 0 ? leftB : Math.floor(gpus / b.gpus), Math.floor(cpu / b.cpu));
        next.add(`${leftA - x} ${leftB - y}`);
      }
    }
    left = next;
  }
  return left.has('0 0');
}
