/** Whether this process decides, as the rest of the program sees it. */

export interface Leadership {
  /** Resolves when this process leads for the first time. */
  readonly elected: Promise<Elected>;
  /** Resolves when another process has led since, or may have: with what was found, for the log. */
  readonly lost: Promise<string>;
  /** Watches who leads, and does not want to yet. */
  start(): void;
  /** From now on this process wants to lead: it knows the cluster. */
  campaign(): void;
  /** Why this process does not decide now, with who does; undefined: it does. */
  findObstacle(): string | undefined;
  /** Decides no more. Gives up its place when `written` resolves: all that it was writing has ended. */
  resign(written: Promise<void>): Promise<void>;
  /** Watches no more, and closes its connections. */
  stop(): Promise<void>;
}

export interface Elected {
  /** Somebody else led before. */
  readonly isSuccession: boolean;
}

/** That of a process which is the only one. */
export const soleLeadership: Leadership = {
  elected: Promise.resolve({ isSuccession: false }),
  lost: new Promise(() => {}),
  start: () => {},
  campaign: () => {},
  findObstacle: () => undefined,
  resign: async () => {},
  stop: async () => {},
};
