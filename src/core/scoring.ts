/**
 * Scores how well a node suits a pod that Muster did not plan. Such pods are packed so that whole nodes and domains
 * stay whole for gangs: nodes in use come first, then untouched nodes of domains that are broken up already, then
 * nodes of whole domains.
 *
 * One number, the *breakage*, says what a pod breaks up by going to a node. Below 1 it is the share that is left of a
 * node in use; from 1 to 2 it is an untouched node plus the share that is left of its domain; 2 is a whole domain.
 * The order of candidates and the score both come from it, so they never disagree. O(1).
 */
import { INTERCONNECTS, type Interconnect } from './gpu-pools.ts';

/** The highest score an extender may give (kube-scheduler v0.37.2 extender/v1/types.go: MaxExtenderPriority). */
export const MAX_SCORE = 10;

/** The share that is left of an untouched node, and the least breakage of one. */
export const UNTOUCHED = 1;

/** Score steps for nodes in use: one for each of 1 to 7 GPUs left of 8. */
const STEPS_IN_USE = 7;
/** Score steps for untouched nodes of domains that are broken up. */
const STEPS_UNTOUCHED = 3;

/**
 * The share of accelerators that is left; 0 where there are none, and where more are taken than there are.
 * @param left accelerators that nobody uses or has reserved.
 * @param total all accelerators.
 */
export function shareLeft(left: number, total: number): number {
  if (left >= total) return total > 0 ? UNTOUCHED : 0;
  return Math.max(0, left / total);
}

/**
 * @param ofNode share of the node that is left.
 * @param ofDomain share of its domain that is left; 0 for a node in no domain, which breaks up none.
 */
export function breakageOf(ofNode: number, ofDomain: number): number {
  return ofNode < UNTOUCHED ? ofNode : UNTOUCHED + ofDomain;
}

/** A whole number from 10 (nothing is broken up) down to 0 (a whole domain is). Never grows with breakage. */
export function scoreBreakage(breakage: number): number {
  if (breakage < UNTOUCHED) return MAX_SCORE - Math.floor(STEPS_IN_USE * breakage);
  return STEPS_UNTOUCHED - Math.floor(STEPS_UNTOUCHED * (breakage - UNTOUCHED));
}

/**
 * The distance between equal scores of neighbouring interconnects. Scores of one interconnect are compressed into
 * three values.
 */
const INTERCONNECT_STEP = 4;

/**
 * The score of a node for a pod that prefers linked GPUs: every node of a better interconnect scores above all
 * others.
 */
export function scoreLinked(interconnect: Interconnect, score: number): number {
  const worse = INTERCONNECTS.length - 1 - INTERCONNECTS.indexOf(interconnect);
  return worse * INTERCONNECT_STEP + Math.round((score / MAX_SCORE) * (MAX_SCORE - 2 * INTERCONNECT_STEP));
}
