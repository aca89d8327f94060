/** The configuration: reading, problems, rendering and overrides. */
import { describe, expect, test } from 'vitest';
import {
  ConfigurationError,
  defaultConfiguration,
  overrideConfiguration,
  parseConfiguration,
  renderConfiguration,
} from '../../src/config/configuration.ts';

const header = 'apiVersion: config.muster.dev/v1alpha1\nkind: MusterConfiguration\n';

/** The problems of a file; empty if it is valid. */
function problemsOf(body: string): readonly string[] {
  try {
    parseConfiguration(header + body, 'muster.yaml');
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('parseConfiguration', () => {
  test('a file without settings means the defaults', () => {
    expect(parseConfiguration(header, 'muster.yaml')).toEqual(defaultConfiguration());
    expect(defaultConfiguration()).toEqual({
      server: {
        bindAddress: '127.0.0.1',
        port: 8443,
        inspectPort: 0,
        webhookPort: 0,
        tls: undefined,
        callers: { decisions: ['system:kube-scheduler'], inspect: [], metrics: [] },
        maxBodyMiB: 8,
        maxUnfinishedBodiesMiB: 64,
        maxConnections: 10_000,
        drainDelayMs: 5000,
      },
      api: { kubeconfig: undefined, maxInFlightWrites: 64, requestTimeoutMs: 10_000, watchIdleTimeoutMs: 90_000 },
      leaderElection: {
        enabled: true,
        leaseName: 'muster',
        namespace: 'muster-system',
        leaseDurationMs: 15_000,
        renewDeadlineMs: 10_000,
        retryPeriodMs: 2_000,
      },
      managedResources: ['nvidia.com/gpu', 'amd.com/gpu', 'nvidia.com/mig-*'],
      bindResources: undefined,
      schedulerNames: ['default-scheduler'],
      topology: {
        levels: undefined,
        exclusiveLevels: ['rack', 'nvlink', 'nvlink-part', 'host'],
        policy: 'best-fit',
      },
      gang: {
        barrierTimeoutMs: 100_000,
        nominationTimeoutMs: 15_000,
        repairTimeoutMs: 300_000,
        backoffInitialMs: 1000,
        backoffMaxMs: 1_800_000,
        maxReplans: 8,
        maxGangSize: 100_000,
        timeBudgetMs: 1000,
        gates: 'auto',
        gatesParameter: { namespace: 'muster-system', name: 'muster-gates' },
      },
      preemption: {
        noticeMs: 0,
        fenceTimeoutMs: 300_000,
        blockedTimeoutMs: 30_000,
        backoffInitialMs: 30_000,
        backoffMaxMs: 600_000,
      },
      repair: {
        replaceTimeoutMs: 600_000,
        nodeToleranceMs: 60_000,
        maxRestarts: 3,
        restartBackoffMs: 30_000,
        memoryMs: 3_600_000,
        suspectAfter: 3,
      },
      queues: {
        weights: { priority: 1_000_000, fairShare: 10_000, age: 100, size: 0 },
        halfLifeMs: 604_800_000,
        maxAgeMs: 604_800_000,
        backfill: 'easy',
        defaultRunTimeMs: undefined,
        drainAfterMs: 1_800_000,
        runTimeWarningMs: 600_000,
        statusIntervalMs: 10_000,
        items: [],
      },
      lonePodCandidates: 32,
      log: { verbosity: 2 },
    });
  });

  test('reads every field', () => {
    const config = parseConfiguration(
      `${header}
server: {bindAddress: '::1', port: 0, inspectPort: 9443, webhookPort: 9444, tls: {certFile: a, keyFile: b, clientCaFile: c}, callers: {decisions: [s], inspect: [o, p], metrics: [m]}, maxBodyMiB: 1, maxUnfinishedBodiesMiB: 2, maxConnections: 64, drainDelay: 0s}
api: {kubeconfig: k, maxInFlightWrites: 1, requestTimeout: 1.5s, watchIdleTimeout: 2m}
managedResources: [nvidia.com/mig-*]
topology: {levels: [{name: block, label: example.com/block}, {name: rack, label: rack}], exclusiveLevels: [block], policy: spread}
gang: {barrierTimeout: 1m30s, nominationTimeout: 500ms, repairTimeout: 1h, backoffInitial: 2s, backoffMax: 2s, maxReplans: 0}
preemption: {notice: 2m, fenceTimeout: 1h, blockedTimeout: 1s, backoffInitial: 2s, backoffMax: 3s}
repair: {replaceTimeout: 0s, nodeTolerance: 0s, maxRestarts: 0, restartBackoff: 1s, memory: 2h, suspectAfter: 1}
queues: {weights: {size: 0.5}, halfLife: 1h, maxAge: 2h, backfill: none, defaultRunTime: 4h, drainAfter: 0s, runTimeWarning: 0s, statusInterval: 1s}
lonePodCandidates: 1
log: {verbosity: 10}
`,
      'muster.yaml',
    );
    expect(config.server).toEqual({
      bindAddress: '::1',
      port: 0,
      inspectPort: 9443,
      webhookPort: 9444,
      tls: { certFile: 'a', keyFile: 'b', clientCaFile: 'c' },
      callers: { decisions: ['s'], inspect: ['o', 'p'], metrics: ['m'] },
      maxBodyMiB: 1,
      maxUnfinishedBodiesMiB: 2,
      maxConnections: 64,
      drainDelayMs: 0,
    });
    expect(config.api).toMatchObject({ kubeconfig: 'k', requestTimeoutMs: 1500, watchIdleTimeoutMs: 120_000 });
    expect(config.gang).toMatchObject({
      barrierTimeoutMs: 90_000,
      nominationTimeoutMs: 500,
      repairTimeoutMs: 3_600_000,
    });
    expect(config.preemption).toEqual({
      noticeMs: 120_000,
      fenceTimeoutMs: 3_600_000,
      blockedTimeoutMs: 1000,
      backoffInitialMs: 2000,
      backoffMaxMs: 3000,
    });
    expect(config.repair).toEqual({
      replaceTimeoutMs: 0,
      nodeToleranceMs: 0,
      maxRestarts: 0,
      restartBackoffMs: 1000,
      memoryMs: 7_200_000,
      suspectAfter: 1,
    });
    expect(config.queues).toEqual({
      weights: { priority: 1_000_000, fairShare: 10_000, age: 100, size: 0.5 },
      halfLifeMs: 3_600_000,
      maxAgeMs: 7_200_000,
      backfill: 'none',
      defaultRunTimeMs: 14_400_000,
      drainAfterMs: 0,
      runTimeWarningMs: 0,
      statusIntervalMs: 1000,
      items: [],
    });
    expect(config).toMatchObject({
      managedResources: ['nvidia.com/mig-*'],
      lonePodCandidates: 1,
      log: { verbosity: 10 },
    });
    expect(config.topology).toEqual({
      levels: [
        { name: 'block', label: 'example.com/block' },
        { name: 'rack', label: 'rack' },
      ],
      exclusiveLevels: ['block'],
      policy: 'spread',
    });
  });

  test('an empty section or field counts as absent', () => {
    expect(problemsOf('gang:\nserver:\n  port:\n  tls:\nmanagedResources:\n')).toEqual([]);
  });

  test('the result is immutable', () => {
    const config = defaultConfiguration();
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.gang)).toBe(true);
    expect(Object.isFrozen(config.managedResources)).toBe(true);
  });

  test.each([
    {
      what: 'an unknown field, with its path and the known ones',
      body: 'gang: {barierTimeout: 25s}',
      problem:
        'gang.barierTimeout: unknown field; expected one of barrierTimeout, nominationTimeout, repairTimeout, ' +
        'backoffInitial, backoffMax, maxReplans, maxGangSize, timeBudget, gates, gatesParameter',
    },
    {
      what: 'an unknown field two levels down',
      body: 'server: {tls: {certFile: a, keyFile: b, ca: c}}',
      problem: 'server.tls.ca: unknown field; expected one of certFile, keyFile, clientCaFile',
    },
    {
      what: 'one port for both',
      body: 'server: {port: 9000, inspectPort: 9000}',
      problem:
        'server.inspectPort: expected another port than server.port, found 9000 for both; leave it out to have everything on one port',
    },
    {
      what: 'a webhook on the port of all else',
      body: 'server: {port: 9000, webhookPort: 9000, tls: {certFile: a, keyFile: b}}',
      problem:
        'server.webhookPort: expected another port than server.port and server.inspectPort, found 9000 for both; API servers come to it without a certificate',
    },
    {
      what: 'a webhook without TLS',
      body: 'server: {webhookPort: 9443}',
      problem:
        'server.webhookPort: expected server.tls with it, found none; API servers call webhooks over TLS only: set server.tls, or leave webhookPort out',
    },
    {
      what: 'a total of unfinished bodies below one body',
      body: 'server: {maxBodyMiB: 32, maxUnfinishedBodiesMiB: 16}',
      problem:
        'server.maxUnfinishedBodiesMiB: expected at least server.maxBodyMiB (32), found 16; with less, the largest body could never arrive',
    },
    {
      what: 'a client CA of which nobody may ask for decisions',
      body: 'server: {tls: {certFile: a, keyFile: b, clientCaFile: c}, callers: {decisions: []}}',
      problem:
        "server.callers.decisions: expected at least one name, found an empty list; with none, no pod is scheduled: name what kube-scheduler's certificate says",
    },
    {
      what: 'a caller without a name',
      body: "server: {callers: {inspect: ['']}}",
      problem:
        'server.callers.inspect[0]: expected a name in a caller\'s certificate such as system:kube-scheduler, at most 253 characters, found ""',
    },
    {
      what: 'an unknown field beside an absent section',
      body: 'server: {tsl: {certFile: a, keyFile: b}}',
      problem:
        'server.tsl: unknown field; expected one of bindAddress, port, inspectPort, webhookPort, tls, callers, maxBodyMiB, maxUnfinishedBodiesMiB, maxConnections, drainDelay',
    },
    {
      what: 'a string where a number belongs',
      body: 'server: {port: "8443"}',
      problem: 'server.port: expected an integer from 0 to 65535, found "8443"',
    },
    {
      what: 'a number out of range',
      body: 'server: {port: 65536}',
      problem: 'server.port: expected an integer from 0 to 65535, found 65536',
    },
    {
      what: 'a duration without unit',
      body: 'api: {requestTimeout: 10}',
      problem: 'api.requestTimeout: expected a duration such as 25s, 500ms or 2m, from 100ms to 5m, found 10',
    },
    {
      what: 'a duration out of range',
      body: 'server: {drainDelay: 6m}',
      problem: 'server.drainDelay: expected a duration such as 25s, 500ms or 2m, from 0s to 5m, found "6m"',
    },
    {
      what: 'a list where a mapping belongs',
      body: 'gang: [1]',
      problem: 'gang: expected a mapping of fields, found [1]',
    },
    {
      what: 'a string where a list belongs',
      body: 'managedResources: nvidia.com/gpu',
      problem:
        'managedResources: expected a list, each item a resource name such as nvidia.com/gpu or nvidia.com/mig-*, ' +
        'found "nvidia.com/gpu"',
    },
    {
      what: 'no scheduler at all',
      body: 'schedulerNames: []',
      problem: 'schedulerNames: expected at least one name, found an empty list; with none, no pod is scheduled',
    },
    {
      what: 'a name that no scheduler can have',
      body: 'schedulerNames: [Volcano]',
      problem:
        'schedulerNames[0]: expected a scheduler\'s name as pods write it in spec.schedulerName, such as default-scheduler, found "Volcano"',
    },
    {
      what: 'a star in the middle of a resource name',
      body: 'managedResources: [amd.com/gpu, "nvidia.com/*-gpu"]',
      problem:
        'managedResources[1]: expected a resource name such as nvidia.com/gpu or nvidia.com/mig-*, found "nvidia.com/*-gpu"',
    },
    {
      what: 'levels that are not a list',
      body: 'topology: {levels: rack}',
      problem: 'topology.levels: expected a list of mappings, found "rack"',
    },
    {
      what: 'a level that is a string',
      body: 'topology: {levels: [{name: block, label: block}, "rack"]}',
      problems: [
        'topology.levels[1]: expected a mapping of fields, found "rack"',
        'topology.levels[1].name: expected a level name such as rack, found nothing',
        'topology.levels[1].label: expected a node label key such as topology.kubernetes.io/rack, found nothing',
      ],
    },
    {
      what: 'a level without its label, and what it has instead',
      body: 'topology: {levels: [{name: rack, key: example.com/rack}]}',
      problems: [
        'topology.levels[0].label: expected a node label key such as topology.kubernetes.io/rack, found nothing',
        'topology.levels[0].key: unknown field; expected one of name, label',
      ],
    },
    {
      what: 'a level with an invalid label key',
      body: 'topology: {levels: [{name: rack, label: "the rack"}]}',
      problem:
        'topology.levels[0].label: expected a node label key such as topology.kubernetes.io/rack, found "the rack"',
    },
    {
      what: 'a level name that looks like a label or a path',
      body: 'topology: {levels: [{name: example.com/rack, label: example.com/rack}]}',
      problem: 'topology.levels[0].name: expected a level name such as rack, found "example.com/rack"',
    },
    {
      what: 'two levels of one name',
      body: 'topology: {levels: [{name: rack, label: a}, {name: rack, label: b}]}',
      problem:
        'topology.levels: expected different names and none called host, which is always the innermost level, ' +
        'found "rack" twice',
    },
    {
      what: 'a level with the name of the hosts',
      body: 'topology: {levels: [{name: host, label: a}]}',
      problem:
        'topology.levels: expected different names and none called host, which is always the innermost level, ' +
        'found "host" twice',
    },
    {
      what: 'the single level of the first version',
      body: 'topology: {level: example.com/rack}',
      problem: 'topology.level: unknown field; expected one of levels, exclusiveLevels, policy',
    },
    {
      what: 'a policy that does not exist',
      body: 'topology: {policy: first-fit}',
      problem: 'topology.policy: expected one of best-fit, least-fragmentation, spread, found "first-fit"',
    },
    {
      what: 'TLS without a key',
      body: 'server: {tls: {certFile: a}}',
      problem: 'server.tls.keyFile: expected a text, found nothing',
    },
    {
      what: 'a back-off that shrinks',
      body: 'gang: {backoffMax: 500ms}',
      problem: 'gang.backoffMax: expected at least gang.backoffInitial (1s), found 500ms',
    },
    {
      what: 'a back-off of preemption that shrinks',
      body: 'preemption: {backoffMax: 1s}',
      problem: 'preemption.backoffMax: expected at least preemption.backoffInitial (30s), found 1s',
    },
  ])('reports $what', ({ body, problem, problems = [problem] }) => {
    expect(problemsOf(body)).toEqual(problems);
  });

  test('an empty list of levels turns detection off, unlike a missing list', () => {
    expect(parseConfiguration(`${header}topology: {levels: []}`, 'muster.yaml').topology.levels).toEqual([]);
  });

  test('explains why the barrier must outlast the nominations', () => {
    expect(problemsOf('gang: {barrierTimeout: 15s}')).toEqual([
      'gang.barrierTimeout: expected more than gang.nominationTimeout (15s), found 15s; a member that kube-scheduler ' +
        'refused is replanned while its siblings are held at the barrier, so the barrier must outlast the wait for a nomination',
    ]);
  });

  test('reports all problems at once, under the name of the file', () => {
    const parse = () => parseConfiguration('kind: Pod\nlogs: 1\nserver: {port: x}\n', 'muster.yaml');
    expect(parse).toThrow(
      `muster.yaml: 4 problems; fix and start again
  apiVersion: expected config.muster.dev/v1alpha1, found nothing
  kind: expected MusterConfiguration, found "Pod"
  server.port: expected an integer from 0 to 65535, found "x"
  logs: unknown field; expected one of `,
    );
  });

  test.each([
    { what: 'broken YAML', text: `${header}gang: {`, says: 'expected one YAML document, found: ' },
    { what: 'a field given twice', text: `${header}log: {}\nlog: {}\n`, says: 'duplicated mapping key' },
    { what: 'two documents', text: `${header}---\n${header}`, says: 'expected a single document' },
    {
      what: 'an empty file',
      text: '# nothing\n',
      says: 'apiVersion: expected config.muster.dev/v1alpha1, found nothing',
    },
    { what: 'a document that is no mapping', text: '- a\n', says: 'the document: expected a mapping of fields' },
  ])('refuses $what', ({ text, says }) => {
    expect(() => parseConfiguration(text, 'muster.yaml')).toThrow(says);
  });
});

describe('renderConfiguration', () => {
  const full = parseConfiguration(
    `${header}
server: {tls: {certFile: a, keyFile: b}}
api: {kubeconfig: "no"}
topology: {levels: [{name: rack, label: example.com/rack}], policy: least-fragmentation}
gang: {barrierTimeout: 1m31s, backoffInitial: 1500ms}
managedResources: [nvidia.com/mig-*]
`,
    'muster.yaml',
  );

  test.each([
    { what: 'the defaults', config: defaultConfiguration() },
    { what: 'a full configuration', config: full },
  ])('$what can be read back', ({ config }) => {
    expect(parseConfiguration(renderConfiguration(config), 'rendered')).toEqual(config);
  });

  test('writes durations with units', () => {
    expect(renderConfiguration(full)).toContain('barrierTimeout: 91s');
    expect(renderConfiguration(full)).toContain('repairTimeout: 5m');
  });
});

describe('overrideConfiguration', () => {
  test('flags replace the values of the file and keep the rest', () => {
    const config = overrideConfiguration(defaultConfiguration(), { port: 0, kubeconfig: 'k' });
    expect(config.server).toMatchObject({ port: 0, bindAddress: '127.0.0.1' });
    expect(config.api.kubeconfig).toBe('k');
    expect(overrideConfiguration(config, {})).toEqual(config);
  });

  test('a flag is checked like a field', () => {
    expect(() => overrideConfiguration(defaultConfiguration(), { port: 70_000 })).toThrow(
      'flags: 1 problem; fix and start again\n  server.port: expected an integer from 0 to 65535, found 70000',
    );
  });
});

describe('a file that would take too much memory or time', () => {
  const aliases = (levels: number) => {
    const lines = ['x0: &x0 [a, a, a, a, a, a, a, a, a]'];
    for (let i = 1; i < levels; i++)
      lines.push(`x${i}: &x${i} [${Array.from({ length: 9 }, () => `*x${i - 1}`).join(', ')}]`);
    return lines.join('\n');
  };

  test.each([
    ['aliases of aliases', aliases(30), /^expected at most 200000 values, found more; an alias .* repeats all/],
    ['deep nesting', `a: ${'['.repeat(10_000)}`, /^expected one YAML document, found: nesting exceeded maxDepth/],
    ['a long text', `a: ${'x'.repeat(2 ** 20)}`, /^expected at most 1048576 characters, found 1\d{6}; remove/],
  ])('ends with an error that says so: %s', (_what, body, problem) => {
    expect(problemsOf(body)).toEqual([expect.stringMatching(problem)]);
  });

  test('a few aliases are fine', () => {
    const body = 'queues: {items: [{name: a, quotas: &q [{resource: cpu, guaranteed: 1}]}, {name: b, quotas: *q}]}';
    expect(problemsOf(body)).toEqual([]);
  });

  test('a long wrong value is repeated in part', () => {
    const [problem] = problemsOf(`log: {verbosity: ${'x'.repeat(10_000)}}`);
    expect(problem).toMatch(/^log\.verbosity: expected an integer from 0 to 10, found "x+…$/);
    expect(problem!.length).toBeLessThan(400);
  });
});

describe('leaderElection', () => {
  test.each([
    ['leaseDuration: 10s', 'leaderElection.leaseDuration: expected more than leaderElection.renewDeadline (10s)'],
    ['renewDeadline: 2s', 'leaderElection.renewDeadline: expected more than 1.2 times leaderElection.retryPeriod (2s)'],
    [
      'leaseDuration: 500ms',
      'leaderElection.leaseDuration: expected a duration such as 25s, 500ms or 2m, from 1s to 10m',
    ],
    ['leaseName: A/B', 'leaderElection.leaseName: expected the name of an object, such as muster, found "A/B"'],
    [
      'namespace: a.b',
      'leaderElection.namespace: expected the name of a namespace, such as muster-system, found "a.b"',
    ],
    ['leaseDurations: 20s', 'leaderElection.leaseDurations: unknown field'],
  ])('%s is refused', (field, problem) => {
    const problems = problemsOf(`leaderElection: {${field}}\n`);
    expect(problems.some((each) => each.startsWith(problem))).toBe(true);
  });

  test('what is rendered is read back', () => {
    const text =
      'leaderElection: {enabled: false, leaseName: a.b, namespace: c, leaseDuration: 1m, retryPeriod: 500ms}\n';
    const config = parseConfiguration(header + text, 'muster.yaml');
    expect(parseConfiguration(renderConfiguration(config), 'again')).toEqual(config);
    expect(config.leaderElection).toMatchObject({ enabled: false, leaseName: 'a.b', leaseDurationMs: 60_000 });
  });
});
