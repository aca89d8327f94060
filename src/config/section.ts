/** A reader for the sections of a configuration file, which collects all problems. */

import { parseExactly, type Scale } from '../core/objects/quantity.ts';
import { cutTo, formatDuration, parseDuration } from '../core/objects/text-values.ts';

/** Inclusive bounds. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The form a string must have, and its description for messages. */
export interface TextForm {
  readonly expected: string;
  readonly pattern: RegExp;
}

/**
 * One mapping of a configuration file, read field by field. Reading a field declares it; `end` reports all others as
 * unknown. A wrong value is reported and its fallback returned, so that one pass finds all problems of a file. A null
 * field counts as absent, as in Kubernetes.
 */
export class Section {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #path: string;
  readonly #problems: string[];
  readonly #known: string[] = [];

  constructor(value: unknown, path: string, problems: string[]) {
    const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isMapping && value !== undefined && value !== null) {
      problems.push(`${path || 'the document'}: expected a mapping of fields, found ${describe(value)}`);
    }
    this.#fields = new Map(isMapping ? Object.entries(value) : []);
    this.#path = path;
    this.#problems = problems;
  }

  /** A string that must have exactly this value. */
  constant(name: string, expected: string): void {
    const found = this.#read(name);
    if (found !== expected) this.#report(name, expected, found);
  }

  text(name: string, fallback: string): string {
    return this.optionalText(name) ?? fallback;
  }

  optionalText(name: string, form: TextForm = { expected: 'a text', pattern: /\S/ }): string | undefined {
    const found = this.#read(name);
    if (found === undefined) return undefined;
    if (typeof found === 'string' && form.pattern.test(found)) return found;
    this.#report(name, form.expected, found);
    return undefined;
  }

  /** A mandatory string. */
  requiredText(name: string, form: TextForm = { expected: 'a text', pattern: /\S/ }): string {
    if (this.#read(name) === undefined) this.#report(name, form.expected, undefined);
    return this.optionalText(name, form) ?? '';
  }

  /** One of the given strings. */
  choice<T extends string>(name: string, fallback: T, choices: readonly T[]): T {
    const found = this.#read(name);
    if (found === undefined) return fallback;
    const known = choices.find((choice) => choice === found);
    if (known === undefined) this.#report(name, `one of ${choices.join(', ')}`, found);
    return known ?? fallback;
  }

  texts(name: string, fallback: readonly string[], form: TextForm): readonly string[] {
    return this.optionalTexts(name, form) ?? fallback;
  }

  /** Undefined if the list is absent; an empty list has another meaning. */
  optionalTexts(name: string, form: TextForm): readonly string[] | undefined {
    const found = this.#read(name);
    if (found === undefined) return undefined;
    if (!Array.isArray(found)) {
      this.#report(name, `a list, each item ${form.expected}`, found);
      return undefined;
    }
    found.forEach((item, index) => {
      const isFine = typeof item === 'string' && form.pattern.test(item);
      if (!isFine) this.#report(`${name}[${index}]`, form.expected, item);
    });
    // What is no text cannot be compared or printed by the checks that follow.
    return found.filter((item) => typeof item === 'string');
  }

  integer(name: string, fallback: number, range: Range): number {
    return this.optionalInteger(name, range) ?? fallback;
  }

  optionalInteger(name: string, { min, max }: Range): number | undefined {
    const found = this.#read(name);
    if (found === undefined) return undefined;
    if (Number.isInteger(found) && (found as number) >= min && (found as number) <= max) return found as number;
    this.#report(name, `an integer from ${min} to ${max}`, found);
    return undefined;
  }

  number(name: string, fallback: number, { min, max }: Range): number {
    const found = this.#read(name);
    if (found === undefined) return fallback;
    if (typeof found === 'number' && found >= min && found <= max) return found;
    this.#report(name, `a number from ${min} to ${max}`, found);
    return fallback;
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.optionalBoolean(name) ?? fallback;
  }

  optionalBoolean(name: string): boolean | undefined {
    const found = this.#read(name);
    if (found === undefined || typeof found === 'boolean') return found;
    this.#report(name, 'true or false', found);
    return undefined;
  }

  /** A non-negative number or Kubernetes quantity such as `64`, `500m` or `2Ti`; returned in units or thousandths. */
  optionalQuantity(name: string, scale: Scale): number | undefined {
    const found = this.#read(name);
    if (found === undefined) return undefined;
    const value = typeof found === 'string' || typeof found === 'number' ? parseExactly(found, scale) : undefined;
    if (value !== undefined && value >= 0) return value;
    const expected = scale === 'milli' ? 'a quantity such as 64 or 500m' : 'a whole quantity such as 64 or 2Ti';
    this.#report(name, `${expected}, at least 0`, found);
    return undefined;
  }

  /** A duration such as `25s`, returned in milliseconds, like the fallback and the range. */
  durationMs(name: string, fallback: number, range: Range): number {
    return this.optionalDurationMs(name, range) ?? fallback;
  }

  optionalDurationMs(name: string, { min, max }: Range): number | undefined {
    const found = this.#read(name);
    if (found === undefined) return undefined;
    const value = typeof found === 'string' ? parseDuration(found) : undefined;
    if (value !== undefined && value >= min && value <= max) return value;
    const bounds = `from ${formatDuration(min)} to ${formatDuration(max)}`;
    this.#report(name, `a duration such as 25s, 500ms or 2m, ${bounds}`, found);
    return undefined;
  }

  section(name: string): Section {
    return new Section(this.#read(name), this.#pathOf(name), this.#problems);
  }

  /** A list of mappings; undefined if it is absent. */
  optionalSections(name: string): readonly Section[] | undefined {
    const found = this.#read(name);
    if (found === undefined) return undefined;
    if (Array.isArray(found)) {
      return found.map((item, index) => new Section(item, this.#pathOf(`${name}[${index}]`), this.#problems));
    }
    this.#report(name, 'a list of mappings', found);
    return undefined;
  }

  /** Undefined if the section is absent; an empty section has another meaning. */
  optionalSection(name: string): Section | undefined {
    return this.#read(name) === undefined ? undefined : this.section(name);
  }

  /** Reports the fields that were never read. Call it once, at the end. */
  end(): void {
    for (const name of this.#fields.keys()) {
      if (this.#known.includes(name)) continue;
      this.#problems.push(`${this.#pathOf(name)}: unknown field; expected one of ${this.#known.join(', ')}`);
    }
  }

  #read(name: string): unknown {
    if (!this.#known.includes(name)) this.#known.push(name);
    return this.#fields.get(name) ?? undefined;
  }

  #report(name: string, expected: string, found: unknown): void {
    this.#problems.push(`${this.#pathOf(name)}: expected ${expected}, found ${describe(found)}`);
  }

  #pathOf(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }
}

/** How much of a wrong value is repeated, characters. */
const MAX_DESCRIBED = 256;

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  return cutTo(JSON.stringify(value), MAX_DESCRIBED);
}
