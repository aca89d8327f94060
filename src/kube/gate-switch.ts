/** The ConfigMap that tells the admission policy (deploy/admission-policy.yaml) whether members of gangs get the gate. */
import type { ApiClient, ApiOutcome } from './client.ts';

export class ApiGateSwitch {
  readonly #api: ApiClient;
  readonly #path: string;

  constructor(api: ApiClient, { namespace, name }: { readonly namespace: string; readonly name: string }) {
    this.#api = api;
    this.#path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(name)}`;
  }

  /** `gone`: the policy is not installed. @param reason for people who look at the object. */
  set(isOn: boolean, reason: string): Promise<ApiOutcome> {
    return this.#api.patch(this.#path, { data: { gate: isOn ? 'on' : 'off', reason } }, 'merge');
  }
}
