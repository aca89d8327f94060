/**
 * What the fuzzer attacks. A target makes cases from random numbers alone, and plays them in an arena: a fresh instance
 * of the code under attack, with honest work beside it.
 */
import type { Dice } from './dice.ts';

/**
 * The pieces of one case, in the order in which they are played. Each piece means the same whatever comes before it, so
 * pieces can be left out one by one to find the smallest failing case. Bytes are written as latin1.
 */
export type Case = readonly string[];

export interface Arena {
  /** Plays one piece. Whatever it throws is a failure: an input may be refused, never break something. */
  play(piece: string): void | Promise<void>;
  /** Throws where an answer of pure code to the piece is wrong. Its time is the fuzzer's, and counts for no stall. */
  compare?(piece: string): void;
  /** Throws unless honest work still succeeds beside what was played; also gives back what cases left behind. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export interface Target {
  readonly name: string;
  readonly about: string;
  /** Its part of all cases, relative to the other targets. */
  readonly share: number;
  /** Honest work is checked after this many cases. */
  readonly checkEvery: number;
  make(dice: Dice): Case;
  open(): Promise<Arena>;
}

/** @throws Error with the message unless the condition holds. */
export function expectThat(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}
