/** Describes the members that a gang lost, for its reason. */
import type { PodModel } from '../../core/objects/model.ts';
import type { LostMember } from '../../core/reasons/explain-running.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import type { GangRecord } from './records.ts';

/** How many a reason names. */
const EXAMPLES = 3;

/** The first few losses, with what is wrong with their nodes now; and how many there are. */
export function describeLosses(
  { repair }: Pick<GangRecord, 'repair'>,
  snapshot: Snapshot,
): { readonly lost: readonly LostMember[]; readonly losses: number } {
  const onLostNodes = repair.lost.map((pod) => ({ pod, how: 'on a lost node' as const }));
  const left = repair.left.map(({ pod }) => ({ pod, how: howLost(pod) }));
  const lost = [...left, ...onLostNodes].slice(0, EXAMPLES).map(({ pod, how }): LostMember => {
    const { name, nodeName } = pod;
    return { pod: name, node: nodeName, how, nodeState: stateOfNode(snapshot, nodeName) };
  });
  return { lost, losses: left.length + onLostNodes.length };
}

/** A pod that is evicted fails a moment later. */
function howLost({ phase, disruption }: PodModel): Exclude<LostMember['how'], 'on a lost node'> {
  if (disruption !== '') return 'evicted';
  return phase === 'Failed' ? 'failed' : 'deleted';
}

/** What keeps the node from taking its pods back, apart from capacity; '' when nothing does. */
export function stateOfNode({ nodes, indexOf }: Snapshot, name: string): string {
  const node = nodes[indexOf.get(name) ?? -1];
  if (!node) return 'gone';
  if (!node.ready) return 'not ready';
  if (node.unschedulable) return 'cordoned';
  const taint = node.taints.find(({ effect }) => effect === 'NoExecute');
  return taint ? `tainted ${taint.key}:NoExecute` : '';
}
