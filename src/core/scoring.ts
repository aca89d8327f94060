/** How well a node suits a pod that Muster did not plan: lone accelerator pods are packed, so that whole nodes stay whole. */

/** The most an extender may score (kube-scheduler v0.37.2 extender/v1/types.go: MaxExtenderPriority). */
export const MAX_SCORE = 10;

/**
 * 10 for a node whose accelerators are all taken (or that has none), 0 for an untouched one; an integer.
 * @param free accelerators that are free on the node.
 * @param allocatable accelerators the node has.
 */
export function scorePacking(free: number, allocatable: number): number {
  if (allocatable <= 0) return MAX_SCORE;
  return Math.round(MAX_SCORE * (1 - Math.min(1, Math.max(0, free / allocatable))));
}
