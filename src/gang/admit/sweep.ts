/**
 * Spreads a pass over many waiting gangs over several cycles. Planning a gang that finds no room takes a millisecond or two,
 * and anybody may create thousands of them; nothing else is decided or answered meanwhile. So a cycle plans for a while, and
 * the next one goes on after the last gang that was tried, in queue order. Whoever was tried is not tried again before all
 * others were, whatever was freed since: the verdict stands, and with it the planned start of the first blocked gang.
 */
import type { GangRecord } from '../state/records.ts';
import type { AdmissionVerdict } from './candidate.ts';

/** How long gangs are planned in one cycle. One plan more may follow, so a cycle stays below 250 ms at 5,000 nodes. */
const PART_MS = 60;

export class Sweep {
  /** The verdicts of this sweep. */
  readonly #verdicts = new Map<GangRecord, AdmissionVerdict>();
  /** When this cycle's part began, milliseconds. */
  #begunAt = 0;
  #isCut = false;
  #hasTried = false;

  /** Whether gangs are left for the next cycle. */
  get isUnderWay(): boolean {
    return this.#isCut;
  }

  /** A pass begins. */
  begin(now: number): void {
    this.#begunAt = now;
    this.#isCut = false;
    this.#hasTried = false;
  }

  /** The verdict of an earlier cycle of this sweep; undefined: it was not tried. */
  verdictOf(record: GangRecord): AdmissionVerdict | undefined {
    return this.#verdicts.get(record);
  }

  /** Whether the gangs that are left wait for the next cycle. At least one is tried in each. */
  isOver(now: number): boolean {
    if (this.#hasTried && now - this.#begunAt >= PART_MS) this.#isCut = true;
    return this.#isCut;
  }

  note(record: GangRecord, verdict: AdmissionVerdict): void {
    this.#hasTried = true;
    this.#verdicts.set(record, verdict);
  }

  /** The pass ends. @returns whether it goes on in the next cycle. */
  end(): boolean {
    if (!this.#isCut) this.#verdicts.clear();
    return this.#isCut;
  }
}
