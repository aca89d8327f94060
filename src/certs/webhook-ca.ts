/** The CA by which the API server knows Muster's admission webhook, in the object of that: deploy/webhook.yaml. */
import type { ApiClient } from '../kube/client.ts';

const NAME = 'muster-gang-members';
const PATH = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${NAME}`;
/** With it cert-manager writes the CA. */
const INJECTED = 'cert-manager.io/inject-ca-from';

/** The fields that are read; all others are written back as they were. */
interface WebhookConfiguration {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly webhooks?: readonly Webhook[];
}

interface Webhook {
  readonly clientConfig?: { readonly service?: { readonly namespace?: string }; readonly caBundle?: string };
}

/**
 * Writes the CA where the webhook is installed and asks the Muster of this namespace.
 * @returns what could not be done; undefined: nothing. Without it new members get neither gate nor marker, and all else works.
 */
export async function trustInWebhook(
  api: Pick<ApiClient, 'request'>,
  namespace: string,
  ca: string,
): Promise<string | undefined> {
  const found = await api.request('GET', PATH);
  // Who may not see it is told nothing: it is not installed in most clusters, and where it is, its manifest has the right.
  if (found.status === 404 || found.status === 403) return undefined;
  if (found.status !== 200) return describe('read', found.status);
  const object = found.body as WebhookConfiguration;
  if (object.metadata?.annotations?.[INJECTED] !== undefined) return undefined;
  const caBundle = Buffer.from(ca, 'utf8').toString('base64');
  const isStale = ({ clientConfig }: Webhook) =>
    clientConfig?.service?.namespace === namespace && clientConfig.caBundle !== caBundle;
  const { webhooks = [] } = object;
  if (!webhooks.some(isStale)) return undefined;
  const changed = webhooks.map((each) =>
    isStale(each) ? { ...each, clientConfig: { ...each.clientConfig, caBundle } } : each,
  );
  const { status } = await api.request('PUT', PATH, { body: { ...object, webhooks: changed } });
  return status === 200 ? undefined : describe('replaced', status);
}

function describe(done: string, status: number): string {
  const remedy =
    status === 403 ? 'bind the ClusterRole muster-webhook-ca (deploy/webhook.yaml) to who runs this' : 'run this again';
  return `expected mutatingwebhookconfigurations/${NAME} to be ${done}, found status ${status}; ${remedy}`;
}
