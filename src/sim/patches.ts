/**
 * The API's patch formats as pure functions on wire JSON: merge patch (RFC 7386), strategic merge patch with the list
 * keys used here, and JSON patch (RFC 6902: add, replace, remove, test).
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiRefusal, badRequest } from './api-refusal.ts';

type Json = unknown;
type Fields = Readonly<Record<string, Json>>;

/**
 * The field that identifies the entries of a list (`patchMergeKey` in api/core/v1/types.go). Other lists are replaced
 * as a whole, as are these when their entries are not objects.
 */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  schedulingGates: 'name',
  conditions: 'type',
  containers: 'name',
  initContainers: 'name',
  containerStatuses: 'name',
  env: 'name',
  volumes: 'name',
  ports: 'containerPort',
  ownerReferences: 'uid',
  addresses: 'type',
};

/** @throws ApiRefusal 400 or 422 when the patch is malformed, 415 for an unsupported media type. */
export function applyPatch(target: Json, patch: Json, mediaType: string): Json {
  switch (mediaType) {
    case 'application/merge-patch+json':
      return mergePatch(target, patch);
    case 'application/strategic-merge-patch+json':
    // Server-side apply without field ownership: fields that a manager stops applying stay. No client here applies an
    // object again with fewer fields.
    case 'application/apply-patch+yaml':
      return strategicPatch(target, patch, '');
    case 'application/json-patch+json':
      return jsonPatch(target, patch);
    default:
      throw new ApiRefusal(415, 'UnsupportedMediaType', '415: Unsupported Media Type');
  }
}

function isFields(value: Json): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mergePatch(target: Json, patch: Json): Json {
  if (!isFields(patch)) return patch;
  const result: Record<string, Json> = isFields(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field];
    else result[field] = mergePatch(result[field], value);
  }
  return result;
}

function strategicPatch(target: Json, patch: Json, field: string): Json {
  if (Array.isArray(patch)) return strategicList(target, patch, field);
  if (!isFields(patch)) return patch;
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  const result: Record<string, Json> = isFields(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith('$')) continue;
    if (value === null) delete result[name];
    else result[name] = strategicPatch(result[name], value, name);
  }
  return result;
}

function strategicList(target: Json, patch: readonly Json[], field: string): Json {
  if (field === 'finalizers') return [...new Set([...(Array.isArray(target) ? target : []), ...patch])];
  const key = MERGE_KEYS[field];
  if (key === undefined || !patch.every(isFields)) return patch;
  if (patch.some((entry) => entry.$patch === 'replace')) return patch.filter((entry) => entry.$patch === undefined);
  const result: Fields[] = Array.isArray(target) ? [...target] : [];
  const added: Fields[] = [];
  for (const entry of patch) {
    const at = result.findIndex((known) => known[key] === entry[key]);
    if (entry.$patch === 'delete') {
      if (at !== -1) result.splice(at, 1);
    } else if (at === -1) added.push(strategicPatch({}, entry, '') as Fields);
    else result[at] = strategicPatch(result[at], entry, '') as Fields;
  }
  return [...added, ...result];
}

function withoutDirectives(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !name.startsWith('$')));
}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: Json;
}

function jsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('expected a JSON patch to be a list of operations');
  const result = structuredClone(target);
  for (const operation of patch as readonly Operation[]) perform(result, operation);
  return result;
}

function perform(root: Json, { op, path, value }: Operation): void {
  const steps = path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = steps.pop();
  let parent = root;
  for (const step of steps) parent = (parent as Record<string, Json> | undefined)?.[step];
  const fail = () => new ApiRefusal(422, 'Invalid', 'the server rejected our request due to an error in our request');
  if (last === undefined || typeof parent !== 'object' || parent === null) throw fail();
  const fields = parent as Record<string, Json>;
  const list = Array.isArray(parent) ? parent : undefined;
  if (op !== 'add' && !(last in fields)) throw fail();
  switch (op) {
    case 'test':
      if (!isDeepStrictEqual(fields[last], value)) throw fail();
      break;
    case 'add':
      if (list) list.splice(last === '-' ? list.length : Number(last), 0, value);
      else fields[last] = value;
      break;
    case 'replace':
      fields[last] = value;
      break;
    case 'remove':
      if (list) list.splice(Number(last), 1);
      else delete fields[last];
      break;
    default:
      throw fail();
  }
}
