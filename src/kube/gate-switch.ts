/** The object that tells the admission policy (deploy/admission-policy.yaml) whether members of gangs get the gate. */
import type { ApiClient, ApiOutcome } from './client.ts';

export class ApiGateSwitch {
  readonly #api: ApiClient;
  readonly #path: string;

  constructor(api: ApiClient, { namespace, name }: { readonly namespace: string; readonly name: string }) {
    this.#api = api;
    this.#path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/limitranges/${encodeURIComponent(name)}`;
  }

  /** `gone`: the policy is not installed. @param reason for people who look at the object. */
  set(isOn: boolean, reason: string): Promise<ApiOutcome> {
    const annotations = { 'muster.dev/gate': isOn ? 'on' : 'off', 'muster.dev/gate-reason': reason };
    return this.#api.patch(this.#path, { metadata: { annotations } }, 'merge');
  }
}
