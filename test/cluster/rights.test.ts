/** deploy/rbac.yaml gives the rights that the code uses: each rule has a use, and each request has a rule. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LeaseClient } from '../../src/cluster/lease/lease-client.ts';
import { ClusterState } from '../../src/cluster/state.ts';
import { createWatches } from '../../src/cluster/watches.ts';
import { defaultConfiguration } from '../../src/config/configuration.ts';
import { PodProjector } from '../../src/core/objects/pod-projection.ts';
import { AccessReviews } from '../../src/kube/access-review.ts';
import { ApiClient } from '../../src/kube/client.ts';
import { ApiGateSwitch } from '../../src/kube/gate-switch.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { ApiQueueWriter } from '../../src/kube/queue-writer.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';
import { until } from '../support/until.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

interface RbacObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly subjects?: readonly { readonly kind: string; readonly name: string }[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
}

const PATH =
  /^\/(?:api\/v1|apis\/(?<group>[^/]+)\/[^/]+)(?:\/namespaces\/[^/]+)?\/(?<plural>[^/]+)(?:\/[^/]+(?:\/(?<part>[^/]+))?)?$/;
const VERBS: Readonly<Record<string, string>> = { GET: 'get', POST: 'create', PUT: 'update', PATCH: 'patch' };

/** `verb group/resource`, as RBAC sees the request. */
function rightFor(verb: string, path: string): string {
  const { group = '', plural, part } = PATH.exec(path)!.groups!;
  return `${verb} ${group}/${plural}${part === undefined ? '' : `/${part}`}`;
}

function readRights(): readonly string[] {
  const objects = loadAll(readFileSync(join(import.meta.dirname, '../../deploy/rbac.yaml'), 'utf8'));
  // Those that are bound to Muster; others are for people.
  const bound = (objects as RbacObject[])
    .filter(({ subjects }) => subjects?.some(({ kind, name }) => kind === 'ServiceAccount' && name === 'muster'))
    .map(({ roleRef }) => `${roleRef?.kind} ${roleRef?.name}`);
  const roles = (objects as RbacObject[]).filter(({ kind, metadata }) => bound.includes(`${kind} ${metadata.name}`));
  return (roles as unknown as { rules: Rule[] }[])
    .flatMap(({ rules }) => rules)
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    );
}

let server: FakeApiServer;
let api: ApiClient;
let lease: LeaseClient;

beforeEach(async () => {
  server = await FakeApiServer.start('/api/v1/pods');
  api = new ApiClient(openEndpoint(server.url));
  const timing = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };
  lease = new LeaseClient(api, { namespace: 'muster-system', name: 'muster' }, timing);
});

afterEach(async () => {
  await api.close();
  await server.stop();
});

async function watchedPaths(): Promise<readonly string[]> {
  const paths = new Set<string>();
  const watches = createWatches({
    server: 'https://api',
    source: {
      open: (path) => {
        paths.add(path.split('?')[0]!);
        return Promise.reject(new Error('expected to be asked only'));
      },
    },
    state: new ClusterState(undefined),
    projector: new PodProjector({ maxTemplates: 1, managedResources: [] }),
    metrics: new Metrics(),
    log: createLogger({ verbosity: 0, write: () => {}, now: () => 0 }),
    timing: { backoff: { baseMs: 60_000, maxMs: 60_000 } },
    onSynced: () => {},
  });
  watches.start();
  await until('every kind to be asked for', () => paths.size === watches.kinds.length);
  await watches.stop();
  return [...paths];
}

async function writeEverything(): Promise<void> {
  const pod = { namespace: 'ns', name: 'a', uid: 'u' };
  const queues = new ApiQueueWriter(api);
  // An answer that leaves open whether the pod is bound, so that it is looked up.
  server.fault = ({ method, path }) =>
    method === 'POST' && path.endsWith('/binding')
      ? { kind: 'answer', status: 409, body: { message: 'no' } }
      : undefined;
  await api.nominate(pod, 'n1', 'p/n1/1');
  await api.recordPlan(pod, 'p/n1/1');
  await api.clearNomination(pod);
  await api.annotate(pod, {});
  await api.removeGate(pod, 'muster.dev/gang');
  await api.bind(pod, 'n1', {});
  await api.evict(pod);
  await api.createEvent('ns', {});
  await queues.createQueue('q', {}, {});
  await queues.patchQueueStatus('q', {});
  await new ApiGateSwitch(api, { namespace: 'muster-system', name: 'muster-gates' }).set(true, '');
  const claim = { holder: 'a', transitions: 0, acquireTime: undefined };
  await lease.ask({ kind: 'read', before: undefined }, 0);
  await lease.ask({ kind: 'create', claim }, 0);
  await lease.ask({ kind: 'update', claim, version: '1', doubts: 0 }, 0);
  const reviews = new AccessReviews(api);
  await expect(reviews.reviewToken('t')).rejects.toThrow();
  await expect(reviews.reviewAccess({ username: 'u' }, { kind: 'get-path', path: '/metrics' })).rejects.toThrow();
}

test('the role allows what Muster asks for, and nothing else', async () => {
  const watched = [...(await watchedPaths()), lease.kind.path];
  await writeEverything();
  const used = [
    ...watched.flatMap((path) => [rightFor('list', path), rightFor('watch', path)]),
    ...server.requests.map(({ method, path }) => rightFor(VERBS[method]!, path)),
  ];
  expect(readRights().toSorted()).toEqual([...new Set(used)].toSorted());
});

test('of the Leases only that of the defaults may be changed, and only in the namespace of Muster', () => {
  const roles = loadAll(readFileSync(join(import.meta.dirname, '../../deploy/rbac.yaml'), 'utf8')) as {
    readonly kind: string;
    readonly metadata: { readonly namespace?: string };
    readonly rules?: readonly (Rule & { readonly resourceNames?: readonly string[] })[];
  }[];
  const found = roles.flatMap(({ kind, metadata, rules = [] }) =>
    rules
      .filter(({ resources }) => resources.includes('leases'))
      .map(({ verbs, resourceNames }) => ({ kind, namespace: metadata.namespace, verbs, resourceNames })),
  );
  const { namespace, leaseName } = defaultConfiguration().leaderElection;
  expect(found).toEqual([
    { kind: 'Role', namespace, verbs: ['get', 'list', 'watch', 'update'], resourceNames: [leaseName] },
    // RBAC cannot narrow this one to a name.
    { kind: 'Role', namespace, verbs: ['create'], resourceNames: undefined },
  ]);
  expect(lease.kind.fieldSelector, 'a watch is allowed by the name that it selects').toBe(`metadata.name=${leaseName}`);
});
