import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseQueue } from '../../../src/core/queues/choice.ts';
import { buildQueueTree, isOpenGuarantee, MAX_QUEUES_ABOVE, type QueueProblem } from '../../../src/core/queues/tree.ts';
import { explainQueueProblem } from '../../../src/core/reasons/explain-queue.ts';
import { GPU } from '../../support/builders.ts';
import { aQueue, queueNamed } from '../../support/queues.ts';

const H100 = `${GPU} H100`;

test('queues know their path, and the leaves are those without children', () => {
  const tree = buildQueueTree([
    aQueue({ name: 'vision', parent: 'research' }),
    aQueue({ name: 'org' }),
    aQueue({ name: 'research', parent: 'org' }),
    aQueue({ name: 'audio', parent: 'research' }),
  ]);
  expect(queueNamed(tree, 'vision').path.map(({ name }) => name)).toEqual(['org', 'research', 'vision']);
  expect(queueNamed(tree, 'vision').depth).toBe(2);
  expect(queueNamed(tree, 'research').children.map(({ name }) => name)).toEqual(['audio', 'vision']);
  expect(tree.roots.map(({ name }) => name)).toEqual(['default', 'org']);
  expect(tree.leaves.map(({ name }) => name).sort()).toEqual(['audio', 'default', 'vision']);
  expect(tree.problems).toEqual([]);
});

test('there is a default queue for all namespaces, unless one is defined', () => {
  expect(queueNamed(buildQueueTree([]), 'default').spec).toMatchObject({
    weight: 1,
    quotas: [],
    namespaces: undefined,
  });
  const own = buildQueueTree([aQueue({ name: 'default', weight: 3, parent: 'org' }), aQueue({ name: 'org' })]);
  expect(queueNamed(own, 'default').spec.weight).toBe(3);
  expect(own.roots.map(({ name }) => name)).toEqual(['org']);
});

test('an inner queue without a quota has the sum of its children’s guarantees, one with a quota its own', () => {
  const children = [
    aQueue({ name: 'a', parent: 'org', guaranteed: 10 }),
    aQueue({ name: 'b', parent: 'org', guaranteed: 20 }),
    aQueue({ name: 'c', parent: 'org' }),
  ];
  const sum = buildQueueTree([aQueue({ name: 'org' }), ...children]);
  expect(queueNamed(sum, 'org').guaranteed.get(GPU)).toBe(30);
  const own = buildQueueTree([aQueue({ name: 'org', guaranteed: 50, limit: 80 }), ...children]);
  expect(queueNamed(own, 'org').guaranteed.get(GPU)).toBe(50);
  expect(queueNamed(own, 'org').limit.get(GPU)).toBe(80);
  expect(queueNamed(own, 'c').guaranteed.size).toBe(0);
});

test('guarantees of models count for the resource', () => {
  const quotas = ['H100', 'A100'].map((model) => ({ resource: GPU, model, guaranteed: 8, limit: undefined }));
  const tree = buildQueueTree([aQueue({ name: 'a', quotas })]);
  expect(queueNamed(tree, 'a').guaranteed.get(GPU)).toBe(16);
  expect(queueNamed(tree, 'a').guaranteed.get(H100)).toBe(8);
  expect([...tree.promised].sort()).toEqual([GPU, `${GPU} A100`, H100]);
  expect([...queueNamed(tree, 'a').promisedByName].sort()).toEqual([`${GPU} A100`, H100]);
});

test('the shortest run time of the path counts, and the nearest default priority', () => {
  const tree = buildQueueTree([
    aQueue({ name: 'org', maxRunTimeMs: 10, defaultPriority: 5 }),
    aQueue({ name: 'long', parent: 'org', maxRunTimeMs: 20, defaultPriority: 7 }),
    aQueue({ name: 'short', parent: 'org', maxRunTimeMs: 3 }),
    aQueue({ name: 'free' }),
  ]);
  const told = ['long', 'short', 'free'].map((name) => {
    const { maxRunTimeMs, defaultPriority } = queueNamed(tree, name);
    return [name, maxRunTimeMs, defaultPriority];
  });
  expect(told).toEqual([
    ['long', 10, 7],
    ['short', 3, 5],
    ['free', undefined, undefined],
  ]);
});

test('a limit alone is no guarantee', () => {
  const tree = buildQueueTree([aQueue({ name: 'a', limit: 8 })]);
  expect([...tree.dimensions]).toEqual([GPU]);
  expect(tree.promised.size).toBe(0);
});

test.each<[what: string, specs: Parameters<typeof aQueue>[0][], problems: QueueProblem[], kept: string[]]>([
  [
    'a name given twice',
    [{ name: 'a' }, { name: 'a', weight: 2 }, { name: 'b' }],
    [{ kind: 'duplicate', queue: 'a' }],
    ['b', 'default'],
  ],
  [
    'a parent that is missing, with everything below',
    [{ name: 'a', parent: 'x' }, { name: 'b', parent: 'a' }, { name: 'c' }],
    [
      { kind: 'unknown-parent', queue: 'a', parent: 'x' },
      { kind: 'left-out-parent', queue: 'b', parent: 'a' },
    ],
    ['c', 'default'],
  ],
  [
    'a cycle, with what hangs on it',
    [
      { name: 'd', parent: 'b' },
      { name: 'b', parent: 'c' },
      { name: 'c', parent: 'b' },
      { name: 'a', parent: 'b' },
    ],
    [
      { kind: 'left-out-parent', queue: 'a', parent: 'b' },
      { kind: 'cycle', queue: 'b', path: ['b', 'c', 'b'] },
      { kind: 'cycle', queue: 'c', path: ['b', 'c', 'b'] },
      { kind: 'left-out-parent', queue: 'd', parent: 'b' },
    ],
    ['default'],
  ],
  [
    'a queue below itself',
    [{ name: 'a', parent: 'a' }],
    [{ kind: 'cycle', queue: 'a', path: ['a', 'a'] }],
    ['default'],
  ],
  [
    'a default that is wrong, without another in its place',
    [{ name: 'default', parent: 'x' }],
    [{ kind: 'unknown-parent', queue: 'default', parent: 'x' }],
    [],
  ],
  [
    'two defaults of one namespace, of which both stay',
    [
      { name: 'b', defaultFor: ['n'] },
      { name: 'a', defaultFor: ['n', 'n'] },
    ],
    [{ kind: 'same-default', queue: 'b', namespace: 'n', other: 'a' }],
    ['a', 'b', 'default'],
  ],
])('reported and left out: %s', (_what, specs, problems, kept) => {
  const tree = buildQueueTree(specs.map(aQueue));
  expect(tree.problems).toEqual(problems);
  expect([...tree.byName.keys()].sort()).toEqual(kept);
  for (const problem of tree.problems) expect(explainQueueProblem(problem)).toContain(problem.queue);
});

test('any specs make a tree: every queue is in it once, or has a problem; their order does not matter', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'default');
  const spec = fc.record({ name, parent: fc.option(name, { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 8 }), (given) => {
      const specs = given.map(aQueue);
      const tree = buildQueueTree(specs);
      const names = new Set([...specs.map((queue) => queue.name), 'default']);
      expect(tree.byName.size + tree.problems.length).toBe(names.size);
      for (const queue of tree.byName.values()) {
        expect(queue.path.at(-1)).toBe(queue);
        expect(queue.path.slice(0, -1)).toEqual(queue.parent?.path ?? []);
        expect(queue.parent?.children ?? tree.roots).toContain(queue);
      }
      const turned = buildQueueTree(specs.toReversed());
      expect(turned.problems).toEqual(tree.problems);
      expect([...turned.byName.keys()]).toEqual([...tree.byName.keys()]);
    }),
  );
});

const tree = buildQueueTree([
  aQueue({ name: 'org', namespaces: ['team-a', 'team-b', 'both'] }),
  aQueue({ name: 'a', parent: 'org', namespaces: ['team-a', 'both', 'stranger'], defaultFor: ['team-a'] }),
  aQueue({ name: 'b', parent: 'org', namespaces: ['team-b', 'both'], defaultFor: ['wrong'] }),
  aQueue({ name: 'lost', parent: 'nowhere' }),
]);

test.each<[namespace: string, label: string | undefined, queue: string]>([
  ['team-a', undefined, 'a'],
  ['team-a', '', 'a'],
  ['team-a', 'default', 'default'],
  ['both', 'b', 'b'],
  ['both', undefined, 'default'],
  ['stranger', undefined, 'default'],
])('a gang of namespace %s with label %j is in queue %s', (namespace, label, queue) => {
  const choice = chooseQueue(tree, namespace, label);
  expect(choice.kind === 'queue' && choice.queue.name).toBe(queue);
});

test.each<[namespace: string, label: string | undefined, text: string]>([
  ['team-a', 'x', 'expected the name of a queue, found no queue named x; use one of a, default'],
  ['team-a', 'org', 'expected a queue without queues below it, found org, which has some; use one of a, default'],
  ['team-a', 'b', 'namespace team-a may not use queue b: queue b does not list it; use one of a, default'],
  ['stranger', 'a', 'namespace stranger may not use queue a: queue org, above a, does not list it; use one of default'],
  ['wrong', undefined, 'namespace wrong may not use queue b: queue org, above b, does not list it; use one of default'],
  [
    'team-a',
    'lost',
    'queue lost cannot be used until it is corrected: queue lost: expected its parent to be a queue, found none named nowhere; create it or correct the parent',
  ],
])('a gang of namespace %s with label %j is refused: %s', (namespace, label, text) => {
  const choice = chooseQueue(tree, namespace, label);
  expect(choice.kind === 'problem' && explainQueueProblem(choice.problem)).toBe(text);
});

test('a namespace that no queue allows gets a reason', () => {
  const closed = buildQueueTree([aQueue({ name: 'default', namespaces: [] })]);
  const choice = chooseQueue(closed, 'n', undefined);
  expect(choice.kind === 'problem' && explainQueueProblem(choice.problem)).toBe(
    'namespace n may not use queue default: queue default does not list it; no queue allows this namespace: list it in the namespaces of one',
  );
});

test('queues below too many others are left out, one by one, and the rest works', () => {
  const chain = Array.from({ length: 20_000 }, (_, i) =>
    aQueue({ name: `q${i}`, ...(i > 0 && { parent: `q${i - 1}` }) }),
  );
  const { byName, problems } = buildQueueTree(chain);
  expect(queueNamed(buildQueueTree(chain), `q${MAX_QUEUES_ABOVE}`).depth).toBe(MAX_QUEUES_ABOVE);
  expect(byName.size).toBe(MAX_QUEUES_ABOVE + 2);
  const [deep] = problems.filter(({ kind }) => kind === 'too-deep');
  expect(explainQueueProblem(deep!)).toBe('queue q17: expected at most 16 queues above it, found more; move it up');
  expect(problems.filter(({ kind }) => kind === 'left-out-parent')).toHaveLength(20_000 - MAX_QUEUES_ABOVE - 2);
});

test('a cycle of thousands of queues is told in one line', () => {
  const size = 20_000;
  const ring = Array.from({ length: size }, (_, i) => aQueue({ name: `q${i}`, parent: `q${(i + 1) % size}` }));
  const { problems } = buildQueueTree(ring);
  expect(problems.every(({ kind }) => kind === 'cycle')).toBe(true);
  expect(problems).toHaveLength(size);
  expect(explainQueueProblem(problems[0]!)).toMatch(/found the cycle q0 → q1 → .* → … \(20000 queues\); remove/);
});

test('a text names a few of thousands of queues', () => {
  const tree = buildQueueTree(Array.from({ length: 5_000 }, (_, i) => aQueue({ name: `q${i}` })));
  const choice = chooseQueue(tree, 'ml', 'none');
  if (choice.kind !== 'problem') throw new Error('expected a problem');
  expect(explainQueueProblem(choice.problem)).toMatch(/use one of default, q0, q1, .* and 4993 more$/);
});

test('of immunity, a queue has what the nearest queue on its path allows, and the shortest minimum run time', () => {
  const tree = buildQueueTree([
    aQueue({ name: 'org', allowNonPreemptible: true, maxMinRuntimeMs: 1_000 }),
    aQueue({ name: 'team', parent: 'org', maxMinRuntimeMs: 2_000 }),
    aQueue({ name: 'strictly', parent: 'org', allowNonPreemptible: false, maxMinRuntimeMs: 0 }),
    aQueue({ name: 'other' }),
  ]);
  const read = (name: string) => {
    const { allowNonPreemptible, maxMinRuntimeMs } = queueNamed(tree, name);
    return [allowNonPreemptible, maxMinRuntimeMs];
  };
  expect(['team', 'strictly', 'other'].map(read)).toEqual([
    [true, 1_000],
    [false, 0],
    [undefined, undefined],
  ]);
});

test.each<[string, Parameters<typeof aQueue>[0][], string[]]>([
  ['a guarantee and no namespaces', [{ name: 'a', guaranteed: 8 }], ['a']],
  ['a guarantee for namespaces', [{ name: 'a', guaranteed: 8, namespaces: ['n'] }], []],
  [
    'namespaces above it',
    [
      { name: 'org', namespaces: ['n'] },
      { name: 'a', parent: 'org', guaranteed: 8 },
    ],
    [],
  ],
  ['no guarantee', [{ name: 'a' }], []],
  ['the name default', [{ name: 'default', guaranteed: 8 }], []],
])('a queue with %s is open or not', (_, specs, open) => {
  const { leaves } = buildQueueTree(specs.map(aQueue));
  expect(leaves.filter(isOpenGuarantee).map(({ name }) => name)).toEqual(open);
});
