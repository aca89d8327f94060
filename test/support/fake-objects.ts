/** Objects and answers of the fake API server; the texts of refusals are those of kube-apiserver v1.37.2. */

export interface FakeObject {
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    annotations?: Record<string, string>;
  };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

/** Merge patch, plus `$patch: delete` in lists keyed by name, the only strategic merge that Muster sends. */
export function merge(target: unknown, patch: unknown): unknown {
  if (Array.isArray(patch)) {
    const dropped = new Set(patch.filter((entry) => entry.$patch === 'delete').map((entry) => entry.name));
    return Array.isArray(target) ? target.filter((entry) => !dropped.has(entry.name)) : [];
  }
  if (typeof patch !== 'object' || patch === null) return patch;
  const result: Record<string, unknown> = { ...(target as Record<string, unknown> | undefined) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

export function failure(code: number, reason: string, message: string, details: object = {}): Answer {
  return { status: code, body: { kind: 'Status', status: 'Failure', code, reason, message, details } };
}

export function notFound(name = ''): Answer {
  return failure(404, 'NotFound', `pods "${name}" not found`);
}

export function invalid(name: string, field: string, message: string): Answer {
  return failure(422, 'Invalid', `Pod "${name}" is invalid: ${field}: ${message}`, { causes: [{ field, message }] });
}

export function keyOf({ metadata: { namespace, name } }: FakeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export function bookmarkLine(version: number, initialEnd: boolean): string {
  const annotations = initialEnd ? { 'k8s.io/initial-events-end': 'true' } : {};
  return `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version), annotations } } })}\n`;
}
