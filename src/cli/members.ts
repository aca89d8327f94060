/** The column MEMBERS, which means the same in every table. */

interface MemberCounts {
  /** Members that exist. */
  readonly have: number;
  /** Members on nodes. */
  readonly bound: number;
  /** Members that must start together; null while unknown. */
  readonly want: number | null;
}

/** Of a gang that runs, how many members are on nodes; of one that waits, how many exist. Both of how many it needs. */
export function formatMembers(state: string, { have, bound, want }: MemberCounts): string {
  // What is set aside goes on running, if it did.
  const runs = state === 'Running' || state === 'Broken' || (state === 'Invalid' && bound > 0);
  const count = runs ? bound : have;
  return `${count}/${want ?? '?'}`;
}
