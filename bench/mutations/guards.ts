/**
 * The guards whose loss a test must notice. To add one: the file, a piece of its text that occurs once, what the mutant
 * has instead, and the few test files that are to notice it.
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
    text: 'return gate.holds.size > 0 && this.#leftOf(gate) <= 0;',
    mutant: 'return gate.holds.size > 1e9 && this.#leftOf(gate) <= 0;',
    tests: BARRIER_TESTS,
  },
  {
    name: 'nobody is overdue while the queue moves in which he waits',
    file: 'src/gang/observe/slot-keeper.ts',
    text: 'if (now < at || slot.isFailing) return at;',
    mutant: 'if (now < at || slot) return at;',
    tests: ['test/gang/observe/refusal.test.ts'],
  },
  {
    name: 'nominations that nobody needs any more are not sent',
    file: 'src/gang/write/write-window.ts',
    text: 'if (!write.isWanted()) {',
    mutant: 'if (!write.isWanted() && this.#underWay > 1e9) {',
    tests: ['test/gang/write/write-window.test.ts'],
  },
  {
    name: 'a gang that outran the barrier is not tried again',
    file: 'src/gang/admit/admission.ts',
    text: 'this.#parts.limits.holdReasonOf(record) ?? this.#context.reach.findReason(gang);',
    mutant: 'this.#parts.limits.holdReasonOf(record);',
    tests: ['test/gang/state/barrier-reach.test.ts'],
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
    text: 'if (!tx.tryPlace(pod, written.node)) {',
    mutant: 'if (!tx.tryPlace(pod, written.node) && written.node === "") {',
    tests: ['test/gang/observe/recovery.test.ts'],
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
    text: "if (annotated.some(({ annotations }) => annotations[PREEMPTIBLE] === 'false')) return spare('preemptible');",
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
    text: "if (typeof value !== 'string' || value === '')",
    mutant: 'if (value === null)',
    tests: WIRE_TESTS,
  },
  {
    name: 'a call without a UID is refused',
    file: WIRE,
    text: "if (typeof uid !== 'string' || uid === '')",
    mutant: 'if (uid === null)',
    tests: WIRE_TESTS,
  },
  {
    name: 'a body that is no object is refused',
    file: WIRE,
    text: "if (typeof value !== 'object' || value === null || Array.isArray(value)) {",
    mutant: "if (typeof value !== 'object' || value === null) {",
    tests: WIRE_TESTS,
  },
  {
    name: 'contradicting members keep their gang back',
    file: 'src/core/podgroup/problems.ts',
    text: "if (values.length > 1) problems.push({ kind: 'contradiction', key, values });",
    mutant: '',
    tests: ['test/core/podgroup/problems.test.ts'],
  },
];
