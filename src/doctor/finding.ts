/** What `muster doctor` finds: each one with what to do about it. */

export type Severity =
  /** Gangs do not start, or start in part. */
  | 'error'
  /** It works, at a price or until something happens. */
  | 'warning'
  /** To know; also what could not be looked at. */
  | 'info';

export interface Finding {
  /** The same for every finding of its kind, such as `ignorable`. */
  readonly kind: string;
  readonly severity: Severity;
  /** What it is about, such as `job ml/train`. */
  readonly about: string;
  /** Expected and found. */
  readonly text: string;
  /** What to do. */
  readonly fix: string;
}

/** Something that was looked at, or why it could not be. */
export type Fact<T> =
  | { readonly kind: 'known'; readonly value: T }
  | { readonly kind: 'unknown'; readonly about: string; readonly why: string; readonly fix: string };

/** Finds nothing in what is unknown, and says so. */
export function judge<T>(fact: Fact<T>, check: (value: T) => readonly Finding[]): readonly Finding[] {
  if (fact.kind === 'known') return check(fact.value);
  const { about, why, fix } = fact;
  return [{ kind: 'not-checked', severity: 'info', about, text: why, fix }];
}

const ORDER: readonly Severity[] = ['error', 'warning', 'info'];

/** Errors first; of one severity in the order in which they were found. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  return ORDER.flatMap((severity) => findings.filter((finding) => finding.severity === severity));
}

const MAX_EXAMPLES = 3;

/** The first names and how many others there are. */
export function nameSome(names: readonly string[]): string {
  const rest = names.length - MAX_EXAMPLES;
  return `${names.slice(0, MAX_EXAMPLES).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
