/**
 * Conversion of Events between core/v1, the form in which they are stored, and events.k8s.io/v1
 * (pkg/apis/events/v1/conversion.go).
 */
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
