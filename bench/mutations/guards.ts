/**
 * The guards whose loss a test must notice. To add one: the file, a piece of its text that occurs once, what the mutant
 * has instead, and the few test files that are to notice it. Whoever changes the text of a guard changes it here too.
 */
export interface Guard {
  /** What the guard keeps. */
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly mutant: string;
  readonly tests: readonly string[];
}

const CLIENT = 'src/kube/client.ts';
const BINDER = 'src/gang/extender/binder.ts';
const VERBS = 'src/gang/extender/verbs.ts';
const WIRE = 'src/http/extender/wire.ts';
const RECORD_TESTS = ['test/gang/observe/recovery.test.ts', 'test/gang/observe/forged-records.test.ts'];
const BARRIER_TESTS = ['test/gang/framework/barrier.test.ts'];
const CLIENT_TESTS = ['test/kube/client.test.ts'];
const WIRE_TESTS = ['test/http/extender/wire.test.ts', 'test/http/app.test.ts'];

export const guards: readonly Guard[] = [
  {
    name: 'the barrier waits for the minimum',
    file: 'src/gang/write/barrier-opener.ts',
    text: 'const missing = gang.minMember - census.bound.length - held;',
    mutant: 'const missing = gang.minMember - census.bound.length - held - 1;',
    tests: BARRIER_TESTS,
  },
  {
    name: 'a barrier whose clock has run out never opens',
    file: 'src/gang/framework/barrier.ts',
    text: 'if (waited >= gate.timeoutMs) {',
    mutant: 'if (waited < 0) {',
    tests: BARRIER_TESTS,
  },
  {
    name: 'a plan sees what others hold',
    file: 'src/gang/framework/planning-input.ts',
    text: 'for (const { pod } of taken?.slots ?? []) slots.add(pod.uid);',
    mutant: 'for (const { pod } of reservations.slots()) slots.add(pod.uid);',
    tests: ['test/gang/plan/placement.test.ts', 'test/gang/statespace/statespace.test.ts'],
  },
  {
    name: 'no node takes more than it has',
    file: 'src/core/snapshot/transaction.ts',
    text: 'if (fits <= 0) return 0;',
    mutant: 'if (fits <= 0) return 1;',
    tests: ['test/core/snapshot/transaction.test.ts'],
  },
  {
    name: 'a recorded slot is adopted only if its node has the capacity',
    file: 'src/gang/observe/recovery.ts',
    text: `of nominated) {
    if (!tx.tryPlace(pod, plan.node)) eraseNomination`,
    mutant: `of nominated) {
    if (!tx.tryPlace(pod, plan.node) && plan.node === '') eraseNomination`,
    tests: ['test/gang/observe/recovery.test.ts'],
  },
  {
    name: 'a recorded fence is adopted only if its node has the capacity without the victims',
    file: 'src/gang/observe/recovery.ts',
    text: `of fenced) {
    if (!tx.tryPlace(pod, plan.node)) eraseNomination`,
    mutant: `of fenced) {
    if (!tx.tryPlace(pod, plan.node) && plan.node === '') eraseNomination`,
    tests: RECORD_TESTS,
  },
  {
    name: 'a recorded fence without victims is erased',
    file: 'src/gang/observe/recovery.ts',
    text: 'if (own.length + departing.length === 0) {',
    mutant: 'if (own.length + departing.length < 0) {',
    tests: RECORD_TESTS,
  },
  {
    name: 'a record that no nomination confirms is no slot',
    file: 'src/gang/observe/recorded-victims.ts',
    text: 'pod.nominatedNodeName === plan.node ? nominated : fenced',
    mutant: "pod.nominatedNodeName === '' ? nominated : nominated",
    tests: RECORD_TESTS,
  },
  {
    name: 'no record is adopted for a gang that would not be planned now',
    file: 'src/gang/observe/recovery.ts',
    text: 'if (gang.problems.length > 0 || gang.isHeld) return true;',
    mutant: '',
    tests: RECORD_TESTS,
  },
  {
    name: 'no record is adopted without quota',
    file: 'src/gang/observe/recovery.ts',
    text: 'if (!queues.hasQuotaFor(choice.queue, asked, victims.get(record) ?? [])) return true;',
    mutant: '',
    tests: RECORD_TESTS,
  },
  {
    name: 'a nomination names the UID of its pod',
    file: CLIENT,
    text: 'metadata: { uid: pod.uid, annotations: { [PLAN]: plan } },',
    mutant: 'metadata: { annotations: { [PLAN]: plan } },',
    tests: CLIENT_TESTS,
  },
  {
    name: 'an eviction names the UID of its pod',
    file: CLIENT,
    text: 'deleteOptions: { preconditions: { uid } },',
    mutant: 'deleteOptions: {},',
    tests: CLIENT_TESTS,
  },
  {
    name: 'a binding names the UID of its pod',
    file: CLIENT,
    text: 'metadata: { name, namespace, uid, annotations },',
    mutant: 'metadata: { name, namespace, annotations },',
    tests: CLIENT_TESTS,
  },
  {
    name: 'the removal of a gate names the UID of its pod',
    file: CLIENT,
    text: 'const body = { metadata: { uid: pod.uid }, spec: { schedulingGates',
    mutant: 'const body = { metadata: {}, spec: { schedulingGates',
    tests: CLIENT_TESTS,
  },
  {
    name: 'a lost answer of a binding is looked up by UID',
    file: CLIENT,
    text: "if (seen.metadata?.uid !== pod.uid) return { kind: 'gone' };",
    mutant: '',
    tests: CLIENT_TESTS,
  },
  {
    name: 'a member is bound to the node of its slot alone',
    file: BINDER,
    text: 'if (slot.node !== call.node) {',
    mutant: 'if (slot.node === "") {',
    tests: BARRIER_TESTS,
  },
  {
    name: 'a member without a slot is not bound',
    file: BINDER,
    text: 'if (gang !== undefined) return refuse(',
    mutant: 'if (gang === "") return refuse(',
    tests: BARRIER_TESTS,
  },
  {
    name: 'a fenced slot is not bound',
    file: BINDER,
    text: "if (slot.state === 'fenced') return refuse(",
    mutant: "if (slot.plan === '') return refuse(",
    tests: ['test/gang/preempt/preemption.test.ts', 'test/gang/preempt/preemption-races.test.ts'],
  },
  {
    name: 'a lone pod is not bound where a gang has the capacity',
    file: BINDER,
    text: 'if (pod && !this.#parts.lonePods.fitsWithReservations(',
    mutant: 'if (pod?.name === "" && !this.#parts.lonePods.fitsWithReservations(',
    tests: BARRIER_TESTS,
  },
  {
    name: 'a filter answer names only offered nodes',
    file: VERBS,
    text: "if (slot.state !== 'fenced' && call.nodeNames.includes(slot.node)) {",
    mutant: "if (slot.state !== 'fenced') {",
    tests: ['test/gang/extender/filter.test.ts'],
  },
  {
    name: 'kube-scheduler preempts nobody for a member',
    file: VERBS,
    text: 'if (gangKeyOf(pod) !== undefined) return VETO;',
    mutant: '',
    tests: ['test/gang/preempt/preemption.test.ts', 'test/contract/extender.test.ts'],
  },
  {
    name: 'a cordoned node takes no pod',
    file: 'src/core/objects/node-fit.ts',
    text: 'if (node.unschedulable && !isTolerated(template.tolerations, CORDON)) return',
    mutant: 'if (node.name === "" && !isTolerated(template.tolerations, CORDON)) return',
    tests: ['test/core/objects/node-fit.test.ts'],
  },
  {
    name: 'a tainted node takes no pod that does not tolerate it',
    file: 'src/core/objects/node-fit.ts',
    text: "if (!toleratesTaints(template, node)) return 'tainted';",
    mutant: '',
    tests: ['test/core/objects/node-fit.test.ts'],
  },
  {
    name: 'a limit of a queue holds',
    file: 'src/core/queues/quota.ts',
    text: "return used + asked > bound ? { cause: 'limit'",
    mutant: "return used > bound ? { cause: 'limit'",
    tests: ['test/core/queues/quota.test.ts'],
  },
  {
    name: 'a queue that may not borrow does not',
    file: 'src/core/queues/quota.ts',
    text: 'if (bound === 0 ? covered : used + asked <= bound) return undefined;',
    mutant: 'if (bound === 0 ? covered : used <= bound) return undefined;',
    tests: ['test/core/queues/quota.test.ts'],
  },
  {
    name: 'what is not preemptible is spared',
    file: 'src/core/preemption/candidates.ts',
    text: "if (isRefusing && allowsNonPreemptible) return spare('preemptible');",
    mutant: '',
    tests: ['test/core/preemption/candidates.test.ts', 'test/core/preemption/preemption.test.ts'],
  },
  {
    name: 'system components are no victims',
    file: 'src/core/preemption/candidates.ts',
    text: 'pod.priority >= SYSTEM_CRITICAL || ',
    mutant: '',
    tests: ['test/core/preemption/candidates.test.ts', 'test/core/preemption/preemption.test.ts'],
  },
  {
    name: 'a nomination does not free the capacity of a binding that is being written',
    file: 'src/gang/observe/observation.ts',
    text: 'reservations.releaseChoiceOf(uid);',
    mutant: 'reservations.releaseHoldFor(uid);',
    tests: ['test/gang/extender/filter.test.ts'],
  },
  {
    name: 'no gate is removed before every member is nominated',
    file: 'src/gang/write/nominator.ts',
    text: "if (assumed.length > 0 || isEarly || slots.some(({ state }) => state === 'fenced')) return;",
    mutant: 'if (isEarly) return;',
    tests: ['test/gang/write/gate.test.ts'],
  },
  {
    name: 'a deletion of an earlier pod leaves its successor alone',
    file: 'src/kube/store.ts',
    text: 'if (entry?.uid !== uid) return;',
    mutant: 'if (!entry) return;',
    tests: ['test/kube/store.test.ts'],
  },
  {
    name: 'an event that is garbage leads to a new list',
    file: 'src/kube/watch-state.ts',
    text: "return input.reason === 'garbage' ? relist('garbage') : retry(state, input.reason);",
    mutant: 'return retry(state, input.reason);',
    tests: ['test/kube/watch-state.test.ts'],
  },
  {
    name: 'what follows a list of managed fields is read',
    file: 'src/kube/wire-json.ts',
    text: "return text[end - 1] === '}' ? end : -1;",
    mutant: "return text.indexOf('}]', from) + 1;",
    tests: ['test/kube/wire-json.test.ts'],
  },
  {
    name: 'a bind call without a field is refused',
    file: WIRE,
    text: `if (typeof value !== 'string' || value === '') {
      throw new WireError(\`expected \${key}, found \${describeFound(value)}\`);
    }
    return expectName(value, key);`,
    mutant: 'return value as string;',
    tests: WIRE_TESTS,
  },
  {
    name: 'a call without a UID is refused',
    file: WIRE,
    text: "const uid = expectName(metadata.uid, 'Pod.metadata.uid');",
    mutant: 'const uid = metadata.uid as string;',
    tests: WIRE_TESTS,
  },
  {
    name: 'a body that is no object is refused',
    file: WIRE,
    text: "if (typeof value === 'object' && value !== null && !Array.isArray(value)) return",
    mutant: "if (typeof value === 'object' && value !== null) return",
    tests: WIRE_TESTS,
  },
  {
    name: 'what could not be a name is refused',
    file: WIRE,
    text: 'if (isPlainName(value)) return value;',
    mutant: "if (typeof value === 'string' && value !== '') return value;",
    tests: WIRE_TESTS,
  },
  {
    name: 'contradicting members keep their gang back',
    file: 'src/core/podgroup/problems.ts',
    text: 'if (values.length <= 1) continue;',
    mutant: 'if (values.length >= 0) continue;',
    tests: ['test/core/podgroup/problems.test.ts'],
  },
  {
    name: 'one namespace does not fill the line of searches',
    file: 'src/search/fair-line.ts',
    text: ' && (this.#waiting.get(namespace)?.length ?? 0) < perNamespace',
    mutant: ' && perNamespace > 0',
    tests: ['test/search/worker-searcher.test.ts'],
  },
  {
    name: 'namespaces take turns in the line of searches',
    file: 'src/search/fair-line.ts',
    text: 'this.#waiting.delete(namespace);',
    mutant: '',
    tests: ['test/search/worker-searcher.test.ts'],
  },
  {
    name: 'tokens that nobody knows leave a half of the reviews to others',
    file: 'src/http/access/review-budget.ts',
    text: "['strangers', STRANGERS],",
    mutant: '',
    tests: ['test/http/access/reviewer.test.ts'],
  },
  {
    name: 'what all gangs use is charged to nobody',
    file: 'src/gang/framework/isolation.ts',
    text: ' - (this.#sharedMs - sharedBefore)',
    mutant: ' - 0 * sharedBefore',
    tests: ['test/gang/framework/isolation.test.ts'],
  },
  {
    name: 'reading the records of one gang at a start costs that gang only',
    file: 'src/gang/observe/recovery.ts',
    text: "isolation.run(record.gang.key, 'observe', () => readClaim(record)) ?? []",
    mutant: 'readClaim(record)',
    tests: ['test/gang/framework/isolation.test.ts'],
  },
  {
    name: 'decisions are for the certificates that are listed',
    file: 'src/http/access/access.ts',
    text: 'peer.names.some((name) => this.#names[role].has(name))',
    mutant: 'peer.names.length > 0',
    tests: ['test/http/access/callers.test.ts'],
  },
  {
    name: 'a token shows only namespaces that its user may list',
    file: 'src/http/access/access.ts',
    text: 'if (!(await ask(list(namespace)))) {',
    mutant: "if (!(await ask(list(namespace))) && namespace === '') {",
    tests: ['test/http/access/callers.test.ts'],
  },
  {
    name: 'a web page gets no decisions',
    file: 'src/http/access/access.ts',
    text: "if (peer.kind === 'open' && headers.origin !== undefined) {",
    mutant: "if (peer.kind === 'open' && headers.origin === '') {",
    tests: ['test/http/access/callers.test.ts'],
  },
  {
    name: 'a body has an end',
    file: 'src/http/server/body.ts',
    text: 'if (size > maxBytes) refuse(',
    mutant: 'if (size < 0) refuse(',
    tests: ['test/http/server/bodies.test.ts'],
  },
  {
    name: 'all bodies that arrive have a bound',
    file: 'src/http/server/body.ts',
    text: 'this.#unfinishedBytes + cost > this.#limits.maxUnfinishedBytes',
    mutant: 'cost < 0',
    tests: ['test/http/server/bodies.test.ts'],
  },
  {
    name: 'JSON is not deeper than the stack',
    file: 'src/http/extender/wire-values.ts',
    text: 'if (++depth > MAX_DEPTH) return true;',
    mutant: '++depth;',
    tests: ['test/http/server/bodies.test.ts', 'test/http/app.test.ts'],
  },
  {
    name: 'victims are evicted after their notice',
    file: 'src/gang/write/evictor.ts',
    text: ' || now < preempting.evictAt',
    mutant: '',
    tests: ['test/gang/preempt/preemption.test.ts', 'test/gang/preempt/preemption-races.test.ts'],
  },
  {
    name: 'victims are evicted together when their budgets allow it',
    file: 'src/gang/write/evictor.ts',
    text: 'if (!preempting.isEvicting && !this.#isAllowed(',
    mutant: 'if (preempting.victims.size < 0 && !this.#isAllowed(',
    tests: ['test/gang/preempt/preemption.test.ts', 'test/gang/preempt/preemption-races.test.ts'],
  },
  {
    name: 'no notice is written before the plan is recorded',
    file: 'src/gang/write/evictor.ts',
    text: "if (slots.some(({ state, isRecorded }) => state === 'fenced' && !isRecorded)) return;",
    mutant: '',
    tests: ['test/gang/preempt/preemption.test.ts', 'test/gang/preempt/preemption-races.test.ts'],
  },
  {
    name: 'equal priority evicts nobody',
    file: 'src/core/reclaim/rights.ts',
    text: "if (pod.priority >= priority) return 'never';",
    mutant: '',
    tests: ['test/core/reclaim/rights.test.ts'],
  },
  {
    name: 'a proposal counts only with all its victims as they are now',
    file: 'src/core/reclaim/confirm-victims.ts',
    text: 'return chosen.length === proposed.length ? chosen : undefined;',
    mutant: 'return chosen;',
    tests: ['test/core/reclaim/confirm-victims.test.ts'],
  },
  {
    name: 'a proposal takes no guarantee of now',
    file: 'src/core/reclaim/confirm-victims.ts',
    text: ' || (holders && holders.listExcess(found.map(({ unit }) => unit)).length > 0)',
    mutant: '',
    tests: ['test/core/reclaim/confirm-victims.test.ts'],
  },
  {
    name: 'a member that leaves while it is bound keeps its capacity',
    file: 'src/gang/observe/observation.ts',
    text: "if (slot.state === 'binding') reservations.holdFor(",
    mutant: "if (slot.node === '') reservations.holdFor(",
    tests: ['test/gang/observe/leavers.test.ts'],
  },
  {
    name: 'a binding that is being written keeps its slot when the gang is released',
    file: 'src/gang/framework/releaser.ts',
    text: "filter(({ state }) => state !== 'binding');",
    mutant: 'filter(({ state }) => state !== undefined);',
    tests: ['test/gang/write/set-aside.test.ts'],
  },
  {
    name: 'what its creator put on a node uses no quota before somebody confirms it: members',
    file: 'src/gang/admit/queue-table.ts',
    text: "if (pod.nodeName !== '' && !pod.isConfirmed) continue;",
    mutant: '',
    tests: ['test/gang/admit/queue-labels.test.ts'],
  },
  {
    name: 'what its creator put on a node uses no quota before somebody confirms it: lone pods',
    file: 'src/gang/admit/lone-use.ts',
    text: 'if (!pod.isOurs || !pod.isConfirmed ||',
    mutant: "if (!pod.isOurs || pod.nodeName === '' ||",
    tests: ['test/gang/admit/queue-labels.test.ts'],
  },
  {
    name: 'what makes good a loss asks for no more than what was lost',
    file: 'src/gang/admit/growth.ts',
    text: 'every((amount) => amount <= 0)',
    mutant: 'every((amount) => amount !== undefined)',
    tests: ['test/gang/admit/growth.test.ts'],
  },
  {
    name: 'a running gang places no more than its turn',
    file: 'src/gang/plan/planner.ts',
    text: 'const own = ahead === undefined ? demand',
    mutant: 'const own = ahead !== -1 ? demand',
    tests: ['test/gang/admit/growth.test.ts'],
  },
  {
    name: 'a running pod that leaves its gang keeps its run limit',
    file: 'src/gang/admit/leaver-limits.ts',
    text: 'if (now >= endsAt) this.#evictor',
    mutant: 'if (now < 0) this.#evictor',
    tests: ['test/gang/admit/queue-labels.test.ts'],
  },
  {
    name: 'a replacement is asked for quota on another GPU model',
    file: 'src/gang/admit/restored-models.ts',
    text: 'if (refused.size === 0) return all;',
    mutant: 'if (refused.size >= 0) return all;',
    tests: ['test/gang/admit/grants.test.ts'],
  },
];
