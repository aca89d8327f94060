/**
 * Plays every history with at most so many deviations from an undisturbed world, from the creation of the pods until
 * nothing happens any more. A state that was reached before with as many deviations left is not continued again.
 *
 * The package under test keeps its state in objects, so a branch is reached by playing its actions again from the start.
 */
import { type Choices, listChoices, type Pace } from './choices.ts';
import { fingerprint } from './fingerprint.ts';
import { type Action, Model, type Setting } from './model.ts';
import { checkLeftovers, checkRest } from './rest.ts';

export interface SearchOptions {
  readonly setting: Setting;
  readonly pace: Pace;
  readonly deviations: number;
  /** Stops after so many states. */
  readonly maxStates?: number;
  readonly onProgress?: (result: SearchResult) => void;
}

export interface Violation {
  readonly message: string;
  readonly actions: readonly Action[];
  /** Where it left the undisturbed world: after so many actions. */
  readonly deviations: readonly number[];
}

export interface SearchResult {
  readonly states: number;
  readonly transitions: number;
  /** Histories that ended at rest. */
  readonly rests: number;
  /** Histories that were too long to be followed to their end. */
  readonly cut: number;
  /** Actions of the longest history. */
  readonly depth: number;
  readonly isComplete: boolean;
  readonly violations: readonly Violation[];
}

interface Branch {
  readonly actions: readonly Action[];
  readonly deviations: readonly number[];
}

const MAX_DEPTH = 300;
/** After so many there is nothing more to learn. */
const MAX_VIOLATIONS = 5;

export async function search(options: SearchOptions): Promise<SearchResult> {
  const { setting, pace, deviations, maxStates = Number.POSITIVE_INFINITY } = options;
  const seen = new Map<string, number>();
  const branches: Branch[] = [{ actions: [], deviations: [] }];
  const violations: Violation[] = [];
  let [transitions, rests, cut, depth] = [0, 0, 0, 0];
  const summarise = (): SearchResult => ({
    states: seen.size,
    transitions,
    rests,
    cut,
    depth,
    isComplete: branches.length === 0,
    violations,
  });
  while (branches.length > 0 && seen.size < maxStates && violations.length < MAX_VIOLATIONS) {
    const branch = takeBranch(branches, transitions);
    const left = deviations - branch.deviations.length;
    const history = await History.replay(setting, branch.actions);
    for (;;) {
      transitions++;
      const { model, actions } = history;
      const messages = [...model.violations, ...model.checkPlaces()];
      const known = seen.get(history.print());
      const isNew = known === undefined || known < left;
      let choices: Choices = { usual: undefined, deviations: [] };
      // A history that comes back to its own state does so for ever: that is its end.
      const isLoop = history.isLoop();
      if (messages.length === 0 && (isNew || isLoop)) {
        seen.set(history.print(), Math.max(known ?? 0, left));
        choices = listChoices(model, pace);
        if (isLoop && choices.usual?.do === 'advance') choices = { usual: undefined, deviations: [] };
        if (choices.usual === undefined) {
          rests++;
          messages.push(...checkRest(model), ...(await checkLeftovers(model)), ...model.violations);
        } else if (actions.length > MAX_DEPTH) {
          cut++;
          choices = { usual: undefined, deviations: [] };
        }
      }
      if (messages.length > 0)
        violations.push({ message: messages[0]!, actions: [...actions], deviations: branch.deviations });
      depth = Math.max(depth, actions.length);
      if (left > 0 && isNew)
        for (const deviation of choices.deviations)
          branches.push({ actions: [...actions, deviation], deviations: [...branch.deviations, actions.length] });
      if (choices.usual === undefined || messages.length > 0) break;
      await history.play(choices.usual);
    }
    options.onProgress?.(summarise());
  }
  return summarise();
}

/** Any of them, and the same one each time: a search that is cut short has looked at all parts of the histories. */
function takeBranch(branches: Branch[], turn: number): Branch {
  const at = (turn * 7_919) % branches.length;
  const [branch] = branches.splice(at, 1, branches.at(-1)!);
  branches.pop();
  return branch!;
}

/** A model, and how it came to its state. */
class History {
  readonly model: Model;
  readonly actions: Action[] = [];
  readonly #past = new Set<string>();
  #print: string | undefined;

  private constructor(model: Model) {
    this.model = model;
  }

  static async replay(setting: Setting, actions: readonly Action[]): Promise<History> {
    const history = new History(new Model(setting));
    for (const action of actions) await history.play(action);
    return history;
  }

  async play(action: Action): Promise<void> {
    await this.model.apply(action);
    this.actions.push(action);
    this.#print = undefined;
  }

  /** Whether it was in this state before, since its last deviation. Remembers the state. */
  isLoop(): boolean {
    const isLoop = this.#past.has(this.print());
    this.#past.add(this.print());
    return isLoop;
  }

  print(): string {
    this.#print ??= fingerprint(this.model);
    return this.#print;
  }
}
