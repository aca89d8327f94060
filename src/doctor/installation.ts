/** Judges what is installed: rights, admission policies, and the running service. */
import type { Finding } from './finding.ts';
import { checkWebhook, type SeenWebhook } from './webhook.ts';

/** A right that Muster needs, and what is lost without it. */
export interface NeededRight {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly loss: string;
}

/** The rights without which something ends; deploy/rbac.yaml has them, and a test compares. */
export const neededRights: readonly NeededRight[] = [
  { verb: 'watch', group: '', resource: 'nodes', loss: 'nothing is planned' },
  { verb: 'watch', group: '', resource: 'pods', loss: 'nothing is planned' },
  { verb: 'watch', group: 'batch', resource: 'jobs', loss: 'the size of gangs is not known' },
  { verb: 'watch', group: 'policy', resource: 'poddisruptionbudgets', loss: 'nothing is planned' },
  { verb: 'patch', group: '', resource: 'pods', loss: 'gates are never removed' },
  { verb: 'patch', group: '', resource: 'pods', subresource: 'status', loss: 'no gang gets its nodes' },
  { verb: 'create', group: '', resource: 'pods', subresource: 'binding', loss: 'no gang is bound' },
  { verb: 'create', group: '', resource: 'pods', subresource: 'eviction', loss: 'nobody makes room' },
  { verb: 'create', group: 'events.k8s.io', resource: 'events', loss: 'nobody is told why a gang waits' },
  { verb: 'create', group: 'authentication.k8s.io', resource: 'tokenreviews', loss: 'users cannot ask' },
  { verb: 'create', group: 'authorization.k8s.io', resource: 'subjectaccessreviews', loss: 'users cannot ask' },
];

export interface ReviewedRight {
  readonly right: NeededRight;
  readonly allowed: boolean;
}

export function checkRights(reviewed: readonly ReviewedRight[], account: string): readonly Finding[] {
  return reviewed
    .filter(({ allowed }) => !allowed)
    .map(({ right: { verb, resource, subresource, group, loss } }) => ({
      kind: 'right-missing',
      severity: 'error',
      about: `serviceaccount ${account}`,
      text: `expected to be allowed to ${verb} ${resource}${subresource ? `/${subresource}` : ''}${group ? ` of ${group}` : ''}, found that it is not: ${loss}`,
      fix: 'kubectl apply -f deploy/rbac.yaml',
    }));
}

/** Names of what exists. */
export interface SeenPolicies {
  readonly mutating: readonly string[];
  readonly mutatingBindings: readonly string[];
  readonly validating: readonly string[];
  readonly validatingBindings: readonly string[];
  /** Undefined: there is no LimitRange `muster-gates`. */
  readonly gatesParameter: boolean;
  /** Undefined: the webhook is not installed. */
  readonly webhook: SeenWebhook | undefined;
}

/** @param webhookPort of Muster's configuration; undefined: it is not known. */
export function checkPolicies(seen: SeenPolicies, webhookPort: number | undefined): readonly Finding[] {
  const findings: Finding[] = [];
  const hasGate = seen.mutating.includes('muster-gang-members');
  if (seen.webhook !== undefined) findings.push(...checkWebhook(seen.webhook, webhookPort));
  if (hasGate && seen.webhook !== undefined) {
    findings.push({
      kind: 'policy-and-webhook',
      severity: 'warning',
      about: 'mutatingadmissionpolicy and mutatingwebhookconfiguration muster-gang-members',
      text: 'expected one of both, found both: each new member is looked at twice, and the result is the same',
      fix: 'kubectl delete mutatingwebhookconfiguration muster-gang-members, as this cluster has the policy',
    });
  }
  if (!hasGate && seen.webhook === undefined) {
    findings.push({
      kind: 'no-gate-policy',
      severity: 'warning',
      about: 'mutatingadmissionpolicy muster-gang-members',
      text: 'expected it or the webhook, found neither: members get no marker, and kube-scheduler tries the members of gangs that wait again and again',
      fix: 'kubectl apply -f deploy/admission-policy.yaml (Kubernetes 1.36 or newer); before that the webhook, docs/install/versions.md',
    });
  } else if (hasGate && (!seen.mutatingBindings.includes('muster-gang-members') || !seen.gatesParameter)) {
    const missing = seen.gatesParameter ? 'its binding' : 'the LimitRange muster-gates';
    findings.push({
      kind: 'gate-policy-incomplete',
      severity: 'warning',
      about: 'mutatingadmissionpolicy muster-gang-members',
      text: `expected ${missing}, found none: members get neither gate nor marker`,
      fix: 'kubectl apply -f deploy/admission-policy.yaml',
    });
  }
  for (const name of ['muster-records', 'muster-writes']) {
    if (seen.validating.includes(name) && seen.validatingBindings.includes(name)) continue;
    findings.push({
      kind: 'no-record-policy',
      severity: 'warning',
      about: `validatingadmissionpolicy ${name}`,
      text: `expected it with its binding, found ${seen.validating.includes(name) ? 'no binding' : 'none'}: tenants can write what only Muster should`,
      fix: 'kubectl apply -f deploy/record-policies.yaml, where tenants create pods',
    });
  }
  return findings;
}

/** What the running service says. */
export interface RunningService {
  /** The lines of `/readyz?verbose`. */
  readonly readyz: readonly string[];
  readonly isReady: boolean;
  /** Undefined: the user may not read the metrics. */
  readonly metrics: string | undefined;
  /** Undefined: the user may not list nodes. */
  readonly topology: readonly { readonly warning: boolean; readonly kind: string; readonly text: string }[] | undefined;
  /** Seconds by which the clock of Muster is ahead of the API server's. */
  readonly clockAheadSeconds: number;
}

const MAX_SKEW_SECONDS = 5;

export function checkService(seen: RunningService, about: string): readonly Finding[] {
  const findings: Finding[] = [];
  if (!seen.isReady) {
    const failed = seen.readyz.filter((line) => line.startsWith('[-]')).join('; ');
    const text = `expected Muster to be ready, found ${failed || 'that it is not'}`;
    findings.push({ kind: 'not-ready', severity: 'error', about, text, fix: 'see its log; recovery takes seconds' });
  }
  if (seen.metrics !== undefined && countCalls(seen.metrics) === 0) {
    findings.push({
      kind: 'never-called',
      severity: 'error',
      about,
      text: 'expected calls of kube-scheduler, found none since Muster started',
      fix: 'check urlPrefix and its log; a kube-scheduler that has no such pod does not call: create one that requests an accelerator',
    });
  }
  const refused =
    seen.metrics === undefined
      ? 0
      : sumOf(seen.metrics, /^muster_refused_calls_total\{reason="(no-certificate|unlisted)"\} (\S+)/gm);
  if (refused > 0) {
    findings.push({
      kind: 'refused-calls',
      severity: 'warning',
      about,
      text: `expected no caller without a listed certificate, found ${refused} calls of some`,
      fix: "if it is kube-scheduler: its certificate's name must be in server.callers.decisions (docs/operating.md#tls)",
    });
  }
  for (const { warning, kind, text } of seen.topology ?? []) {
    if (!warning) continue;
    findings.push({
      kind: `topology-${kind}`,
      severity: 'warning',
      about: 'node labels',
      text,
      fix: 'see docs/topology-levels.md',
    });
  }
  for (const line of seen.readyz) {
    const notice = /^\[!\](queues|nodes) (.*)/.exec(line);
    if (notice)
      findings.push({
        kind: 'notice',
        severity: 'warning',
        about: notice[1]!,
        text: notice[2]!,
        fix: 'see docs/operating.md',
      });
  }
  if (Math.abs(seen.clockAheadSeconds) > MAX_SKEW_SECONDS) {
    findings.push({
      kind: 'clock-skew',
      severity: 'warning',
      about,
      text: `expected the clocks of Muster and of the API server to agree within ${MAX_SKEW_SECONDS} s, found a difference of ${Math.abs(seen.clockAheadSeconds)} s: waiting times and run times are wrong`,
      fix: 'see that its node and the control plane run NTP',
    });
  }
  return findings;
}

function countCalls(metrics: string): number {
  return sumOf(metrics, /^muster_extender_request_duration_seconds_count\{(.*)\} (\S+)/gm);
}

function sumOf(metrics: string, pattern: RegExp): number {
  return [...metrics.matchAll(pattern)].reduce((sum, [, , value]) => sum + Number(value), 0);
}
