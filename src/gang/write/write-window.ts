/**
 * Muster's queue of nominations and gate removals. Only so many are handed to the API client at a time; the others can
 * still be dropped if they are no longer needed, because the gang gave its slots back or the member came to the barrier
 * without its nomination, and they do not stand before the bindings of gangs that are complete.
 */

/** As many as the API client sends at a time by default. */
const MAX_UNDER_WAY = 64;

export interface QueuedWrite {
  /** Asked right before it is sent. */
  readonly isWanted: () => boolean;
  /** Sends it; never fails. */
  readonly send: () => Promise<void>;
  /** It is not wanted any more. */
  readonly drop: () => void;
}

export class WriteWindow {
  #waiting: QueuedWrite[] = [];
  /** Those before it were taken. */
  #head = 0;
  #underWay = 0;

  /** Sends it when it is its turn. */
  add(write: QueuedWrite): void {
    this.#waiting.push(write);
    this.#send();
  }

  #send(): void {
    while (this.#underWay < MAX_UNDER_WAY && this.#head < this.#waiting.length) {
      const write = this.#waiting[this.#head++]!;
      if (!write.isWanted()) {
        write.drop();
        continue;
      }
      this.#underWay++;
      void write.send().then(() => {
        this.#underWay--;
        this.#send();
      });
    }
    if (this.#head < this.#waiting.length) return;
    this.#waiting = [];
    this.#head = 0;
  }
}
