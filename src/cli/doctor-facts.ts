/** Gathers what `muster doctor` judges. What the user may not see is a fact, too. */
import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { Agent, request } from 'undici';
import { defaultConfiguration, type MusterConfiguration, parseConfiguration } from '../config/configuration.ts';
import type { DoctorFacts, SeenScheduler } from '../doctor/diagnose.ts';
import type { Fact } from '../doctor/finding.ts';
import {
  type NeededRight,
  neededRights,
  type ReviewedRight,
  type RunningService,
  type SeenPolicies,
} from '../doctor/installation.ts';
import type { MusterSettings, SchedulerConfiguration } from '../doctor/scheduler-config.ts';
import { type FoundScheduler, findSchedulers, type SeenSchedulerPod } from '../doctor/scheduler-pods.ts';
import type { SeenWebhook } from '../doctor/webhook.ts';
import type { SeenJob, SeenQuota, SeenWorkloadPod, SeenWorkloads } from '../doctor/workloads.ts';
import { ApiClient } from '../kube/client.ts';
import { type Endpoint, loadEndpoint } from '../kube/kubeconfig.ts';
import { expectAnswer, listObjects, lookAt, readObject } from './cluster-reads.ts';
import type { DoctorWish } from './command.ts';
import { reachMuster } from './reach.ts';

const GROUP_POLICY = '/apis/admissionregistration.k8s.io/v1';

/** @throws Error when the kubeconfig cannot be read, or a file that the user named. */
export async function gatherFacts(wish: DoctorWish, now: () => number): Promise<DoctorFacts> {
  const { target } = wish;
  const path = target.kubeconfig;
  const endpoint = await loadEndpoint(path === undefined ? { kind: 'default' } : { kind: 'file', path });
  const api = new ApiClient(endpoint);
  const namespace = target.kind === 'cluster' ? target.namespace : 'muster-system';
  const account = target.kind === 'cluster' ? target.service : 'muster';
  try {
    await expectAnswer(api, endpoint.server);
    const pods = await lookAt('pods', () => listObjects<SeenWorkloadPod & SeenSchedulerPod>(api, '/api/v1/pods'));
    const [configuration, schedulers, rights, policies, workloads, service] = await Promise.all([
      readConfiguration(api, wish, namespace),
      readSchedulers(api, wish, pods),
      lookAt('rights of Muster', () => reviewRights(api, `system:serviceaccount:${namespace}:${account}`)),
      lookAt('admission policies', () => readPolicies(api, { namespace, service: account, ca: target.ca })),
      readWorkloads(api, pods),
      lookAt('the running Muster', () => readService(wish, endpoint)),
    ]);
    const defaults = settingsOf(defaultConfiguration());
    const known = configuration.kind === 'known' ? configuration.value : undefined;
    const settings = known ? ({ kind: 'known', value: settingsOf(known) } as const) : (configuration as Unknown);
    const serviceAbout = target.kind === 'url' ? target.url : `service ${namespace}/${account}`;
    return {
      now: now(),
      account: `${namespace}/${account}`,
      serviceAbout,
      defaults,
      settings,
      schedulers,
      rights,
      policies,
      webhookPort: known?.server.webhookPort,
      workloads,
      service,
    };
  } finally {
    await api.close();
  }
}

type Unknown = Extract<Fact<unknown>, { readonly kind: 'unknown' }>;

async function readConfiguration(
  api: ApiClient,
  { config }: DoctorWish,
  namespace: string,
): Promise<Fact<MusterConfiguration>> {
  if (config !== undefined) {
    return { kind: 'known', value: parseConfiguration(readFileSync(config, 'utf8'), config) };
  }
  return lookAt('configuration of Muster', async () => {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/muster`;
    const { data } = await readObject<{ readonly data?: Readonly<Record<string, string>> }>(api, path);
    return parseConfiguration(data?.['config.yaml'] ?? '', 'ConfigMap muster');
  });
}

function settingsOf({ gang, schedulerNames, managedResources }: MusterConfiguration): MusterSettings {
  return { barrierTimeoutMs: gang.barrierTimeoutMs, schedulerNames, managedResources };
}

/** @throws Error when a file that the user named cannot be read. */
export async function readSchedulers(
  api: ApiClient,
  { schedulerConfig }: Pick<DoctorWish, 'schedulerConfig'>,
  pods: Fact<readonly SeenSchedulerPod[]>,
): Promise<readonly Fact<SeenScheduler>[]> {
  const fix = 'run it where the file is: muster doctor --scheduler-config FILE';
  if (schedulerConfig !== undefined) {
    const config = parseScheduler(readFileSync(schedulerConfig, 'utf8'), schedulerConfig);
    return [{ kind: 'known', value: { about: schedulerConfig, config } }];
  }
  if (pods.kind === 'unknown') return [{ ...pods, about: 'kube-scheduler', fix }];
  const found = findSchedulers(pods.value);
  if (found.length === 0) {
    const why = 'no pod runs kube-scheduler: it is a service of the control plane, or the cluster is a managed one';
    return [{ kind: 'unknown', about: 'kube-scheduler', why, fix }];
  }
  return Promise.all(found.map((each) => readScheduler(api, each, fix)));
}

async function readScheduler(
  api: ApiClient,
  { about, source }: FoundScheduler,
  fix: string,
): Promise<Fact<SeenScheduler>> {
  switch (source.kind) {
    case 'none':
      return { kind: 'known', value: { about, config: {} } };
    case 'file': {
      const why = `its configuration is the file ${source.path} on node ${source.node}, which the API server does not show`;
      return { kind: 'unknown', about, why, fix };
    }
    case 'config-map':
      return lookAt(about, async () => {
        const { namespace, name, key } = source;
        const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(name)}`;
        const { data } = await readObject<{ readonly data?: Readonly<Record<string, string>> }>(api, path);
        return { about, config: parseScheduler(data?.[key] ?? '', `ConfigMap ${namespace}/${name}, key ${key}`) };
      });
    default:
      return source satisfies never;
  }
}

function parseScheduler(text: string, where: string): SchedulerConfiguration {
  const value = load(text) as SchedulerConfiguration | undefined;
  if (value?.kind === 'KubeSchedulerConfiguration') return value;
  throw new Error(`expected a KubeSchedulerConfiguration in ${where}, found kind ${value?.kind ?? 'none'}`);
}

async function reviewRights(api: ApiClient, user: string): Promise<readonly ReviewedRight[]> {
  const review = async (right: NeededRight): Promise<ReviewedRight> => {
    const { verb, group, resource, subresource } = right;
    const resourceAttributes = { verb, group, resource, ...(subresource && { subresource }) };
    // The groups that the API server gives each service account.
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${user.split(':')[2]}`, 'system:authenticated'];
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, groups, resourceAttributes },
    };
    const { status, body: answer } = await api.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      body,
    });
    if (status !== 201) throw new Error(`expected to be told the rights of ${user}, found status ${status}`);
    return {
      right,
      allowed: (answer as { readonly status?: { readonly allowed?: boolean } }).status?.allowed === true,
    };
  };
  return Promise.all(neededRights.map(review));
}

/** Where Muster is. */
interface Place {
  readonly namespace: string;
  readonly service: string;
  /** A file with the CA of its certificate; undefined: the ConfigMap `muster-ca` has it. */
  readonly ca: string | undefined;
}

async function readPolicies(api: ApiClient, place: Place): Promise<SeenPolicies> {
  const namesOf = async (plural: string): Promise<readonly string[]> => {
    const { status, body } = await api.request('GET', `${GROUP_POLICY}/${plural}`);
    // An older cluster does not have the kind.
    if (status === 404) return [];
    if (status !== 200) throw new Error(`expected the API server to show ${plural}, found ${status}`);
    const { items = [] } = body as { readonly items?: readonly { readonly metadata: { readonly name: string } }[] };
    return items.map(({ metadata }) => metadata.name);
  };
  const [mutating, mutatingBindings, validating, validatingBindings] = await Promise.all([
    namesOf('mutatingadmissionpolicies'),
    namesOf('mutatingadmissionpolicybindings'),
    namesOf('validatingadmissionpolicies'),
    namesOf('validatingadmissionpolicybindings'),
  ]);
  const { status } = await api.request(
    'GET',
    `/api/v1/namespaces/${encodeURIComponent(place.namespace)}/limitranges/muster-gates`,
  );
  const webhook = await readWebhook(api, place);
  return { mutating, mutatingBindings, validating, validatingBindings, gatesParameter: status === 200, webhook };
}

interface WebhookObject {
  readonly webhooks?: readonly {
    readonly clientConfig?: { readonly caBundle?: string; readonly service?: { readonly port?: number } };
  }[];
}

async function readWebhook(api: ApiClient, { namespace, service, ca }: Place): Promise<SeenWebhook | undefined> {
  const found = await api.request('GET', `${GROUP_POLICY}/mutatingwebhookconfigurations/muster-gang-members`);
  if (found.status === 404) return undefined;
  if (found.status !== 200) throw new Error(`expected the API server to show the webhook, found ${found.status}`);
  const clientConfig = (found.body as WebhookObject).webhooks?.[0]?.clientConfig;
  const base = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
  const map = await api.request('GET', `${base}/configmaps/muster-ca`);
  const { data } = (map.status === 200 ? map.body : {}) as { readonly data?: Readonly<Record<string, string>> };
  const { spec } = await readObject<{ readonly spec?: { readonly ports?: readonly { readonly port: number }[] } }>(
    api,
    `${base}/services/${encodeURIComponent(service)}`,
  );
  // What the API server takes where no port is said.
  const port = clientConfig?.service?.port ?? 443;
  return {
    caBundle: Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString('utf8'),
    musterCa: ca === undefined ? data?.['ca.crt'] : readFileSync(ca, 'utf8'),
    hasServicePort: spec?.ports?.some((each) => each.port === port) === true,
  };
}

async function readWorkloads(api: ApiClient, pods: Fact<readonly SeenWorkloadPod[]>): Promise<Fact<SeenWorkloads>> {
  if (pods.kind === 'unknown') return { ...pods, about: 'pods and Jobs' };
  return lookAt('Jobs and ResourceQuotas', async () => ({
    pods: pods.value,
    jobs: await listObjects<SeenJob>(api, '/apis/batch/v1/jobs'),
    quotas: await listObjects<SeenQuota>(api, '/api/v1/resourcequotas'),
  }));
}

async function readService({ target }: DoctorWish, endpoint: Endpoint): Promise<RunningService> {
  const { url, fetch, close } = await reachMuster(target);
  try {
    const ready = await fetch(new URL('/readyz?verbose', url).href);
    const readyz = (await ready.text()).split('\n');
    const serverDate = await readServerDate(endpoint);
    const ahead = (Date.parse(ready.headers.get('date') ?? '') - serverDate) / 1000;
    const textIfOk = async (path: string): Promise<string | undefined> => {
      const response = await fetch(new URL(path, url).href);
      const text = await response.text();
      return response.ok ? text : undefined;
    };
    const topology = await textIfOk('/v1/topology');
    return {
      readyz,
      isReady: ready.status === 200,
      metrics: await textIfOk('/metrics'),
      topology:
        topology === undefined
          ? undefined
          : (JSON.parse(topology) as { findings: NonNullable<RunningService['topology']> }).findings,
      clockAheadSeconds: Number.isFinite(ahead) ? ahead : 0,
    };
  } finally {
    await close();
  }
}

/** What the API server's clock says, in milliseconds since the epoch. */
async function readServerDate(endpoint: Endpoint): Promise<number> {
  const { headers, tls } = await endpoint.credentials();
  const dispatcher = new Agent({ connect: { ...tls } });
  try {
    const answer = await request(`${endpoint.server.replace(/\/$/, '')}/version`, { headers, dispatcher });
    await answer.body.dump();
    return Date.parse(String(answer.headers.date));
  } finally {
    await dispatcher.destroy();
  }
}
