/** `muster topology`: fetches the topology report and formats the tree or the linter's findings. */
import type { DomainContents, DomainReport } from '../core/placement/topology-report.ts';
import type { FindingItem, TopologyReport } from '../http/inspect/topology.ts';
import { type Fetch, fetchJson } from './fetch-json.ts';
import { formatTable } from './table.ts';

const left = (title: string) => ({ title, align: 'left' }) as const;
const right = (title: string) => ({ title, align: 'right' }) as const;
const COLUMNS = [
  left('DOMAIN'),
  left('LEVEL'),
  right('NODES'),
  right('READY'),
  right('FREE'),
  right('TOTAL'),
  right('GANGS'),
  left('NOTES'),
];

/**
 * Fetches the topology of a running Muster.
 * @throws Error that says what to do when there is no answer or not the expected one.
 */
export function fetchTopology(fetch: Fetch, baseUrl: string, withHosts: boolean): Promise<TopologyReport> {
  const url = new URL(withHosts ? '/v1/topology?hosts=true' : '/v1/topology', baseUrl);
  return fetchJson(fetch, url, { what: 'a tree of topology domains', has: 'domains' });
}

/** The tree in ASCII, one domain per line. FREE and TOTAL count accelerators. */
export function formatTopology({ cluster, levels, domains }: TopologyReport): string {
  const names = levels.map(({ name }) => name);
  const inside = listInside({ ...cluster, level: '', children: domains }, names);
  const root = { name: 'cluster', cells: cellsOf('', cluster), inside };
  return formatTable(COLUMNS, [['cluster', ...root.cells], ...drawInside(root, '')]);
}

/** One finding per line, warnings first. */
export function formatFindings(findings: readonly FindingItem[]): string {
  const rows = findings
    .toSorted((a, b) => Number(b.warning) - Number(a.warning))
    .map(({ warning, kind, text }) => [warning ? 'warning' : 'info', kind, text]);
  return formatTable([left('SEVERITY'), left('KIND'), left('FINDING')], rows);
}

/** A domain as printed, with the domains inside it. */
interface Line {
  readonly name: string;
  /** All columns but the first. */
  readonly cells: readonly string[];
  readonly inside: readonly Line[];
}

type Branch = Omit<DomainReport, 'name' | 'path'>;

/** The domains inside; nodes that lack a label of the next inner level are grouped under `-`. */
function listInside(domain: Branch, levels: readonly string[]): readonly Line[] {
  const host = levels.length - 1;
  const level = levels.indexOf(domain.level);
  if (level === host) return [];
  const list = (children: readonly DomainReport[]): readonly Line[] =>
    children.map((child) => ({
      name: child.name,
      cells: cellsOf(child.level, child),
      inside: listInside(child, levels),
    }));
  const hosts = domain.children.filter((child) => child.level === levels[host]);
  if (level + 1 === host) return list(hosts);
  const known = domain.children.filter((child) => child.level !== levels[host]);
  const rest = (count: (contents: DomainContents) => number): number =>
    known.reduce((left, child) => left - count(child), count(domain));
  if (rest(({ nodes }) => nodes) === 0) return list(known);
  const counts = [
    rest(({ nodes }) => nodes),
    rest(({ ready }) => ready),
    rest(({ accelerators }) => accelerators.free),
    rest(({ accelerators }) => accelerators.total),
  ];
  const cells = [levels[level + 1]!, ...counts.map(String), '', 'no label'];
  return [...list(known), { name: '-', cells, inside: list(hosts) }];
}

/** The rows of the inner domains, each prefixed with its branches. */
function* drawInside({ inside }: Line, trunk: string): Generator<readonly string[]> {
  for (const [index, line] of inside.entries()) {
    const isLast = index === inside.length - 1;
    yield [`${trunk}${isLast ? '`- ' : '|- '}${line.name}`, ...line.cells];
    yield* drawInside(line, `${trunk}${isLast ? '   ' : '|  '}`);
  }
}

function cellsOf(level: string, contents: DomainContents): readonly string[] {
  const { nodes, ready, accelerators, gangs, whole, exclusive } = contents;
  const notes = [...(whole ? ['whole'] : []), ...(exclusive === null ? [] : [`exclusive to ${exclusive}`])];
  return [level, ...[nodes, ready, accelerators.free, accelerators.total, gangs].map(String), notes.join(', ')];
}
