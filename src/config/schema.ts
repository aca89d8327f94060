/** The configuration as a JSON Schema, for tools that check a file before Muster reads it: Helm, editors. */

import type { Scale } from '../core/objects/quantity.ts';
import { formatDuration } from '../core/objects/text-values.ts';
import { readDocument } from './configuration.ts';
import { type Range, Section, type TextForm } from './section.ts';

/** The part of JSON Schema, draft 7, that is needed here. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
}

/**
 * The schema that follows from how the configuration is read. What is checked across fields is not in it: a file that it
 * accepts may be refused by `parseConfiguration`, never the other way round (except for `null`, which stands for no value
 * in a file and is no value for a schema).
 */
export function configurationSchema(): JsonSchema {
  const root = new RecordingSection();
  readDocument(root);
  return root.schema();
}

const DURATION = '^([0-9]+([.][0-9]+)?(ms|s|m|h))+$';
const QUANTITY = '^[+]?[.0-9]';

/** A section without a value, which remembers what was asked of it. Lists are asked as if they had one item. */
class RecordingSection extends Section {
  readonly #parts = new Map<string, () => JsonSchema>();
  readonly #required: string[] = [];

  constructor() {
    super(undefined, '', []);
  }

  schema(): JsonSchema {
    const properties = Object.fromEntries([...this.#parts].map(([name, part]) => [name, part()]));
    return {
      type: 'object',
      ...(this.#required.length > 0 && { required: this.#required }),
      additionalProperties: false,
      properties,
    };
  }

  override constant(name: string, expected: string): void {
    this.#require(name, { const: expected });
  }

  override text(name: string, fallback: string): string {
    this.#add(name, { type: 'string', minLength: 1, default: fallback });
    return fallback;
  }

  override optionalText(name: string, form?: TextForm): string | undefined {
    this.#add(name, schemaOf(form));
    return undefined;
  }

  override requiredText(name: string, form?: TextForm): string {
    this.#require(name, schemaOf(form));
    return '';
  }

  override choice<T extends string>(name: string, fallback: T, choices: readonly T[]): T {
    this.#add(name, { type: 'string', enum: choices, default: fallback });
    return fallback;
  }

  override texts(name: string, fallback: readonly string[], form: TextForm): readonly string[] {
    this.#add(name, { type: 'array', default: fallback, items: schemaOf(form) });
    return fallback;
  }

  override optionalTexts(name: string, form: TextForm): readonly string[] | undefined {
    this.#add(name, { type: 'array', items: schemaOf(form) });
    return undefined;
  }

  override integer(name: string, fallback: number, { min, max }: Range): number {
    this.#add(name, { type: 'integer', minimum: min, maximum: max, default: fallback });
    return fallback;
  }

  override optionalInteger(name: string, { min, max }: Range): number | undefined {
    this.#add(name, { type: 'integer', minimum: min, maximum: max });
    return undefined;
  }

  override number(name: string, fallback: number, { min, max }: Range): number {
    this.#add(name, { type: 'number', minimum: min, maximum: max, default: fallback });
    return fallback;
  }

  override boolean(name: string, fallback: boolean): boolean {
    this.#add(name, { type: 'boolean', default: fallback });
    return fallback;
  }

  override optionalBoolean(name: string): boolean | undefined {
    this.#add(name, { type: 'boolean' });
    return undefined;
  }

  override optionalQuantity(name: string, _scale: Scale): number | undefined {
    const description = 'A number or a quantity such as 64, 500m or 2Ti, at least 0.';
    this.#add(name, { type: ['number', 'string'], minimum: 0, pattern: QUANTITY, description });
    return undefined;
  }

  override durationMs(name: string, fallback: number, range: Range): number {
    this.#add(name, { ...durationSchema(range), default: formatDuration(fallback) });
    return fallback;
  }

  override optionalDurationMs(name: string, range: Range): number | undefined {
    this.#add(name, durationSchema(range));
    return undefined;
  }

  override section(name: string): Section {
    return this.#nest(name, (schema) => schema);
  }

  override optionalSection(name: string): Section | undefined {
    return this.section(name);
  }

  override optionalSections(name: string): readonly Section[] | undefined {
    return [this.#nest(name, (items) => ({ type: 'array', items }))];
  }

  override end(): void {}

  #nest(name: string, wrap: (schema: JsonSchema) => JsonSchema): RecordingSection {
    const nested = new RecordingSection();
    this.#parts.set(name, () => wrap(nested.schema()));
    return nested;
  }

  #add(name: string, schema: JsonSchema): void {
    this.#parts.set(name, () => schema);
  }

  #require(name: string, schema: JsonSchema): void {
    this.#required.push(name);
    this.#add(name, schema);
  }
}

function schemaOf(form: TextForm | undefined): JsonSchema {
  if (form === undefined) return { type: 'string', minLength: 1 };
  // `\/` is the same as `/` to every reader of patterns, and only JavaScript's literals need it.
  return { type: 'string', pattern: form.pattern.source.replaceAll('\\/', '/'), description: sentence(form.expected) };
}

function durationSchema({ min, max }: Range): JsonSchema {
  const description = `A duration such as 25s, 500ms or 2m, from ${formatDuration(min)} to ${formatDuration(max)}.`;
  return { type: 'string', pattern: DURATION, description };
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
