/** The message of a pod that fits no node, as kube-scheduler puts it into conditions and Events. */
import type { NodeStatus } from './filters.ts';

/**
 * Counts reasons by exact text and sorts them as text (framework/types.go FitError.Error).
 *
 * @param absent the reason for nodes without a status; omitted by default.
 */
export function describeMisfit(nodeCount: number, statuses: ReadonlyMap<string, NodeStatus>, absent?: string): string {
  const counts = new Map<string, number>();
  const count = (reason: string, by: number) => counts.set(reason, (counts.get(reason) ?? 0) + by);
  for (const { reasons } of statuses.values()) for (const reason of reasons) count(reason, 1);
  if (absent !== undefined && statuses.size < nodeCount) count(absent, nodeCount - statuses.size);
  const texts = [...counts].map(([reason, times]) => `${times} ${reason}`).sort();
  return `0/${nodeCount} nodes are available:${texts.length > 0 ? ` ${texts.join(', ')}.` : ''}`;
}
