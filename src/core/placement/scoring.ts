/**
 * How well a node suits a pod that Muster did not plan. Such pods are packed, so that what is whole stays whole for gangs:
 * nodes in use come first, then untouched nodes of domains that are broken already, at last those of whole domains.
 *
 * One number says what a pod breaks up by going to a node, its *breakage*: 0 up to 1 is the share of a node in use that
 * is left, 1 up to 2 is an untouched node and the share of its domain that is left, 2 a whole domain. The order of
 * candidates and the score are both made of it, so they never disagree.
 */
import { INTERCONNECTS, type Interconnect } from '../topology/gpu-pools.ts';

/** The most an extender may score (kube-scheduler v0.37.2 extender/v1/types.go: MaxExtenderPriority). */
export const MAX_SCORE = 10;

/** The share of an untouched node that is left, and the least breakage of one. */
export const UNTOUCHED = 1;

/** Steps of the score for nodes in use: each of 1 to 7 GPUs left of 8 has its own. */
const STEPS_IN_USE = 7;
/** Steps of the score for untouched nodes of broken domains. */
const STEPS_UNTOUCHED = 3;

/**
 * Accelerators left, as a share of all: 0 also where there are none or more are taken than there are.
 * @param left accelerators that nobody uses or has reserved.
 * @param total accelerators there are.
 */
export function shareLeft(left: number, total: number): number {
  if (left >= total) return total > 0 ? UNTOUCHED : 0;
  return Math.max(0, left / total);
}

/**
 * @param ofNode share of the node that is left.
 * @param ofDomain share of its domain that is left; 0 for a node in no domain, which breaks none.
 */
export function breakageOf(ofNode: number, ofDomain: number): number {
  return ofNode < UNTOUCHED ? ofNode : UNTOUCHED + ofDomain;
}

/** A whole number from 10 for what breaks nothing down to 0 for what breaks a whole domain; never grows with breakage. */
export function scoreBreakage(breakage: number): number {
  if (breakage < UNTOUCHED) return MAX_SCORE - Math.floor(STEPS_IN_USE * breakage);
  return STEPS_UNTOUCHED - Math.floor(STEPS_UNTOUCHED * (breakage - UNTOUCHED));
}

/** From one interconnect to the same score of the next; the scores of one are pressed into three values. */
const INTERCONNECT_STEP = 4;

/** The score of a node for a pod that is better off with linked GPUs: any of a better interconnect is above all others. */
export function scoreLinked(interconnect: Interconnect, score: number): number {
  const worse = INTERCONNECTS.length - 1 - INTERCONNECTS.indexOf(interconnect);
  return worse * INTERCONNECT_STEP + Math.round((score / MAX_SCORE) * (MAX_SCORE - 2 * INTERCONNECT_STEP));
}
