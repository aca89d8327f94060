/** The cases of the field, as `--cases` names them. */
import { UsageError } from '../result.ts';

/** Gangs that are submitted at once to an empty cluster. */
export interface GangCase {
  readonly kind: 'gangs';
  readonly gangs: number;
  readonly size: number;
  /** Per pod. */
  readonly gpus: number;
  readonly nodes: number;
  readonly rounds: number;
}

/** Lone pods, submitted at 500 a second: clusterloader2's scheduler-throughput. */
export interface ThroughputCase {
  readonly kind: 'throughput';
  readonly pods: number;
  readonly nodes: number;
}

/** A full cluster: a gang that does not fit, then one of higher priority. */
export interface ScarceCase {
  readonly kind: 'scarce';
  readonly nodes: number;
  /** Gangs that fill it have so many members, each with a whole node. */
  readonly residents: number;
  /** Members of the gang of higher priority, each with a whole node. */
  readonly arriving: number;
}

export type Case = GangCase | ThroughputCase | ScarceCase;

/** Requests per second in `throughput`. */
export const THROUGHPUT_PER_SECOND = 500;
export const GPUS_PER_NODE = 16;

/** In this order, as what is measured is kept when the rest fails: the longest come last. */
const full = '1x1000x16@5000,throughput-5000@5000,500x20@1000,20x500@1000,scarce-250@1000,1x10000@1000';
const quick = '1x200x16@1000,throughput-500@1000,50x20@200,2x500@200,1x1000@200,scarce-25@200';
/** Short ones are repeated. */
const SHORT = 2_000;
const ROUNDS = 2;

export function isShort({ gangs, size }: Pick<GangCase, 'gangs' | 'size'>): boolean {
  return gangs * size < SHORT;
}

export function standardCases(isQuick: boolean, rounds?: number): readonly Case[] {
  return parseCases(isQuick ? quick : full, rounds ?? (isQuick ? 1 : undefined));
}

/**
 * `<gangs>x<size>[x<GPUs a pod>]@<nodes>`, `throughput-<pods>@<nodes>` or `scarce-<pods of the arriving gang>@<nodes>`,
 * separated by commas.
 * @param rounds of each; by default two of those with few pods and one of the others.
 * @throws UsageError
 */
export function parseCases(text: string, rounds?: number): readonly Case[] {
  return text.split(',').map((one) => {
    const parsed = parseCase(one, rounds);
    const needed = parsed === undefined ? 0 : gpusOf(parsed);
    if (parsed === undefined || needed > parsed.nodes * GPUS_PER_NODE) {
      throw new UsageError(
        `expected cases such as 20x500@1000, 1x1000x16@5000, throughput-5000@5000 or scarce-250@1000 after --cases, ` +
          `that fit on nodes of ${GPUS_PER_NODE} GPUs; found "${one}"`,
      );
    }
    return parsed;
  });
}

export function nameOf(one: Case): string {
  if (one.kind === 'throughput')
    return `${one.pods} lone pods at ${THROUGHPUT_PER_SECOND} a second, ${one.nodes} nodes`;
  if (one.kind === 'scarce') return `full cluster of ${one.nodes} nodes`;
  const each = one.gpus === 1 ? '' : ` of ${one.gpus} GPUs`;
  return `${one.gangs} × ${one.size}${each}, ${one.nodes} nodes`;
}

function parseCase(text: string, rounds: number | undefined): Case | undefined {
  const gangs = /^(\d+)x(\d+)(?:x(\d+))?@(\d+)$/.exec(text);
  if (gangs !== null) {
    const [count, size, gpus, nodes] = [gangs[1], gangs[2], gangs[3] ?? '1', gangs[4]].map(Number) as Four;
    // One that may never fit its nodes' GPUs is refused below.
    const ofCase = rounds ?? (isShort({ gangs: count, size }) ? ROUNDS : 1);
    return isCount(count, size, gpus, nodes) && size > 1
      ? { kind: 'gangs', gangs: count, size, gpus, nodes, rounds: ofCase }
      : undefined;
  }
  const other = /^(throughput|scarce)-(\d+)@(\d+)$/.exec(text);
  if (other === null) return undefined;
  const [count, nodes] = [Number(other[2]), Number(other[3])];
  if (!isCount(count, nodes)) return undefined;
  if (other[1] === 'throughput') return { kind: 'throughput', pods: count, nodes };
  return { kind: 'scarce', nodes, residents: Math.max(2, Math.min(10, Math.floor(nodes / 10))), arriving: count };
}

type Four = [number, number, number, number];

function isCount(...counts: readonly number[]): boolean {
  return counts.every((count) => Number.isSafeInteger(count) && count > 0);
}

function gpusOf(one: Case): number {
  if (one.kind === 'gangs') return one.gangs * one.size * one.gpus;
  return one.kind === 'throughput' ? one.pods : one.arriving * GPUS_PER_NODE;
}
