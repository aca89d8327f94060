/** Turns the frames of a run into segments of a timeline. */
import type { Frame } from './frame.ts';

/** A period in which one job held a node and either trained or did not. */
export interface Segment {
  /** Index of the node among the cells. */
  readonly node: number;
  readonly job: number;
  readonly training: boolean;
  readonly fromMs: number;
  readonly toMs: number;
}

/** One segment for each period in which a node's state stays the same. A frame lasts until the next one. */
export function segmentsOf(frames: readonly Frame[]): readonly Segment[] {
  const ended: Segment[] = [];
  const open = new Map<number, Segment>();
  for (const { cells, elapsedMs } of frames) {
    for (const [node, { job, training }] of cells.entries()) {
      const before = open.get(node);
      if (before !== undefined) {
        const segment = { ...before, toMs: elapsedMs };
        if (before.job === job && before.training === training) {
          open.set(node, segment);
          continue;
        }
        if (segment.toMs > segment.fromMs) ended.push(segment);
        open.delete(node);
      }
      if (job !== undefined) open.set(node, { node, job, training, fromMs: elapsedMs, toMs: elapsedMs });
    }
  }
  const last = [...open.values()].filter(({ fromMs, toMs }) => toMs > fromMs);
  return [...ended, ...last].toSorted((a, b) => a.node - b.node || a.fromMs - b.fromMs);
}
