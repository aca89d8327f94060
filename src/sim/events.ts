/**
 * Events of the embedded API server: the conversion between core/v1, the form in which they are stored, and
 * events.k8s.io/v1 (pkg/apis/events/v1/conversion.go), and what is demanded of new ones
 * (pkg/apis/core/validation/events.go).
 */
import { badRequest, invalid } from './api-refusal.ts';
import type { NewObject } from './objects.ts';

/** Field name in core/v1, field name in events.k8s.io/v1. */
const RENAMED = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
] as const;

/** From events.k8s.io/v1 to core/v1. */
export function eventFromGroup(event: NewObject): NewObject {
  return rename(
    event,
    RENAMED.map(([core, grouped]) => [grouped, core]),
  );
}

/** From core/v1 to events.k8s.io/v1. */
export function eventToGroup(event: NewObject): NewObject {
  return rename(event, RENAMED);
}

function rename(event: NewObject, names: readonly (readonly [from: string, to: string])[]): NewObject {
  const map = new Map(names);
  return Object.fromEntries(Object.entries(event).map(([field, value]) => [map.get(field) ?? field, value]));
}

/** An Event as it is stored; only what is checked. */
interface StoredEvent extends NewObject {
  readonly involvedObject?: { readonly namespace?: string };
  readonly eventTime?: string;
  readonly reason?: string;
  readonly action?: string;
  readonly message?: string;
  readonly reportingComponent?: string;
  readonly reportingInstance?: string;
}

/** The namespaces in which an Event may be about an object that has none. */
const CLUSTER_SCOPED: readonly unknown[] = ['default', 'kube-system'];
const MAX_WORD = 128;
const MAX_NOTE = 1024;
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)$/;

/**
 * Checks a new Event with a time, as those of events.k8s.io/v1 all have one.
 * @throws ApiRefusal 400 for a time that cannot be read, 422 for the first field that is invalid.
 */
export function checkEvent(event: StoredEvent): NewObject {
  const { metadata, eventTime, involvedObject, message = '' } = event;
  if (eventTime === undefined) return event;
  const refuse = (field: string, why: string) => invalid('Event', metadata?.name ?? '', field, why);
  if (!MICRO_TIME.test(eventTime))
    throw badRequest(`expected eventTime with six digits after the second, found "${eventTime}"`);
  if (!involvedObject?.namespace && !CLUSTER_SCOPED.includes(metadata?.namespace)) {
    throw refuse('involvedObject.namespace', 'Invalid value: "": does not match event.namespace');
  }
  for (const field of ['reason', 'action', 'reportingInstance', 'reportingComponent'] as const) {
    const value = event[field] ?? '';
    if (value === '') throw refuse(field, 'Required value');
    if (value.length > MAX_WORD) throw refuse(field, `Invalid value: "": can have at most ${MAX_WORD} characters`);
  }
  if (Buffer.byteLength(message) > MAX_NOTE) {
    throw refuse('message', `Invalid value: "": can have at most ${MAX_NOTE} characters`);
  }
  return event;
}
