/**
 * Certificates in the cluster: the CA with its key in one Secret, Muster's pair and kube-scheduler's in one each, and the
 * CA's certificate, which is no secret, in a ConfigMap for all who ask Muster, and in the webhook if that is installed.
 */
import type { ApiClient } from '../kube/client.ts';
import type { ApiResponse } from '../kube/transport.ts';
import type { CertificateFile, CertificateFiles, FileChange } from './renewal.ts';
import type { CertificateStore } from './store.ts';
import { trustInWebhook } from './webhook-ca.ts';

interface Target {
  readonly plural: 'secrets' | 'configmaps';
  readonly name: string;
  /** Of a Secret. */
  readonly type?: string;
  /** Key in the object → file. */
  readonly files: Readonly<Record<string, CertificateFile>>;
}

/** In the order in which they are written: whoever verifies knows a CA before somebody presents a certificate of it. */
const targets: readonly Target[] = [
  {
    plural: 'secrets',
    name: 'muster-ca',
    type: 'Opaque',
    files: { 'ca.crt': 'ca.crt', 'ca.key': 'ca.key', 'ca-next.key': 'ca-next.key' },
  },
  { plural: 'configmaps', name: 'muster-ca', files: { 'ca.crt': 'ca.crt' } },
  {
    plural: 'secrets',
    name: 'muster-tls',
    type: 'kubernetes.io/tls',
    files: { 'tls.crt': 'tls.crt', 'tls.key': 'tls.key', 'ca.crt': 'ca.crt' },
  },
  {
    plural: 'secrets',
    name: 'muster-scheduler-tls',
    type: 'kubernetes.io/tls',
    files: { 'tls.crt': 'scheduler.crt', 'tls.key': 'scheduler.key', 'ca.crt': 'ca.crt' },
  },
];

/** The fields that are read; all others are written back as they were. */
interface StoredObject {
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

export class CertificateSecrets implements CertificateStore {
  readonly place: string;
  readonly #api: Pick<ApiClient, 'request' | 'close'>;
  readonly #namespace: string;
  #found = new Map<Target, StoredObject>();
  #files: CertificateFiles = {};

  constructor(api: Pick<ApiClient, 'request' | 'close'>, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
    this.place = `the Secrets muster-ca, muster-tls and muster-scheduler-tls in namespace ${namespace}`;
  }

  async read(): Promise<CertificateFiles> {
    const files: Record<string, string> = {};
    this.#found = new Map();
    for (const target of targets) {
      const response = await this.#api.request('GET', this.#pathOf(target, target.name));
      if (response.status === 404) continue;
      const object = this.#expect(response, 200, target, 'read') as StoredObject;
      this.#found.set(target, object);
      // The first that has a file counts: the Secret of the CA, but where its key is kept elsewhere another one.
      for (const [key, file] of Object.entries(target.files)) {
        const content = object.data?.[key];
        if (content !== undefined) files[file] ??= target.plural === 'secrets' ? decode(content) : content;
      }
    }
    this.#files = files;
    return files;
  }

  async write(changes: readonly FileChange[]): Promise<readonly string[]> {
    const files: Record<string, string | undefined> = { ...this.#files };
    for (const { name, content } of changes) files[name] = content;
    const warnings: string[] = [];
    for (const target of targets) {
      // The Secret of a CA whose key is kept elsewhere is not made.
      if (target.name === 'muster-ca' && target.plural === 'secrets' && files['ca.key'] === undefined) continue;
      // The API server verifies, too: it knows a CA before Muster presents a certificate of it.
      if (target.name === 'muster-tls') await this.#tellWebhook(files['ca.crt'], warnings);
      await this.#bring(target, files);
    }
    return warnings;
  }

  close(): Promise<void> {
    return this.#api.close();
  }

  async #tellWebhook(ca: string | undefined, warnings: string[]): Promise<void> {
    const warning = ca === undefined ? undefined : await trustInWebhook(this.#api, this.#namespace, ca);
    if (warning !== undefined) warnings.push(warning);
  }

  /** Each object is written whole, with the version that was read: a pair never matches half. */
  async #bring(target: Target, files: Readonly<Record<string, string | undefined>>): Promise<void> {
    const found = this.#found.get(target);
    const data: Record<string, string> = { ...found?.data };
    for (const [key, file] of Object.entries(target.files)) {
      const content = files[file];
      if (content === undefined) delete data[key];
      else data[key] = target.plural === 'secrets' ? encode(content) : content;
    }
    if (found !== undefined && isSame(found.data ?? {}, data)) return;
    const { name, plural, type } = target;
    const namespace = this.#namespace;
    if (found === undefined) {
      const kind = plural === 'secrets' ? 'Secret' : 'ConfigMap';
      const labels = { 'app.kubernetes.io/name': 'muster' };
      const metadata = { name, namespace, labels };
      const body = { apiVersion: 'v1', kind, metadata, ...(type && { type }), data };
      this.#expect(await this.#api.request('POST', this.#pathOf(target), { body }), 201, target, 'created');
    } else {
      const body = { ...found, data };
      this.#expect(await this.#api.request('PUT', this.#pathOf(target, name), { body }), 200, target, 'replaced');
    }
  }

  #pathOf({ plural }: Target, name?: string): string {
    const path = `/api/v1/namespaces/${encodeURIComponent(this.#namespace)}/${plural}`;
    return name === undefined ? path : `${path}/${name}`;
  }

  #expect(response: ApiResponse, status: number, { plural, name }: Target, done: string): unknown {
    if (response.status === status) return response.body;
    const what = `${plural}/${name} in namespace ${this.#namespace}`;
    const found = `status ${response.status}: ${messageOf(response.body)}`;
    const advice: Readonly<Record<number, string>> = {
      403: 'use a kubeconfig whose user may get, create and update it',
      404: 'create the namespace first (deploy/rbac.yaml)',
      409: 'somebody else changed it meanwhile; run this again',
    };
    const remedy = advice[response.status] ?? 'run this again when the API server answers';
    throw new Error(`expected ${what} to be ${done}, found ${found}; ${remedy}`);
  }
}

function isSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8');
}

function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function messageOf(body: unknown): string {
  const message = typeof body === 'object' && body !== null ? (body as { message?: unknown }).message : undefined;
  return typeof message === 'string' ? message : 'no message';
}
