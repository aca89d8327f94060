import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The API server's own record of all bindings, whoever asked for them. */
export interface BindingAudit {
  readonly apiServerArgs: readonly string[];
  /** How often each pod of namespace `default` was bound, by name. */
  countByPod(): ReadonlyMap<string, number>;
  /** What was bound until now counts no more: another test has pods of the same names. */
  forget(): void;
  remove(): void;
}

interface AuditEvent {
  readonly objectRef?: { readonly namespace?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
}

/** Prepares it; it takes effect when an API server is started with its arguments. */
export function auditBindings(): BindingAudit {
  const dir = mkdtempSync(join(tmpdir(), 'muster-audit-'));
  const policyFile = join(dir, 'policy.yaml');
  const logFile = join(dir, 'audit.log');
  const policy = {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [{ level: 'Metadata', resources: [{ group: '', resources: ['pods/binding'] }] }, { level: 'None' }],
  };
  // JSON is YAML.
  writeFileSync(policyFile, JSON.stringify(policy));
  let forgotten = 0;
  return {
    apiServerArgs: [`--audit-policy-file=${policyFile}`, `--audit-log-path=${logFile}`],
    countByPod: () => {
      const counts = new Map<string, number>();
      const lines = readFileSync(logFile, 'utf8').slice(forgotten).split('\n');
      for (const line of lines.filter((text) => text !== '')) {
        const { objectRef, responseStatus } = JSON.parse(line) as AuditEvent;
        if (responseStatus?.code !== 201 || objectRef?.namespace !== 'default') continue;
        const name = objectRef.name ?? '';
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      return counts;
    },
    forget: () => {
      forgotten = readFileSync(logFile, 'utf8').length;
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
