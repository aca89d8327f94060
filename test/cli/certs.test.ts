/** `muster certs`: files in a directory, Secrets of a cluster, flags, and what is said. */
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CertificateSecrets } from '../../src/certs/secrets.ts';
import { CertificateDirectory } from '../../src/certs/store.ts';
import type { CertificatePlace } from '../../src/cli/command.ts';
import { runCli } from '../../src/cli/commands.ts';
import { readTlsMaterial } from '../../src/http/server/tls.ts';
import { ApiClient } from '../../src/kube/client.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { recordCli } from '../support/cli-environment.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';

const DAY = 86_400_000;
const start = Date.UTC(2026, 11, 1);
const SECRETS = '/api/v1/secrets';
const CONFIG_MAPS = '/api/v1/configmaps';
const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

let dir: string;
let server: FakeApiServer;
let places: CertificatePlace[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'muster-certs-'));
  server = await FakeApiServer.start(SECRETS, CONFIG_MAPS, WEBHOOKS);
  places = [];
});

afterEach(async () => {
  rmSync(dir, { recursive: true });
  await server.stop();
});

async function certs(args: readonly string[], day = 0) {
  const { environment, stdout, stderr } = recordCli({
    now: () => start + day * DAY,
    openCertificates: async (place) => {
      places.push(place);
      return place.kind === 'directory'
        ? new CertificateDirectory(place.path)
        : new CertificateSecrets(new ApiClient(openEndpoint(server.url)), place.namespace);
    },
  });
  const code = await runCli(['certs', ...args], environment);
  return { code, stdout: stdout(), stderr: stderr() };
}

const read = (name: string) => readFileSync(join(dir, 'pki', name), 'utf8');

describe('in a directory', () => {
  const inDir = () => ['--dir', join(dir, 'pki')];

  test('makes six files, which Muster serves with; keys are for their owner alone', async () => {
    const { code, stdout } = await certs(inDir());
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'CERTIFICATE      STATE   VALID FOR   REASON',
        'CA               made    3650d       there is none',
        'Muster           made    365d        there is none',
        'kube-scheduler   made    365d        there is none',
        '',
      ].join('\n'),
    );
    const names = ['ca.crt', 'ca.key', 'scheduler.crt', 'scheduler.key', 'tls.crt', 'tls.key'];
    expect(readdirSync(join(dir, 'pki')).toSorted()).toEqual(names);
    const modes = names.map((name) => (statSync(join(dir, 'pki', name)).mode & 0o777).toString(8));
    expect(modes).toEqual(['644', '600', '644', '600', '644', '600']);
    const [certFile, keyFile, clientCaFile] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => join(dir, 'pki', name));
    const material = await readTlsMaterial({ certFile: certFile!, keyFile: keyFile!, clientCaFile });
    const certificate = new X509Certificate(material.cert);
    for (const host of ['muster.muster-system.svc', 'muster.muster-system.svc.cluster.local', 'localhost']) {
      expect(certificate.checkHost(host)).toBe(host);
    }
    expect(new X509Certificate(read('scheduler.crt')).subject).toBe('CN=system:kube-scheduler');
  });

  test('--check writes nothing, and its exit code says whether something is due', async () => {
    expect((await certs([...inDir(), '--check'])).code).toBe(1);
    expect(readdirSync(dir)).toEqual([]);
    await certs(inDir());
    expect((await certs([...inDir(), '--check'])).code).toBe(0);
    expect((await certs([...inDir(), '--check'], 300)).code).toBe(1);
    const before = read('tls.crt');
    expect((await certs(inDir(), 300)).code).toBe(0);
    expect(read('tls.crt')).not.toBe(before);
  });

  test('further names, another Service and another scheduler are in the certificates', async () => {
    await certs([
      ...inDir(),
      '-n',
      'sched',
      '--service',
      'gangs',
      '--names',
      '10.0.0.7,m.example.com',
      '--scheduler',
      'gpu',
    ]);
    const certificate = new X509Certificate(read('tls.crt'));
    expect(certificate.checkHost('gangs.sched.svc')).toBe('gangs.sched.svc');
    expect(certificate.checkHost('m.example.com')).toBe('m.example.com');
    expect(certificate.checkIP('10.0.0.7')).toBe('10.0.0.7');
    expect(new X509Certificate(read('scheduler.crt')).subject).toBe('CN=gpu');
  });

  test('a namespace with the longest name has a certificate', async () => {
    const namespace = 'n'.repeat(63);
    expect((await certs([...inDir(), '-n', namespace])).code).toBe(0);
    expect(new X509Certificate(read('tls.crt')).checkHost(`muster.${namespace}.svc`)).toBe(`muster.${namespace}.svc`);
  });

  test('three runs with --rotate-ca lead to another CA', async () => {
    await certs(inDir());
    const before = read('ca.crt');
    const states: string[] = [];
    for (let step = 0; step < 3; step++) {
      const { stdout } = await certs([...inDir(), '--rotate-ca', '-o', 'json']);
      states.push((JSON.parse(stdout) as { items: { kind: string }[] }).items.map(({ kind }) => kind).join());
    }
    expect(states).toEqual(['ca-announced,kept,kept', 'ca-switched,made,made', 'ca-retired,kept,kept']);
    expect(read('ca.crt')).not.toContain(before);
    expect(readdirSync(join(dir, 'pki'))).not.toContain('ca-next.key');
  });

  test('a refusal says where', async () => {
    await certs(inDir());
    writeFileSync(join(dir, 'pki', 'ca.crt'), 'text');
    const { code, stderr } = await certs(inDir());
    expect(code).toBe(1);
    expect(stderr).toContain(`move it away (${join(dir, 'pki')})`);
  });
});

describe('in Secrets', () => {
  const stored = (name: string, path = SECRETS) =>
    server.get(path, `muster-system/${name}`) as unknown as {
      readonly type: string;
      readonly data: Readonly<Record<string, string>>;
    };
  const inSecret = (name: string, key: string) => Buffer.from(stored(name).data[key]!, 'base64').toString();

  test('the CA has one of its own, and everybody has the CA certificate', async () => {
    expect((await certs(['--secrets', '--kubeconfig', 'k'])).code).toBe(0);
    expect(places).toEqual([{ kind: 'secrets', namespace: 'muster-system', kubeconfig: 'k' }]);
    expect(Object.keys(stored('muster-ca').data)).toEqual(['ca.crt', 'ca.key']);
    const ca = inSecret('muster-ca', 'ca.crt');
    for (const name of ['muster-tls', 'muster-scheduler-tls']) {
      expect(stored(name).type).toBe('kubernetes.io/tls');
      expect(Object.keys(stored(name).data).toSorted()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
      expect(inSecret(name, 'ca.crt')).toBe(ca);
      expect(new X509Certificate(inSecret(name, 'tls.crt')).verify(new X509Certificate(ca).publicKey)).toBe(true);
    }
    expect(stored('muster-ca', CONFIG_MAPS).data).toEqual({ 'ca.crt': ca });
  });

  test('a second run writes nothing; a renewal writes the two pairs; what others put there stays', async () => {
    await certs(['--secrets']);
    const writes = () =>
      server.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);
    const made = writes().length;
    await certs(['--secrets']);
    expect(writes()).toHaveLength(made);
    const found = server.get(SECRETS, 'muster-system/muster-tls')!;
    server.put(SECRETS, { ...found, data: { ...stored('muster-tls').data, other: 'eA==' } } as typeof found);
    await certs(['--secrets'], 300);
    const namespace = '/api/v1/namespaces/muster-system';
    expect(writes().slice(made)).toEqual([
      `PUT ${namespace}/secrets/muster-tls`,
      `PUT ${namespace}/secrets/muster-scheduler-tls`,
    ]);
    expect(stored('muster-tls').data.other).toBe('eA==');
  });

  test('a run that died in between is completed by the next one', async () => {
    server.fault = ({ method, path }) =>
      method === 'POST' && path.endsWith('/configmaps') ? { kind: 'answer', status: 500 } : undefined;
    const { code, stderr } = await certs(['--secrets']);
    expect(code).toBe(1);
    expect(stderr).toContain(
      'expected configmaps/muster-ca in namespace muster-system to be created, found status 500',
    );
    server.fault = () => undefined;
    await certs(['--secrets']);
    expect(inSecret('muster-tls', 'ca.crt')).toBe(inSecret('muster-ca', 'ca.crt'));
    expect((await certs(['--secrets', '--check'])).code).toBe(0);
  });

  describe('the webhook', () => {
    const install = (metadata: object = {}) => {
      const webhook = (namespace: string) => ({
        name: `${namespace}.muster.dev`,
        timeoutSeconds: 3,
        clientConfig: { service: { name: 'muster', namespace, path: '/x' } },
      });
      const webhooks = [webhook('muster-system'), webhook('elsewhere')];
      server.put(WEBHOOKS, { metadata: { name: 'muster-gang-members', ...metadata }, webhooks } as never);
    };
    const bundles = () =>
      (
        server.get(WEBHOOKS, 'muster-gang-members') as unknown as {
          readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
        }
      ).webhooks.map(({ clientConfig: { caBundle } }) => caBundle && Buffer.from(caBundle, 'base64').toString());

    test('gets the CA with its own, before somebody presents a certificate of it, and no more of it than that', async () => {
      install();
      await certs(['--secrets']);
      expect(bundles()).toEqual([inSecret('muster-ca', 'ca.crt'), undefined]);
      const writes = () => server.requests.filter(({ method }) => method !== 'GET').map(({ path }) => path);
      expect(writes().findIndex((path) => path.startsWith(WEBHOOKS))).toBeLessThan(writes().length - 2);
      expect(server.get(WEBHOOKS, 'muster-gang-members')).toMatchObject({ webhooks: [{ timeoutSeconds: 3 }, {}] });
      const made = writes().length;
      await certs(['--secrets']);
      expect(writes()).toHaveLength(made);
      for (let step = 0; step < 2; step++) {
        await certs(['--secrets', '--rotate-ca']);
        expect(bundles()[0]?.match(/BEGIN/g)).toHaveLength(2);
      }
      await certs(['--secrets', '--rotate-ca']);
      expect(bundles()).toEqual([inSecret('muster-ca', 'ca.crt'), undefined]);
    });

    test('is left to cert-manager where that writes it, and by --check', async () => {
      install();
      await certs(['--secrets', '--check']);
      expect(bundles()).toEqual([undefined, undefined]);
      install({ annotations: { 'cert-manager.io/inject-ca-from': 'muster-system/muster' } });
      await certs(['--secrets']);
      expect(bundles()).toEqual([undefined, undefined]);
    });

    test('nothing is said to somebody who may not see whether it is there', async () => {
      server.fault = ({ path }) => (path.startsWith(WEBHOOKS) ? { kind: 'answer', status: 403 } : undefined);
      expect(await certs(['--secrets'])).toMatchObject({ code: 0, stderr: '' });
    });

    test.each([
      ['GET', 500, 'to be read, found status 500; run this again'],
      ['PUT', 403, 'to be replaced, found status 403; bind the ClusterRole muster-webhook-ca'],
      ['PUT', 409, 'to be replaced, found status 409; run this again'],
    ])('that cannot be asked for (%s: %i) is told, and the certificates are made', async (method, status, text) => {
      install();
      server.fault = (request) =>
        request.path.startsWith(WEBHOOKS) && request.method === method ? { kind: 'answer', status } : undefined;
      const { code, stderr } = await certs(['--secrets']);
      expect([code, stderr]).toEqual([0, expect.stringContaining(text)]);
      expect(inSecret('muster-tls', 'tls.crt')).toContain('BEGIN');
    });
  });

  test('what somebody else changed meanwhile is not overwritten', async () => {
    await certs(['--secrets']);
    server.fault = ({ method, path }) => {
      if (method !== 'PUT' || !path.endsWith('muster-tls')) return undefined;
      server.put(SECRETS, server.get(SECRETS, 'muster-system/muster-tls')!);
      return undefined;
    };
    const before = stored('muster-tls').data;
    const { code, stderr } = await certs(['--secrets'], 300);
    expect(code).toBe(1);
    expect(stderr).toContain('somebody else changed it meanwhile; run this again');
    expect(stored('muster-tls').data).toEqual(before);
  });

  test('a CA whose key is kept elsewhere is neither replaced nor given a Secret', async () => {
    await certs(['--secrets']);
    server.remove(SECRETS, 'muster-system/muster-ca');
    const before = inSecret('muster-tls', 'ca.crt');
    expect((await certs(['--secrets'])).code).toBe(0);
    const due = await certs(['--secrets'], 300);
    expect(due.code).toBe(1);
    expect(due.stderr).toContain('expected ca.key to sign tls.crt anew');
    expect(stored('muster-ca')).toBeUndefined();
    expect(inSecret('muster-tls', 'ca.crt')).toBe(before);
  });

  test('a user without the rights is told which', async () => {
    server.fault = () => ({ kind: 'answer', status: 403, body: { message: 'forbidden' } });
    expect((await certs(['--secrets'])).stderr).toContain('use a kubeconfig whose user may get, create and update it');
  });
});

test.each([
  [[], 'expected --dir or --secrets, found neither'],
  [['--dir', 'd', '--secrets'], 'expected --dir or --secrets, found both'],
  [['--dir', 'd', '--kubeconfig', 'k'], '--kubeconfig: expected --secrets with it'],
  [['--dir', 'd', '--days', '0'], '--days: expected a number from 1 to 3650, found "0"'],
  [['--dir', 'd', '--days', 'x'], '--days: expected a number from 1 to 3650, found "x"'],
  [['--dir', 'd', '--names', 'a b'], '--names: expected DNS names and IP addresses, found "a b"'],
  [['--dir', 'd', '--service', 'A_B'], 'found "A_B.muster-system.svc"'],
  [['--dir', 'd', '--scheduler', ''], '--scheduler: expected a name of 1 to 64 characters'],
  [['--dir', 'd', '-o', 'yaml'], '--output: expected json, found "yaml"'],
])('%j is an invalid command line', async (args, text) => {
  const { code, stderr } = await certs(args);
  expect([code, places]).toEqual([2, []]);
  expect(stderr).toContain(text);
});
