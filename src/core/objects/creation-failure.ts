/**
 * What a controller says that it could not create: its core/v1 Event with the reason FailedCreate. Quotas, limit ranges
 * and admission webhooks refuse pods without any other trace of it.
 */
import type { Named } from './model.ts';
import type { RawMetadata, RawTime } from './raw-pod.ts';
import { cutText, cutTo, instantOf } from './text-values.ts';

export const FAILED_CREATE = 'FailedCreate';

/** Whoever may create Events may write any text and any time. */
const MAX_MESSAGE = 256;

export interface CreationFailure extends Named {
  /** UID of the controller; '' for an Event about anything else. */
  readonly ownerUid: string;
  /** Kind and name of the controller: `Job train`. */
  readonly owner: string;
  /** In the controller's words, without what it could not create. */
  readonly message: string;
  /** When it said so last, milliseconds since the epoch. */
  readonly at: number;
}

interface RawEvent {
  readonly metadata?: RawMetadata;
  readonly reason?: string;
  readonly message?: string;
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
  readonly lastTimestamp?: RawTime | null;
  readonly eventTime?: RawTime | null;
  readonly series?: { readonly lastObservedTime?: RawTime | null } | null;
}

export function projectCreationFailure(raw: unknown): CreationFailure {
  const { metadata, reason, message = '', involvedObject = {}, lastTimestamp, eventTime, series } = raw as RawEvent;
  const { kind = '', name = '', uid = '' } = involvedObject;
  const at = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata?.creationTimestamp;
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    ownerUid: reason === FAILED_CREATE ? uid : '',
    owner: `${cutText(kind)} ${cutText(name)}`,
    message: cutTo(withoutSubject(message.slice(0, 4 * MAX_MESSAGE)), MAX_MESSAGE),
    at: instantOf(at) ?? 0,
  };
}

/** `Error creating: pods "train-0-x2v" is forbidden: exceeded quota: q` begins with another name each time. */
function withoutSubject(message: string): string {
  return message
    .replace(/\s+/g, ' ')
    .replace(/^Error creating: /, '')
    .replace(/^[\w.]+ "[^"]*" is forbidden: /, '');
}
