/** The bodies that `generate.ts` writes: one file for each minor version of Kubernetes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The minor versions that Muster supports. */
export const kubernetesMinors = [30, 31, 32, 33, 34, 35, 36, 37] as const;

export type KubernetesMinor = (typeof kubernetesMinors)[number];

export interface GeneratedPod {
  readonly metadata: Readonly<Record<string, unknown>> & { readonly uid: string };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>>;
}

export interface GeneratedBodies {
  /** Where the Go types come from, and the SHA-256 of extender/v1/types.go. */
  readonly types: { readonly version: string; readonly sha256: string };
  /** KubeSchedulerConfiguration: its version, and the fields of an entry of `extenders` and of what is in one. */
  readonly configuration: {
    readonly apiVersion: string;
    readonly extender: readonly string[];
    readonly tlsConfig: readonly string[];
    readonly managed: readonly string[];
  };
  /** As text, since Go's encoder orders and escapes in its own way. */
  readonly filter: string;
  readonly preempt: string;
  readonly bind: string;
}

export function bodiesFile(minor: KubernetesMinor): string {
  return join(import.meta.dirname, `1.${minor}.json`);
}

export function readBodies(minor: KubernetesMinor): GeneratedBodies {
  return JSON.parse(readFileSync(bodiesFile(minor), 'utf8')) as GeneratedBodies;
}
