import type { NodeStatus } from './filters.ts';

/**
 * Why no node takes a pod, in kube-scheduler's words (framework/types.go FitError.Error): reasons are counted by exact
 * text and sorted as text.
 *
 * @param absent the reason of nodes without a status; none unless given.
 */
export function describeMisfit(nodeCount: number, statuses: ReadonlyMap<string, NodeStatus>, absent?: string): string {
  const counts = new Map<string, number>();
  const count = (reason: string, by: number) => counts.set(reason, (counts.get(reason) ?? 0) + by);
  for (const { reasons } of statuses.values()) for (const reason of reasons) count(reason, 1);
  if (absent !== undefined && statuses.size < nodeCount) count(absent, nodeCount - statuses.size);
  const texts = [...counts].map(([reason, times]) => `${times} ${reason}`).sort();
  return `0/${nodeCount} nodes are available:${texts.length > 0 ? ` ${texts.join(', ')}.` : ''}`;
}
