/** Label and field selectors from the query of a list or a watch. */
import type { LabelRequirement } from '../core/objects/model.ts';
import { matchesSelector } from '../core/objects/selector.ts';
import { badRequest } from './api-refusal.ts';
import type { ApiObject } from './objects.ts';

/** Whether an object is selected. */
export type Selection = (object: ApiObject) => boolean;

/** @throws ApiRefusal 400 when a selector cannot be parsed. */
export function readSelection(query: URLSearchParams, namespace: string | undefined): Selection {
  const labels = splitTerms(query.get('labelSelector')).map(readLabelTerm);
  const fields = splitTerms(query.get('fieldSelector')).map(readFieldTerm);
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    matchesSelector(labels, object.metadata.labels ?? {}) &&
    fields.every(({ path, equal, value }) => (readField(object, path) === value) === equal);
}

/** Splits at commas outside parentheses. */
function splitTerms(selector: string | null): readonly string[] {
  return (selector ?? '')
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

function readLabelTerm(term: string): LabelRequirement {
  const set = /^(?<key>\S+)\s+(?<operator>in|notin)\s*\((?<values>[^)]*)\)$/.exec(term)?.groups;
  if (set !== undefined) {
    const values = set.values!.split(',').map((value) => value.trim());
    return { key: set.key!, operator: set.operator === 'in' ? 'In' : 'NotIn', values };
  }
  const [, key, operator, value] = /^([^=!\s]+)\s*(==|=|!=)\s*(\S*)$/.exec(term) ?? [];
  if (key !== undefined) return { key, operator: operator === '!=' ? 'NotIn' : 'In', values: [value ?? ''] };
  const [, not, name] = /^(!?)\s*([^=!\s]+)$/.exec(term) ?? [];
  if (name !== undefined) return { key: name, operator: not === '!' ? 'DoesNotExist' : 'Exists', values: [] };
  throw badRequest(`unable to parse requirement: ${term}`);
}

interface FieldTerm {
  readonly path: readonly string[];
  readonly equal: boolean;
  readonly value: string;
}

function readFieldTerm(term: string): FieldTerm {
  const [, path, operator, value] = /^([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? [];
  if (path === undefined) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
  return { path: path.split('.'), equal: operator !== '!=', value: value ?? '' };
}

/** A field as text; '' when it is absent, as the API server compares it. */
function readField(object: ApiObject, path: readonly string[]): string {
  let value: unknown = object;
  for (const step of path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[step];
  return value === undefined || value === null ? '' : String(value);
}
