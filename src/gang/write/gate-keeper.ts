/**
 * Decides whether members of gangs get the gate when they are created, and tells the admission policy; the webhook asks.
 *
 * A gate costs two changes of the pod, which is more than all that Muster writes otherwise for a member that starts
 * undisturbed. Without it kube-scheduler tries the members of a gang that waits again and again, at each change of any
 * pod. So there is a gate while somebody waits for room, for quota or behind others, and while many members without it
 * have no place. Nothing depends on it but the cost: members with and without a gate are one gang.
 */
import type { WriteOutcome } from '../../core/objects/write-outcome.ts';
import type { LoopContext } from '../framework/context.ts';
import type { GateSwitch, Waker } from '../framework/ports.ts';
import type { GangRecord } from '../state/records.ts';

/**
 * So many ungated members without a place are kube-scheduler's to try in vain. A gang of a thousand that is being created
 * stays below it.
 */
const MAX_EXPOSED = 1_024;
/** The gate stays for so long after its last cause, milliseconds. */
const CALM_MS = 10_000;
/** It is written once more after this, milliseconds: somebody may have applied the manifest again. */
const REASSERT_MS = 300_000;
/** After a failure, and where the policy is not installed, milliseconds. */
const RETRY_MS = 60_000;

type Context = Pick<LoopContext, 'observer' | 'clock' | 'isolation'>;

export class GateKeeper {
  readonly #context: Context;
  readonly #switch: GateSwitch | undefined;
  readonly #waker: Waker;
  #cause = '';
  /** When there was last a cause, milliseconds. */
  #causedAt = Number.NEGATIVE_INFINITY;
  #written: boolean | undefined;
  #isWriting = false;
  /** Whether it looked at the gangs yet. */
  #hasLooked = false;
  /** When it is written although nothing changed, milliseconds. */
  #dueAt = Number.NEGATIVE_INFINITY;

  /** @param gates undefined: no policy is told anything. */
  constructor(context: Context, gates: GateSwitch | undefined, waker: Waker) {
    this.#context = context;
    this.#switch = gates;
    this.#waker = waker;
  }

  /** When a look is due by time alone, milliseconds; Infinity: never. */
  get nextAt(): number {
    if (!this.#switch || this.#isWriting) return Number.POSITIVE_INFINITY;
    const calmAt = this.#written ? this.#causedAt + CALM_MS : Number.POSITIVE_INFINITY;
    return calmAt > this.#context.clock.now() ? Math.min(this.#dueAt, calmAt) : this.#dueAt;
  }

  /**
   * Whether a member that is created now gets the gate. While nothing is known it does, as the policy does: somebody opens
   * it in any case.
   */
  isGating(now: number): boolean {
    if (!this.#switch || (this.#switch.mode === 'auto' && !this.#hasLooked)) return true;
    return this.#isWanted(this.#switch, now);
  }

  /** Starts the write that is missing. O(gangs). */
  reconcile(records: Iterable<GangRecord>, now: number): void {
    if (!this.#switch) return;
    const cause = findCause(records);
    this.#hasLooked = true;
    if (cause !== undefined) {
      this.#cause = cause;
      this.#causedAt = now;
    }
    const isOn = this.#isWanted(this.#switch, now);
    if (this.#isWriting || (isOn === this.#written && now < this.#dueAt)) return;
    // After a failure it is tried again only when that is due.
    if (this.#written === undefined && now < this.#dueAt) return;
    void this.#write(this.#switch, isOn);
  }

  #isWanted({ mode }: GateSwitch, now: number): boolean {
    return mode === 'auto' ? now - this.#causedAt < CALM_MS : mode === 'always';
  }

  async #write(gates: GateSwitch, isOn: boolean): Promise<void> {
    const { observer, clock, isolation } = this.#context;
    this.#isWriting = true;
    const reason = gates.mode === 'auto' ? (isOn ? this.#cause : 'nobody waits') : `gang.gates: ${gates.mode}`;
    const outcome = await gates.set(isOn, reason).catch((error: unknown): WriteOutcome => {
      isolation.fail('', 'write', error);
      return { kind: 'gone' };
    });
    this.#isWriting = false;
    this.#written = outcome.kind === 'ok' ? isOn : undefined;
    this.#dueAt = clock.now() + (outcome.kind === 'ok' ? REASSERT_MS : RETRY_MS);
    if (outcome.kind === 'failed' || outcome.kind === 'conflict') {
      observer.onWriteFailed('switch gates', '', 'parameter of the admission policy', outcome.message);
    }
    this.#waker.wake();
  }
}

/** Why new members get the gate; undefined: they get none. */
function findCause(records: Iterable<GangRecord>): string | undefined {
  let exposed = 0;
  for (const { gang, state, census, attempt, admission } of records) {
    if (state === 'Pending' && (attempt.shortfall !== undefined || isInLine(admission.holdReason?.kind))) {
      return `gang ${gang.key} waits`;
    }
    if (state === 'Pending' || state === 'Gathering' || state === 'Unsatisfiable') exposed += census.ungated;
    if (exposed >= MAX_EXPOSED) return `${MAX_EXPOSED} members without a gate have no place`;
  }
  return undefined;
}

function isInLine(kind: string | undefined): boolean {
  return kind === 'quota' || kind === 'behind';
}
