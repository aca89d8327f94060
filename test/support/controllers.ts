/**
 * The controllers of a cluster, as small as they can be and still true in what matters to a gang: who makes which pods
 * again, when, and what the status says meanwhile. Orders and delays are those of kubernetes v1.37.2: a Job's status
 * follows its pods within a second, pods that ended stay until the Job has counted them, a Job waits before it makes a
 * failed pod again, a ReplicaSet replaces a pod that starts to leave, a StatefulSet one that is gone.
 */
import type { WireObject } from './cluster-in-memory.ts';
import { GATE, pod, type World } from './scenario.ts';

/** What a pod template says; versions tell templates apart. */
export interface Template {
  readonly gang: string;
  readonly gpus: number;
  /** `muster.dev/min-members`; undefined: not written. */
  readonly min: number | undefined;
  readonly priority: number;
  readonly loss: 'replace' | 'restart' | 'ignore';
  readonly gated: boolean;
  readonly version: number;
}

/** How a controller makes its first pods. */
export type Pace = 'together' | 'one by one' | 'late' | 'in stages';

export interface Maker {
  readonly kind: string;
  readonly name: string;
}

/** An object that makes pods. */
export interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  /** What makes owners like this one; undefined: its user. */
  readonly maker: Maker | undefined;
  template: Template;
  isDeleted: boolean;
  /** Does what the controller does when it looks at its pods. */
  sync(): void;
  /** How many pods it wants to run together now. */
  wanted(): number;
  /** How many pods it will make without another cause. */
  coming(): number;
}

interface Due {
  readonly at: number;
  readonly key: string;
  readonly act: () => void;
}

const GRACE_MS = 2_000;
/** Time moves in steps of at most this, so that the controllers see what happened meanwhile. */
const STEP_MS = 500;

/** The API server's clock, kubelets, garbage collection, and the list of owners. */
export class Controllers {
  readonly world: World;
  readonly owners: Owner[] = [];
  /** Checked after each step of time. */
  onStep: () => void = () => {};
  #due: Due[] = [];
  #serial = 0;

  constructor(world: World) {
    this.world = world;
  }

  get now(): number {
    return this.world.clock.now();
  }

  /** The API server's times have no milliseconds. */
  get stamp(): string {
    return new Date(Math.floor(this.now / 1_000) * 1_000).toISOString();
  }

  get serial(): number {
    return this.#serial++;
  }

  /** Acts once after the delay; what is due already under the same key stays. */
  after(ms: number, key: string, act: () => void): void {
    if (this.#due.some((due) => due.key === key)) return;
    this.#due.push({ at: this.now + ms, key, act });
  }

  podsOf({ uid }: Pick<Owner, 'uid'>): readonly WireObject[] {
    return this.world.cluster.list('Pod').filter((raw) => ownerOf(raw) === uid);
  }

  /** Time passes, and all controllers and kubelets do their part. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    await this.world.settle();
    for (;;) {
      this.#look();
      const next = this.#due.toSorted((a, b) => a.at - b.at)[0];
      const to = Math.min(until, next?.at ?? until, this.now + STEP_MS);
      await this.world.pass(to - this.now);
      this.onStep();
      if (next && next.at <= this.now) {
        this.#due = this.#due.filter((due) => due !== next);
        next.act();
        await this.world.settle();
        this.onStep();
      } else if (this.now >= until) return;
    }
  }

  #look(): void {
    for (const raw of this.world.cluster.list('Pod')) this.#runKubelet(raw);
    for (const owner of this.owners) if (!owner.isDeleted) owner.sync();
  }

  create(owner: Owner, name: string, index: number | undefined): void {
    const { gang, gpus, min, priority, loss, gated, version } = owner.template;
    const raw = pod(name, {
      gpus,
      priority,
      createdAt: Date.parse(this.stamp),
      labels: {
        'muster.dev/pod-group': gang,
        ...(owner.kind === 'Job' && { 'batch.kubernetes.io/job-completion-index': String(index) }),
        ...(owner.kind === 'StatefulSet' && {
          'apps.kubernetes.io/pod-index': String(index),
          'controller-revision-hash': `v${version}`,
        }),
        ...(owner.kind === 'ReplicaSet' && { 'pod-template-hash': `v${version}` }),
      },
      annotations: {
        [MADE_BY]: owner.uid,
        [VERSION]: String(version),
        'muster.dev/on-member-loss': loss,
        ...(min !== undefined && { 'muster.dev/min-members': String(min) }),
        ...(owner instanceof JobOwner && owner.countFailures(index!)),
      },
      spec: {
        terminationGracePeriodSeconds: GRACE_MS / 1_000,
        ...(gated && { schedulingGates: [{ name: GATE }] }),
      },
    });
    const finalizers = owner.kind === 'Job' ? ['batch.kubernetes.io/job-tracking'] : [];
    Object.assign(raw.metadata, { ownerReferences: referTo(owner), uid: `${name}-${this.serial}`, finalizers });
    this.world.create(raw);
  }

  /** A deletion by API: a pod on a node ends after its grace period. */
  remove(raw: WireObject): void {
    if (raw.metadata.deletionTimestamp) return;
    const { name } = raw.metadata;
    if (!raw.spec.nodeName) this.world.delete(name);
    else
      this.world.cluster.update('Pod', `default/${name}`, ({ metadata }) => {
        metadata.deletionTimestamp = new Date(this.now + (isEnded(raw) ? 0 : GRACE_MS)).toISOString();
      });
  }

  /** An eviction by API. */
  evict(raw: WireObject): void {
    if (raw.metadata.deletionTimestamp || isEnded(raw)) return;
    if (raw.spec.nodeName)
      this.world.cluster.update('Pod', `default/${raw.metadata.name}`, ({ status }) => {
        status.conditions = [
          ...(status.conditions ?? []),
          { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' },
        ];
      });
    this.remove(raw);
  }

  end(raw: WireObject, phase: 'Succeeded' | 'Failed'): void {
    this.world.cluster.update('Pod', `default/${raw.metadata.name}`, ({ status }) => {
      status.phase = phase;
      status.containerStatuses = [{ name: 'main', state: { terminated: { finishedAt: this.stamp } } }];
    });
  }

  /** The user deletes the object; its pods go a moment later, one by one. */
  deleteOwner(owner: Owner): void {
    owner.isDeleted = true;
    if (owner.kind === 'Job') this.world.cluster.delete('Job', `default/${owner.name}`);
    this.after(20, `gc ${owner.uid}`, () => {
      for (const raw of this.podsOf(owner)) this.remove(raw);
    });
  }

  #runKubelet(raw: WireObject): void {
    const { name, uid, deletionTimestamp } = raw.metadata;
    const { nodeName } = raw.spec;
    if (!nodeName) return;
    const isCurrent = () => this.world.cluster.list('Pod').includes(raw);
    const isUp = () => this.world.cluster.get('Node', nodeName).status.conditions[0].status === 'True';
    if (raw.status.phase === 'Pending' && !deletionTimestamp) {
      this.after(200, `run ${uid}`, () => {
        if (!isCurrent() || raw.status.phase !== 'Pending' || !isUp()) return;
        this.world.cluster.update('Pod', `default/${name}`, ({ status }) => {
          Object.assign(status, { phase: 'Running', startTime: this.stamp });
        });
      });
    }
    if (!deletionTimestamp) return;
    if (!isEnded(raw) && isUp()) {
      this.after(Math.max(0, Date.parse(deletionTimestamp) - this.now), `end ${uid}`, () => {
        if (isCurrent() && isUp() && !isEnded(raw)) this.end(raw, 'Failed');
      });
    }
    const owner = this.owners.find((other) => other.uid === ownerOf(raw));
    const isKept = owner instanceof JobOwner && !owner.isDeleted && owner.mustCount(raw);
    if (isEnded(raw) && !isKept) {
      this.after(10, `gone ${uid}`, () => {
        if (isCurrent()) this.world.delete(name);
      });
    }
  }
}

/** The model's own mark; Muster reads no annotation of this prefix. */
const MADE_BY = 'model.example.com/made-by';
const VERSION = 'model.example.com/version';

/** UID of the owner in the model. */
export function ownerOf({ metadata }: WireObject): string {
  return metadata.annotations?.[MADE_BY] ?? '';
}

function versionOf({ metadata }: WireObject): number {
  return Number(metadata.annotations?.[VERSION]);
}

export function isEnded({ status }: WireObject): boolean {
  return status.phase === 'Succeeded' || status.phase === 'Failed';
}

/** Neither ended nor leaving. */
export function isActive(raw: WireObject): boolean {
  return !isEnded(raw) && raw.metadata.deletionTimestamp === undefined;
}

function isDisrupted({ status }: WireObject): boolean {
  return (status.conditions ?? []).some(({ type }: { readonly type: string }) => type === 'DisruptionTarget');
}

/** A Deployment has a ReplicaSet for each version of its template. */
function referTo({ kind, name, uid, template }: Owner): readonly object[] {
  if (kind === '') return [];
  const suffix = kind === 'ReplicaSet' ? `-v${template.version}` : '';
  return [{ kind, name: `${name}${suffix}`, uid: `${uid}${suffix}`, controller: true }];
}

/** How many pods may be made now, by pace; `made` exist already. */
function allowance(pace: Pace, made: number, all: number): { readonly count: number; readonly waitMs: number } {
  switch (pace) {
    case 'together':
      return { count: all, waitMs: 15 };
    case 'one by one':
      return { count: 1, waitMs: 300 };
    case 'late':
      return { count: all, waitMs: made === 0 ? 3_000 : 15 };
    case 'in stages':
      return made === 0 ? { count: Math.ceil(all / 2), waitMs: 15 } : { count: all, waitMs: 4_000 };
    default:
      return pace satisfies never;
  }
}

export interface JobSpec {
  readonly parallelism: number;
  readonly completions: number;
  readonly suspend: boolean;
  /** How many pods may fail before the Job does. */
  readonly backoffLimit: number;
  readonly backoffLimitPerIndex: number | undefined;
  readonly ignoresDisruption: boolean;
}

export interface JobTiming {
  readonly pace: Pace;
  /** How long its status takes to follow its pods. */
  readonly countMs: number;
  /** How long it waits before it makes a failed pod again. */
  readonly backoffMs: number;
}

/** An Indexed Job (job_controller.go). */
export class JobOwner implements Owner {
  readonly kind = 'Job';
  readonly uid: string;
  isDeleted = false;
  finished: 'Complete' | 'Failed' | undefined;
  readonly completed = new Set<number>();
  readonly failedIndexes = new Set<number>();
  readonly #failures = new Map<number, number>();
  readonly #counted = new Set<string>();
  #failed = 0;
  #made = 0;
  #mayCreateAt = 0;

  readonly controllers: Controllers;
  readonly name: string;
  template: Template;
  spec: JobSpec;
  readonly timing: JobTiming;
  readonly maker: Maker | undefined;

  constructor(
    controllers: Controllers,
    name: string,
    template: Template,
    spec: JobSpec,
    timing: JobTiming,
    maker: Maker | undefined,
  ) {
    this.controllers = controllers;
    this.name = name;
    this.template = template;
    this.spec = spec;
    this.timing = timing;
    this.maker = maker;
    this.uid = `job-${name}-${controllers.serial}`;
    const owner = maker && { ...maker, uid: `${maker.kind}-${maker.name}`, controller: true };
    controllers.world.cluster.create('Job', {
      metadata: {
        name,
        namespace: 'default',
        uid: this.uid,
        ...{ creationTimestamp: controllers.stamp, ...(owner && { ownerReferences: [owner] }) },
      },
      spec: this.#wireSpec(),
      status: {},
    });
    controllers.owners.push(this);
  }

  edit(change: Partial<JobSpec>): void {
    this.spec = { ...this.spec, ...change };
    this.#update((job) => {
      job.spec = this.#wireSpec();
    });
  }

  /** Whether the pod has ended, or will, and the Job has not counted it. */
  mustCount({ metadata }: WireObject): boolean {
    return !this.#counted.has(metadata.uid!);
  }

  /** What the Job writes on a pod of the index when it limits the failures of each. */
  countFailures(index: number): Readonly<Record<string, string>> {
    if (this.spec.backoffLimitPerIndex === undefined) return {};
    const failures = this.#failuresOf(index, this.controllers.podsOf(this));
    return { 'batch.kubernetes.io/job-index-failure-count': String(failures) };
  }

  isOpen(): boolean {
    return !this.isDeleted && this.finished === undefined;
  }

  wanted(): number {
    if (!this.isOpen() || this.spec.suspend) return 0;
    return Math.min(this.spec.parallelism, this.#openIndexes().length);
  }

  coming(): number {
    return Math.max(0, this.wanted() - (this.#active().length - this.#surplus().length));
  }

  sync(): void {
    const { controllers } = this;
    const pods = controllers.podsOf(this);
    if (pods.some((raw) => isEnded(raw) && this.mustCount(raw))) {
      controllers.after(this.timing.countMs, `count ${this.uid}`, () => this.#count());
    }
    const surplus = this.#surplus();
    if (surplus.length > 0) controllers.after(15, `shrink ${this.uid}`, () => this.#removeAll(this.#surplus()));
    const wanted = this.#missing();
    if (wanted.length > 0) {
      const { waitMs } = allowance(this.timing.pace, this.#made, wanted.length);
      const pause = Math.max(0, this.#mayCreateAt - controllers.now);
      controllers.after(Math.max(waitMs, pause), `create ${this.uid}`, () => this.#make());
    }
    if (this.isOpen()) this.#finishIfDone();
  }

  #make(): void {
    if (this.isDeleted || this.controllers.now < this.#mayCreateAt) return;
    const missing = this.#missing();
    const { count } = allowance(this.timing.pace, this.#made, missing.length);
    for (const index of missing.slice(0, count)) {
      this.controllers.create(this, `${this.name}-${index}-${this.controllers.serial}`, index);
      this.#made++;
    }
  }

  #count(): void {
    if (this.isDeleted) return;
    for (const raw of this.controllers.podsOf(this)) {
      if (!isEnded(raw) || !this.mustCount(raw)) continue;
      this.#counted.add(raw.metadata.uid!);
      const index = indexOf(raw);
      if (raw.status.phase === 'Succeeded') this.completed.add(index);
      else if (!(this.spec.ignoresDisruption && isDisrupted(raw)) && this.isOpen()) {
        this.#failed++;
        this.#failures.set(index, (this.#failures.get(index) ?? 0) + 1);
        const limit = this.spec.backoffLimitPerIndex;
        if (limit !== undefined && this.#failures.get(index)! > limit) this.failedIndexes.add(index);
      }
      if (raw.status.phase === 'Failed') this.#mayCreateAt = this.controllers.now + this.timing.backoffMs;
    }
    if (this.isOpen() && this.#failed > this.spec.backoffLimit) this.finished = 'Failed';
    this.#finishIfDone();
    this.#writeStatus();
    for (const raw of this.controllers.podsOf(this)) if (isEnded(raw)) this.#letGo(raw);
  }

  /** The Job takes its finalizer off. */
  #letGo({ metadata }: WireObject): void {
    const { finalizers } = metadata as { finalizers?: readonly string[] };
    if (!finalizers?.length) return;
    this.controllers.world.cluster.update('Pod', `default/${metadata.name}`, (pod) => {
      Object.assign(pod.metadata, { finalizers: [] });
    });
  }

  #finishIfDone(): void {
    if (!this.isOpen() || this.spec.suspend || this.#openIndexes().length > 0) return;
    if (this.controllers.podsOf(this).some((raw) => isActive(raw) || this.mustCount(raw))) return;
    this.finished = this.failedIndexes.size > 0 ? 'Failed' : 'Complete';
    this.#writeStatus();
  }

  #writeStatus(): void {
    const { completed, failedIndexes, finished } = this;
    this.#update((job) => {
      job.status = {
        startTime: this.controllers.stamp,
        succeeded: [...completed].filter((index) => index < this.spec.completions).length,
        completedIndexes: [...completed].filter((index) => index < this.spec.completions).join(','),
        failed: this.#failed,
        ...(this.spec.backoffLimitPerIndex !== undefined && { failedIndexes: [...failedIndexes].join(',') }),
        ...(finished && { conditions: [{ type: finished, status: 'True' }] }),
      };
    });
  }

  /** Indexes that have neither succeeded nor been given up. */
  #openIndexes(): readonly number[] {
    const pods = this.controllers.podsOf(this);
    return Array.from({ length: this.spec.completions }, (_, i) => i).filter(
      (i) =>
        !this.completed.has(i) &&
        !this.failedIndexes.has(i) &&
        !pods.some((raw) => indexOf(raw) === i && raw.status.phase === 'Succeeded') &&
        !this.#givesUp(i, pods),
    );
  }

  /** Whether the index is given up, or will be when the Job counts what it has not counted yet. */
  #givesUp(index: number, pods: readonly WireObject[]): boolean {
    const limit = this.spec.backoffLimitPerIndex;
    return limit !== undefined && this.#failuresOf(index, pods) > limit;
  }

  /** Failures of the index, with those that are not counted yet. */
  #failuresOf(index: number, pods: readonly WireObject[]): number {
    const uncounted = pods.filter(
      (raw) =>
        indexOf(raw) === index &&
        this.mustCount(raw) &&
        (raw.status.phase === 'Failed' || raw.metadata.deletionTimestamp !== undefined) &&
        !(this.spec.ignoresDisruption && isDisrupted(raw)),
    );
    return uncounted.length + (this.#failures.get(index) ?? 0);
  }

  #active(): readonly WireObject[] {
    return this.controllers.podsOf(this).filter(isActive);
  }

  #missing(): readonly number[] {
    if (!this.isOpen() || this.spec.suspend) return [];
    const pods = this.controllers.podsOf(this);
    const busy = new Set(
      pods
        .filter((raw) => !isEnded(raw) || this.mustCount(raw))
        // Without a failure policy a pod that leaves is replaced at once.
        .filter((raw) => isEnded(raw) || isActive(raw) || this.spec.ignoresDisruption)
        .map(indexOf),
    );
    const open = this.#openIndexes().filter((index) => !busy.has(index));
    return open.slice(0, Math.max(0, this.spec.parallelism - busy.size));
  }

  /** Active pods that the Job does not want any more, the highest indexes first. */
  #surplus(): readonly WireObject[] {
    const active = this.#active().toSorted((a, b) => indexOf(b) - indexOf(a));
    if (!this.isOpen() || this.spec.suspend) return active;
    const beyond = active.filter((raw) => indexOf(raw) >= this.spec.completions);
    const rest = active.filter((raw) => !beyond.includes(raw));
    return [...beyond, ...rest.slice(0, Math.max(0, rest.length - this.spec.parallelism))];
  }

  /** The Job lets go of the pods first, so that their end is not counted. */
  #removeAll(pods: readonly WireObject[]): void {
    for (const raw of pods) {
      this.#counted.add(raw.metadata.uid!);
      this.#letGo(raw);
      this.controllers.remove(raw);
    }
    this.#writeStatus();
  }

  #update(change: (job: WireObject) => void): void {
    if (!this.isDeleted) this.controllers.world.cluster.update('Job', `default/${this.name}`, change);
  }

  #wireSpec(): WireObject['spec'] {
    const { ignoresDisruption, ...spec } = this.spec;
    const rules = [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }];
    return {
      ...spec,
      template: { metadata: { labels: { 'muster.dev/pod-group': this.template.gang } } },
      ...(ignoresDisruption && { podFailurePolicy: { rules } }),
    };
  }
}

function indexOf({ metadata }: WireObject): number {
  return Number(metadata.labels?.['batch.kubernetes.io/job-completion-index']);
}

export type SetKind = 'ReplicaSet' | 'StatefulSet' | 'PyTorchJob' | 'MPIJob';

/** A controller that keeps a number of pods, and says it nowhere that Muster looks. */
export class SetOwner implements Owner {
  readonly uid: string;
  readonly maker = undefined;
  isDeleted = false;
  #made = 0;

  readonly controllers: Controllers;
  readonly kind: SetKind;
  readonly name: string;
  template: Template;
  replicas: number;
  readonly pace: Pace;

  constructor(controllers: Controllers, kind: SetKind, name: string, template: Template, replicas: number, pace: Pace) {
    this.controllers = controllers;
    this.kind = kind;
    this.name = name;
    this.template = template;
    this.replicas = replicas;
    this.pace = pace;
    this.uid = `${kind}-${name}-${controllers.serial}`;
    controllers.owners.push(this);
  }

  wanted(): number {
    if (this.isDeleted) return 0;
    // A worker of an MPIJob that failed is never made again.
    const isOver = (raw: WireObject) => (this.kind === 'MPIJob' ? isEnded(raw) : raw.status.phase === 'Succeeded');
    return Math.max(0, this.replicas - this.controllers.podsOf(this).filter(isOver).length);
  }

  coming(): number {
    if (this.isDeleted || this.kind === 'ReplicaSet') return this.#missing().length;
    const pods = this.controllers.podsOf(this);
    return Array.from({ length: this.replicas }, (_, i) => i).filter((i) => {
      const raw = pods.find(({ metadata }) => metadata.name === `${this.name}-${i}`);
      if (!raw || raw.metadata.deletionTimestamp !== undefined) return true;
      return raw.status.phase === 'Failed' && this.kind !== 'MPIJob';
    }).length;
  }

  sync(): void {
    const { controllers, kind, uid } = this;
    const pods = controllers.podsOf(this);
    // A StatefulSet, and the training operator with restart policy ExitCode, delete what failed.
    if (kind === 'StatefulSet' || kind === 'PyTorchJob') {
      for (const raw of pods) {
        if (raw.status.phase === 'Failed') controllers.after(20, `clear ${raw.metadata.uid}`, () => this.#clear(raw));
      }
    }
    if (this.#surplus().length > 0) {
      controllers.after(15, `shrink ${uid}`, () => {
        for (const raw of this.#surplus()) controllers.remove(raw);
      });
    }
    if (this.#outdated().length > 0) {
      controllers.after(20, `roll ${uid}`, () => {
        for (const raw of this.#outdated()) controllers.remove(raw);
      });
    }
    const missing = this.#missing();
    if (missing.length === 0) return;
    const { waitMs } = allowance(this.pace, this.#made, missing.length);
    controllers.after(waitMs, `create ${uid}`, () => {
      if (this.isDeleted) return;
      const now = this.#missing();
      for (const index of now.slice(0, allowance(this.pace, this.#made, now.length).count)) {
        const name = kind === 'ReplicaSet' ? `${this.name}-${controllers.serial}` : `${this.name}-${index}`;
        controllers.create(this, name, index);
        this.#made++;
      }
    });
  }

  /** The next pod of an old template that makes way for a new one. */
  #outdated(): readonly WireObject[] {
    const active = this.controllers.podsOf(this).filter(isActive);
    const old = active.filter((raw) => versionOf(raw) !== this.template.version);
    if (this.isDeleted || old.length === 0) return [];
    if (this.kind === 'ReplicaSet') {
      // A Deployment: one more than wanted may exist, and none less than wanted may be ready.
      const idle = old.find(({ spec }) => !spec.nodeName);
      if (idle) return [idle];
      const ready = active.filter(({ status }) => status.phase === 'Running').length;
      return ready > this.replicas ? old.slice(0, 1) : [];
    }
    if (this.kind !== 'StatefulSet') return [];
    const all = this.controllers.podsOf(this);
    for (let i = this.replicas - 1; i >= 0; i--) {
      const raw = all.find(({ metadata }) => metadata.name === `${this.name}-${i}`);
      if (!raw) return [];
      if (versionOf(raw) !== this.template.version) return isActive(raw) ? [raw] : [];
      if (raw.status.phase !== 'Running' || !isActive(raw)) return [];
    }
    return [];
  }

  #clear(raw: WireObject): void {
    if (this.controllers.world.cluster.list('Pod').includes(raw)) this.controllers.world.delete(raw.metadata.name);
  }

  #missing(): readonly number[] {
    if (this.isDeleted) return [];
    const pods = this.controllers.podsOf(this);
    if (this.kind === 'ReplicaSet') {
      const active = pods.filter(isActive);
      const current = active.filter((raw) => versionOf(raw) === this.template.version).length;
      const surge = current < active.length ? 1 : 0;
      const count = Math.min(this.replicas - current, this.replicas + surge - active.length);
      return Array.from({ length: Math.max(0, count) }, (_, i) => i);
    }
    const taken = new Set(pods.map(({ metadata }) => metadata.name));
    return Array.from({ length: this.replicas }, (_, i) => i).filter((i) => !taken.has(`${this.name}-${i}`));
  }

  /** Whether the controller is about to remove the pod: nobody can know that but itself. */
  isSurplus(raw: WireObject): boolean {
    return this.#surplus().includes(raw) || this.#outdated().includes(raw);
  }

  #surplus(): readonly WireObject[] {
    const active = this.controllers.podsOf(this).filter(isActive);
    if (this.isDeleted) return [];
    if (this.kind === 'ReplicaSet') {
      // Pods without a node go first, then the newest.
      const order = active.toSorted(
        (a, b) =>
          Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) ||
          (a.metadata.name < b.metadata.name ? 1 : -1),
      );
      const surge = active.some((raw) => versionOf(raw) !== this.template.version) ? 1 : 0;
      return order.slice(0, Math.max(0, active.length - this.replicas - surge));
    }
    const names = new Set(Array.from({ length: this.replicas }, (_, i) => `${this.name}-${i}`));
    return active.filter(({ metadata }) => !names.has(metadata.name));
  }
}

/** Pods that a user made by hand: nobody makes them again. */
export class PodsByHand implements Owner {
  readonly kind = '';
  readonly uid: string;
  readonly maker = undefined;
  isDeleted = false;

  readonly controllers: Controllers;
  readonly name: string;
  template: Template;

  constructor(controllers: Controllers, name: string, template: Template, count: number) {
    this.controllers = controllers;
    this.name = name;
    this.template = template;
    this.uid = `hand-${name}-${controllers.serial}`;
    controllers.owners.push(this);
    for (let i = 0; i < count; i++) controllers.create(this, `${name}-${i}`, undefined);
  }

  wanted(): number {
    return this.isDeleted ? 0 : this.controllers.podsOf(this).filter(isActive).length;
  }

  coming(): number {
    return 0;
  }

  sync(): void {
    // Nothing watches them.
  }
}
