/**
 * Calls of kube-scheduler to an extender as they were on the wire: `record.ts` writes them, the contract test reads
 * them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Recording {
  /** The version of kube-scheduler that sent the call. */
  readonly kubeScheduler: string;
  /** Such as `POST /scheduler/filter HTTP/1.1`. */
  readonly requestLine: string;
  /** In their original order; only the port of `Host` is replaced. */
  readonly headers: Readonly<Record<string, string>>;
  /** The unchanged body as text, since Go's encoder orders and escapes in its own way. */
  readonly body: string;
}

/** The recorded calls by file name. */
export const recordings = [
  /** A member that arrived before the others: offered every node that fits. */
  'filter-waiting-member',
  /** A member after its nomination: offered its one node. */
  'filter-nominated-member',
  /** A pod outside gangs: offered every node that fits. */
  'filter-lone-pod',
  'prioritize-lone-pod',
  /** A pod of high priority on a full cluster: offered nodes with their victims. */
  'preempt',
  'bind-member',
  'bind-lone-pod',
] as const;

export type RecordingName = (typeof recordings)[number];

export function recordingFile(name: RecordingName): string {
  return join(import.meta.dirname, 'recorded', `${name}.json`);
}

export function readRecording(name: RecordingName): Recording {
  return JSON.parse(readFileSync(recordingFile(name), 'utf8')) as Recording;
}
