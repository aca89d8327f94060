/**
 * Spreads a pass over many gangs over several cycles. Planning a gang that finds no room takes a millisecond or two, and
 * anybody may create thousands of them; nothing else is decided or answered meanwhile. So a cycle plans for a while, and
 * the next one goes on after the last gang that was tried, in the order of the pass. Whoever was tried is not tried again
 * before all others were, whatever was freed since: the verdict stands, and with it the planned start of the first blocked
 * gang.
 *
 * The sweep ends when all gangs were tried that were there when it began. Those that came since share the time with them,
 * and do not keep it from ending: else whoever creates gangs without end would keep all others from a second try.
 */
import type { GangRecord } from '../state/records.ts';
import type { AdmissionVerdict } from './candidate.ts';

/** How long gangs are planned in one cycle. Few plans more may follow, so a cycle stays below 250 ms at 5,000 nodes. */
const PART_MS = 60;
/** The same for gangs that came after the sweep began. */
const PART_OF_NEWCOMERS_MS = 30;

export class Sweep {
  /** The verdicts of this sweep. */
  readonly #verdicts = new Map<GangRecord, AdmissionVerdict>();
  /** The gangs that were there when this sweep began. */
  #first: ReadonlySet<GangRecord> = new Set();
  /** When this cycle's part began, milliseconds. */
  #begunAt = 0;
  /** Some of the first gangs are left for the next cycle. */
  #isCut = false;
  /** The same of the cycle before. */
  #wasCut = false;
  #hasTried = false;
  #hasTriedFirst = false;

  /** Whether gangs are left for the next cycle. */
  get isUnderWay(): boolean {
    return this.#isCut;
  }

  /** A pass begins. @param records the gangs of the pass. */
  begin(records: readonly GangRecord[], now: number): void {
    if (!this.#isCut) this.#first = new Set(records);
    this.#wasCut = this.#isCut;
    this.#begunAt = now;
    this.#isCut = false;
    this.#hasTried = false;
    this.#hasTriedFirst = false;
  }

  /** The verdict of an earlier cycle of this sweep; undefined: it was not tried. */
  verdictOf(record: GangRecord): AdmissionVerdict | undefined {
    return this.#verdicts.get(record);
  }

  /** Whether the gang, which was not tried, waits for the next cycle. At least one of the first is tried in each. */
  isOver(record: GangRecord, now: number): boolean {
    const spentMs = now - this.#begunAt;
    if (!this.#first.has(record)) return this.#hasTried && spentMs >= PART_OF_NEWCOMERS_MS;
    if (this.#hasTriedFirst && spentMs >= PART_MS) this.#isCut = true;
    return this.#isCut;
  }

  /** The gang was tried, whatever came of it. */
  note(record: GangRecord, verdict: AdmissionVerdict): void {
    this.#hasTried = true;
    this.#hasTriedFirst ||= this.#first.has(record);
    this.#verdicts.set(record, verdict);
  }

  /**
   * The pass ends.
   * @returns whether the next cycle is due at once: gangs are left, or those that were tried in an earlier cycle may
   * find what was freed since, or their back-off has ended meanwhile.
   */
  end(): boolean {
    if (!this.#isCut) this.#verdicts.clear();
    return this.#isCut || this.#wasCut;
  }
}
