/**
 * Random histories of workloads, and the laws that hold in them. What is right is read from the controllers' own truth
 * (`controllers.ts`), never from Muster.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describeGang, type Gang } from '../../src/core/podgroup/gang.ts';
import type { WireObject } from './cluster-in-memory.ts';
import {
  Controllers,
  isActive,
  isEnded,
  JobOwner,
  type JobTiming,
  type Owner,
  ownerOf,
  type Pace,
  PodsByHand,
  type SetKind,
  SetOwner,
  type Template,
} from './controllers.ts';
import { SECOND, startWorld, type World } from './scenario.ts';

const GANGS = ['a', 'b', 'c'] as const;
type GangName = (typeof GANGS)[number];

export interface Submission {
  readonly do: 'submit';
  readonly gang: GangName;
  readonly kind: 'Job' | 'CronJob' | SetKind | 'bare';
  readonly size: number;
  /** How many more completions than parallelism. */
  readonly more: number;
  readonly gpus: 4 | 8;
  /** What is written as `min-members`, below the size; undefined: nothing, if the kind allows that. */
  readonly below: number | undefined;
  readonly priority: 0 | 100;
  readonly loss: Template['loss'];
  readonly gated: boolean;
  readonly pace: Pace;
  readonly timing: Omit<JobTiming, 'pace'>;
  readonly backoffLimit: 0 | 6;
  readonly perIndex: 0 | 1 | undefined;
  readonly ignoresDisruption: boolean;
}

export type Step =
  | Submission
  | { readonly do: 'succeed' | 'fail' | 'delete' | 'evict' | 'collect' | 'unlabel'; readonly which: number }
  | { readonly do: 'not ready' | 'ready' | 'cordon' | 'uncordon'; readonly which: number }
  | { readonly do: 'scale' | 'edit min'; readonly which: number; readonly to: number }
  | { readonly do: 'new template' | 'suspend' | 'resume' | 'delete owner' | 'submit again'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'schedule' | 'rest' | 'restart' | 'pause Jobs' | 'resume Jobs' };

export interface Mix {
  readonly kinds: readonly Submission['kind'][];
}

export function submissions({ kinds }: Mix): fc.Arbitrary<Submission> {
  return fc.record({
    do: fc.constant('submit' as const),
    gang: fc.constantFrom(...GANGS),
    kind: fc.constantFrom(...kinds),
    size: fc.integer({ min: 1, max: 4 }),
    more: fc.constantFrom(0, 0, 0, 2),
    gpus: fc.constantFrom(8 as const, 4 as const),
    below: fc.constantFrom(undefined, undefined, 0, 1),
    priority: fc.constantFrom(0 as const, 0 as const, 100 as const),
    loss: fc.constantFrom('replace' as const, 'restart' as const, 'ignore' as const),
    gated: fc.boolean(),
    pace: fc.constantFrom<Pace>('together', 'together', 'one by one', 'late', 'in stages'),
    timing: fc.record({ countMs: fc.constantFrom(900, 10), backoffMs: fc.constantFrom(10_000, 100) }),
    backoffLimit: fc.constantFrom(6 as const, 0 as const),
    perIndex: fc.constantFrom(undefined, undefined, 0 as const, 1 as const),
    ignoresDisruption: fc.boolean(),
  });
}

export function steps(mix: Mix): fc.Arbitrary<Step> {
  const which = fc.nat(7);
  const on = <T extends string>(...names: readonly T[]) => fc.record({ do: fc.constantFrom(...names), which });
  const all: { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
    { weight: 4, arbitrary: submissions(mix) },
    { weight: 4, arbitrary: on('succeed', 'fail', 'delete', 'evict', 'collect') },
    { weight: 1, arbitrary: on('unlabel') },
    { weight: 2, arbitrary: on('not ready', 'ready', 'cordon', 'uncordon') },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom('scale', 'edit min'), which, to: fc.integer({ min: 1, max: 5 }) }),
    },
    { weight: 2, arbitrary: on('new template', 'suspend', 'resume', 'delete owner', 'submit again') },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('schedule' as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(10, 500, 1_500, 6_000, 15_000) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('rest' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart', 'pause Jobs', 'resume Jobs', 'resume Jobs') }) },
  ];
  return fc.oneof(...all);
}

/** What the model remembers of one run. */
interface RunTruth {
  hasStarted: boolean;
  /** How many members must start together, at the last look. */
  need: number;
  /** Since when a member is lost that its controller makes again, milliseconds; undefined: none is. */
  lostAt: number | undefined;
}

/** Plays steps and checks the laws after each one and whenever time moves. */
export class History {
  readonly world: World;
  readonly controllers: Controllers;
  readonly violations: string[] = [];
  readonly #runs = new Map<string, RunTruth>();
  readonly #submitted = new Map<string, Submission>();
  /** What each owner wanted when the Job watch stopped; undefined: it goes on. */
  #stale: ReadonlyMap<string, number> | undefined;
  #evictionsSeen = 0;
  #serial = 0;
  /** The notes of all Events. */
  readonly #texts: readonly string[];

  private constructor(world: World, texts: readonly string[]) {
    this.world = world;
    this.#texts = texts;
    this.controllers = new Controllers(world);
    this.controllers.onStep = () => this.#check();
  }

  static async start(nodes: number): Promise<History> {
    const texts: string[] = [];
    const events = {
      createEvent: async (_: string, event: Readonly<Record<string, unknown>>) => {
        texts.push(String(event.note));
        return { kind: 'ok' as const };
      },
    };
    const world = await startWorld({
      nodes,
      events,
      settings: {
        preemption: {
          noticeMs: 0,
          fenceTimeoutMs: 20 * SECOND,
          blockedTimeoutMs: 5 * SECOND,
          backoffInitialMs: 5 * SECOND,
          backoffMaxMs: 20 * SECOND,
        },
        repair: {
          replaceTimeoutMs: 60 * SECOND,
          nodeToleranceMs: 10 * SECOND,
          maxRestarts: 3,
          restartBackoffMs: 5 * SECOND,
          memoryMs: 600 * SECOND,
          suspectAfter: 3,
        },
      },
    });
    return new History(world, texts);
  }

  async play(step: Step): Promise<void> {
    await this.#apply(step);
    await this.world.settle();
    this.#check();
    await this.controllers.pass(0);
  }

  /** Faults end, other gangs go, and time passes until the gang has had every chance. */
  async heal(gang: GangName): Promise<void> {
    const { world, controllers } = this;
    this.#resumeJobs();
    for (const owner of controllers.owners) {
      if (owner.isDeleted) continue;
      if (owner.template.gang !== gang) controllers.deleteOwner(owner);
      else if (owner instanceof JobOwner && owner.spec.suspend) owner.edit({ suspend: false });
    }
    for (const { metadata } of world.cluster.list('Node')) this.#repairNode(metadata.name);
    for (const raw of world.cluster.list('Pod')) if (ownerOf(raw) === '' || !gangOf(raw)) this.controllers.remove(raw);
    for (let i = 0; i < 60; i++) {
      await controllers.pass(3 * SECOND);
      await world.schedule();
    }
    await controllers.pass(8 * SECOND);
    this.#checkRest();
    this.#checkHealed(gang);
  }

  #repairNode(name: string): void {
    this.world.setReady(name, true);
    this.world.cluster.update('Node', name, ({ spec }) => {
      spec.unschedulable = false;
    });
  }

  async #apply(step: Step): Promise<void> {
    const { world, controllers } = this;
    switch (step.do) {
      case 'submit':
        return this.#submit(step);
      case 'succeed':
      case 'fail':
      case 'delete':
      case 'evict':
        return this.#endMember(step.do, step.which);
      case 'collect': {
        const raw = pick(world.cluster.list('Pod').filter(isEnded), step.which);
        if (raw) controllers.remove(raw);
        return;
      }
      case 'unlabel': {
        // A lone pod of higher priority may take the place of a gang.
        const mild = world.cluster.list('Pod').filter((raw) => isActive(raw) && raw.spec.priority === 0);
        const raw = pick(mild, step.which);
        if (!raw) return;
        return world.cluster.update('Pod', `default/${raw.metadata.name}`, ({ metadata }) => {
          delete metadata.labels!['muster.dev/pod-group'];
        });
      }
      case 'not ready':
      case 'ready':
      case 'cordon':
      case 'uncordon':
        return this.#changeNode(step.do, step.which);
      case 'scale':
      case 'edit min':
      case 'new template':
      case 'suspend':
      case 'resume':
      case 'delete owner':
      case 'submit again':
        return this.#changeOwner(step);
      case 'pass':
        return controllers.pass(step.ms);
      case 'schedule':
        return world.schedule();
      case 'rest':
        await controllers.pass(8 * SECOND);
        await world.schedule();
        await controllers.pass(8 * SECOND);
        return this.#checkRest();
      case 'restart':
        this.#resumeJobs();
        return world.restart();
      case 'pause Jobs':
        this.#stale ??= new Map(controllers.owners.map((owner) => [owner.uid, owner.wanted()]));
        return world.cluster.pauseWatch('Job');
      case 'resume Jobs':
        return this.#resumeJobs();
      default:
        return step satisfies never;
    }
  }

  #resumeJobs(): void {
    this.#stale = undefined;
    this.world.cluster.resumeWatch('Job');
  }

  #submit(what: Submission): void {
    const { controllers } = this;
    const { gang, kind, size, more, gpus, below, priority, loss, gated, pace, timing } = what;
    const others = this.#live().filter((owner) => owner.template.gang === gang);
    const isMade = kind === 'CronJob';
    if (
      kind === 'Job'
        ? others.length > 1 || others.some((other) => other.kind !== 'Job' || other.maker)
        : !isMade && others.length > 0
    )
      return;
    if (isMade && (others.length > 2 || others.some((other) => !other.maker))) return;
    if (this.world.cluster.list('Pod').some((raw) => gangOf(raw) === gang && ownerKindOf(raw) === '')) return;
    const isJob = kind === 'Job' || isMade;
    const min = below === undefined ? (isJob ? undefined : size) : Math.max(1, size - below);
    // Jobs of one gang say the same.
    const same = others[0] && !isMade ? others[0].template : { min, priority, loss };
    const template: Template = {
      gang,
      gpus,
      gated,
      version: 0,
      min: same.min,
      priority: same.priority,
      loss: same.loss,
    };
    const name = `${gang}${this.#serial++}`;
    this.#submitted.set(name, what);
    if (kind === 'bare') new PodsByHand(controllers, name, template, size);
    else if (isJob) {
      const maker = isMade ? { kind: 'CronJob', name: `${gang}-cron` } : undefined;
      const spec = {
        parallelism: size,
        completions: size + more,
        suspend: false,
        backoffLimit: what.perIndex === undefined ? what.backoffLimit : 2 ** 31 - 1,
        backoffLimitPerIndex: what.perIndex,
        ignoresDisruption: what.ignoresDisruption,
      };
      new JobOwner(controllers, name, template, spec, { ...timing, pace }, maker);
    } else new SetOwner(controllers, kind, name, template, size, pace);
  }

  #live(): readonly Owner[] {
    return this.controllers.owners.filter((owner) => isLive(owner));
  }

  #endMember(how: 'succeed' | 'fail' | 'delete' | 'evict', which: number): void {
    const { world, controllers } = this;
    const running = world.cluster.list('Pod').filter((raw) => raw.spec.nodeName && isActive(raw));
    const raw = pick(running, which);
    if (!raw) return;
    const node = world.cluster.get('Node', raw.spec.nodeName);
    const isUp = node.status.conditions[0].status === 'True';
    const owner = this.#ownerOf(raw);
    if (how === 'succeed' || how === 'fail') {
      if (!isUp || (how === 'succeed' && owner && !mayEnd(owner))) return;
    }
    if (owner instanceof SetOwner && owner.isSurplus(raw)) return;
    const before = owner?.wanted() ?? 0;
    if (how === 'succeed') controllers.end(raw, 'Succeeded');
    else if (how === 'fail') controllers.end(raw, 'Failed');
    else if (how === 'delete') controllers.remove(raw);
    else controllers.evict(raw);
    if (how !== 'succeed' && owner && (owner.kind === '' || owner.kind === 'MPIJob' || owner.wanted() >= before))
      this.#noteLoss(owner);
  }

  #noteLoss(owner: Owner): void {
    this.#truthOf(runKeyOf(owner)).lostAt ??= this.controllers.now;
  }

  #changeNode(how: 'not ready' | 'ready' | 'cordon' | 'uncordon', which: number): void {
    const { world } = this;
    const { name } = pick(world.cluster.list('Node'), which)!.metadata;
    if (how === 'not ready') {
      world.setReady(name, false);
      for (const raw of world.cluster.list('Pod')) {
        const owner = this.#ownerOf(raw);
        if (raw.spec.nodeName === name && isActive(raw) && owner) this.#noteLoss(owner);
      }
    } else if (how === 'ready') world.setReady(name, true);
    else
      world.cluster.update('Node', name, ({ spec }) => {
        spec.unschedulable = how === 'cordon';
      });
  }

  #changeOwner(step: Step & { readonly which: number }): void {
    const { controllers } = this;
    const owner = pick(
      this.#live().filter((other) => other.kind !== ''),
      step.which,
    );
    if (!owner) return;
    switch (step.do) {
      case 'scale':
        if (owner instanceof JobOwner) owner.edit({ parallelism: step.to, completions: step.to });
        else if (owner instanceof SetOwner && owner.kind !== 'MPIJob') owner.replicas = step.to;
        return;
      case 'edit min':
        if (owner instanceof SetOwner) {
          owner.template = { ...owner.template, min: step.to, version: owner.template.version + 1 };
        }
        return;
      case 'new template':
        if (owner instanceof SetOwner) owner.template = { ...owner.template, version: owner.template.version + 1 };
        return;
      case 'suspend':
      case 'resume':
        if (owner instanceof JobOwner) owner.edit({ suspend: step.do === 'suspend' });
        return;
      case 'delete owner':
      case 'submit again': {
        const what = this.#submitted.get(owner.name)!;
        controllers.deleteOwner(owner);
        if (step.do === 'submit again') this.#submit(what);
        return;
      }
      default:
        throw new Error(`expected a step that changes an owner, found ${step.do}`);
    }
  }

  #ownerOf(raw: WireObject): Owner | undefined {
    return this.controllers.owners.find(({ uid }) => uid === ownerOf(raw));
  }

  #truthOf(run: string): RunTruth {
    const known = this.#runs.get(run) ?? { hasStarted: false, need: Number.POSITIVE_INFINITY, lostAt: undefined };
    this.#runs.set(run, known);
    return known;
  }

  // The laws

  #check(): void {
    this.#checkEvictions();
    this.#checkStarts();
    this.#checkDescriptions();
    for (const node of this.world.overbooked()) this.#violate(`overbooked: ${node}`);
  }

  /** What a gang was followed to, event by event, is what its pods and Jobs say now. */
  #checkDescriptions(): void {
    const { view, state } = this.world.muster;
    for (const { gang } of view.gangs()) {
      if (gang.fault) continue;
      const anew = describeGang(gang.key, state.sourcesOf(gang.key), gang);
      for (const field of Object.keys(anew) as (keyof Gang)[]) {
        // A pod that failed before its gang had another maker is forgotten at the second look.
        if (field === 'lost') continue;
        if (!isDeepStrictEqual(anew[field], gang[field])) this.#violate(`${gang.key} is not described anew: ${field}`);
      }
    }
  }

  #violate(text: string): void {
    if (this.violations.length < 5)
      this.violations.push(`at ${(this.controllers.now % 86_400_000) / 1_000} s: ${text}`);
  }

  /** The live pods of each run. Pods of one gang whose owners have no maker are one run. */
  #byRun(): ReadonlyMap<string, { readonly owners: readonly Owner[]; readonly pods: readonly WireObject[] }> {
    const runs = new Map<string, { owners: Owner[]; pods: WireObject[] }>();
    for (const owner of this.controllers.owners) {
      const pods = this.controllers.podsOf(owner).filter((raw) => gangOf(raw) === owner.template.gang);
      if (!isLive(owner)) continue;
      const key = runKeyOf(owner);
      const run = runs.get(key) ?? { owners: [], pods: [] };
      run.owners.push(owner);
      run.pods.push(...pods);
      runs.set(key, run);
    }
    return runs;
  }

  #checkStarts(): void {
    const runs = this.#byRun();
    for (const [key, { owners, pods }] of runs) {
      const truth = this.#truthOf(key);
      const bound = pods.filter((raw) => raw.spec.nodeName && isActive(raw));
      const need = this.#needOf(owners, pods);
      const least = Math.min(need, truth.need);
      if (!truth.hasStarted && bound.length > 0 && bound.length < least) {
        this.#violate(`${key}: ${bound.length} started, and ${least} must start together`);
      }
      truth.need = need;
      truth.hasStarted = bound.length > 0;
      const comes = owners.reduce((sum, owner) => sum + owner.coming(), 0);
      // Nobody makes these again: the loss stays.
      const isFinal = owners.some(({ kind }) => kind === '' || kind === 'MPIJob');
      const isWhole = comes === 0 && bound.length === pods.filter(isActive).length;
      if (isWhole && !isFinal && bound.every((raw) => this.#isUp(raw))) truth.lostAt = undefined;
    }
    for (const [key] of this.#runs) if (!runs.has(key)) this.#runs.delete(key);
  }

  #isUp({ spec }: WireObject): boolean {
    return this.world.cluster.get('Node', spec.nodeName).status.conditions[0].status === 'True';
  }

  /** How many members must start together: what is written, but no more than is wanted. */
  #needOf(owners: readonly Owner[], pods: readonly WireObject[]): number {
    const wanted = owners.reduce((sum, owner) => {
      const known = this.#stale ? Math.min(this.#stale.get(owner.uid) ?? 0, owner.wanted()) : owner.wanted();
      return sum + (owner.kind === 'Job' ? known : owner.wanted());
    }, 0);
    const written = [
      ...owners.map(({ template }) => template.min),
      ...pods.filter(isActive).map(({ metadata }) => metadata.annotations?.['muster.dev/min-members']),
    ].flatMap((min) => (min === undefined ? [] : Number(min)));
    return written.length > 0 ? Math.min(...written, wanted) : wanted;
  }

  /** Whether the owner has a pod that has lost its label. */
  #hasStray(owner: Owner): boolean {
    return this.controllers.podsOf(owner).some((raw) => isActive(raw) && !gangOf(raw));
  }

  #checkEvictions(): void {
    const evictions = this.world.evictions();
    for (const name of evictions.slice(this.#evictionsSeen)) {
      const raw = this.world.cluster.list('Pod').find(({ metadata }) => metadata.name === name);
      const owner = raw && this.#ownerOf(raw);
      if (!owner) {
        // It was not on a node, or its owner has let it go.
        continue;
      }
      const by = raw.metadata.annotations?.['muster.dev/preempted-by'];
      if (by) {
        // Muster sees the deletion of a Job, and not that of other owners before their pods go.
        const rivals = this.controllers.owners.filter(
          (other) => `default/${other.template.gang}` === by && (other.kind !== 'Job' || isLive(other)),
        );
        if (!rivals.some(({ template }) => template.priority > owner.template.priority))
          this.#violate(`${name} was evicted for ${by}, which has no higher priority`);
        continue;
      }
      // Muster does not see the pods without the label that a Job counts among its own.
      if (this.#hasStray(owner)) continue;
      const { lostAt } = this.#truthOf(runKeyOf(owner));
      if (lostAt === undefined) this.#violate(`${name} was evicted, and its gang had lost nobody`);
      else if (owner.template.loss === 'ignore') this.#violate(`${name} was evicted, and its gang ignores losses`);
      else if (owner.template.loss === 'replace' && this.controllers.now < lostAt + 60_000)
        this.#violate(`${name} was evicted before its gang had waited for a replacement`);
    }
    this.#evictionsSeen = evictions.length;
  }

  /** Nothing has happened for a while: no place is kept for nobody, and who waits is told why. */
  #checkRest(): void {
    const { world } = this;
    const runs = this.#byRun();
    for (const gang of GANGS) {
      const places = [...world.muster.reservations.holds()].filter(
        ([key]) => key.kind === 'replacement' && key.gang === `default/${gang}`,
      ).length;
      const own = [...runs].filter(([, { owners }]) => owners[0]!.template.gang === gang);
      const isByHand = own.some(([, { owners }]) => owners[0]!.kind === '');
      const isPartly = own.some(([, { owners }]) => owners.some((owner) => this.#hasStray(owner)));
      const comes = own.reduce(
        (sum, [, { owners, pods }]) =>
          sum +
          owners.reduce((all, owner) => all + owner.coming(), 0) +
          pods.filter((raw) => isActive(raw) && (!raw.spec.nodeName || !this.#isUp(raw))).length,
        0,
      );
      if (places > comes && !this.#stale && !isByHand && !isPartly)
        this.#violate(`${gang}: ${places} places kept, ${comes} members come`);
    }
    for (const raw of world.cluster.list('Pod')) {
      const gang = gangOf(raw);
      if (!gang || raw.spec.nodeName || !isActive(raw)) continue;
      this.#checkReason(raw, gang);
    }
  }

  #checkReason(raw: WireObject, gang: string): void {
    const { world } = this;
    const { name } = raw.metadata;
    const record = world.muster.view.gang(`default/${gang}`);
    if (!record) {
      this.#violate(`${name} waits, and Muster knows no gang ${gang}`);
      return;
    }
    const reason = world.reasonOf(gang);
    if (BROKEN.test(reason)) this.#violate(`${gang} has a broken reason: ${reason}`);
    const broken = this.#texts.find((text) => BROKEN.test(text));
    if (broken) this.#violate(`a broken Event: ${broken}`);
    const isLater = record.gang.laterRuns.some(({ pods }) => pods.some(({ uid }) => uid === raw.metadata.uid));
    const isMember = record.gang.members.some(({ uid }) => uid === raw.metadata.uid);
    if (!isLater && !isMember) this.#violate(`${name} waits, and is neither a member of ${gang} nor of a later run`);
    const hasPlace = world.muster.reservations.slot(raw.metadata.uid!) !== undefined;
    if (!isLater && !hasPlace && reason === '')
      this.#violate(`${name} waits, ${gang} is ${record.state}, and has no reason`);
    if (!this.#texts.some((text) => text.includes(`gang default/${gang}: `)))
      this.#violate(`${name} waits, and no Event told so: ${reason}`);
  }

  /** Every complete run that fits has started. */
  #checkHealed(gang: GangName): void {
    const { world } = this;
    const capacity = world.cluster.list('Node').length * 8;
    const places = [...world.muster.reservations.holds()].map(([key]) => JSON.stringify(key));
    const runs = [...this.#byRun()].filter(([, { owners }]) => owners[0]!.template.gang === gang);
    const first = runs.find(([key]) => this.#truthOf(key).hasStarted) ?? runs[0];
    if (!first) return;
    const [key, { owners, pods }] = first;
    const active = pods.filter(isActive);
    const waiting = active.filter((raw) => !raw.spec.nodeName);
    const asks = active.reduce(
      (sum, raw) => sum + Number(raw.spec.containers[0].resources.requests['nvidia.com/gpu']),
      0,
    );
    const min = Math.max(
      0,
      ...active.map(({ metadata }) => Number(metadata.annotations?.['muster.dev/min-members'] ?? 0)),
    );
    const isComplete = active.length >= min && owners.every((owner) => owner.coming() === 0);
    const text = () => `the gang is ${world.stateOf(gang)}: ${world.reasonOf(gang)}`;
    const fits =
      waiting.length === active.length
        ? asks <= capacity
        : waiting.some((raw) => world.scheduler.feasible(`default/${raw.metadata.name}`).length > 0);
    if (isComplete && fits && waiting.length > 0)
      this.#violate(`${key}: ${waiting.map(({ metadata }) => metadata.name)} still wait; ${text()}`);
    if (isComplete && waiting.length === 0 && places.length > 0 && owners[0]!.kind !== '')
      this.#violate(`${key}: still kept: ${places}; ${text()}`);
  }
}

/** What no reason says: a value that is missing, or a cause that is empty. */
const BROKEN = /undefined|NaN|: ;|; ;|: $|\[object/;

export async function playAll(nodes: number, all: readonly Step[]): Promise<History> {
  const history = await History.start(nodes);
  for (const step of all) {
    await history.play(step);
    if (history.violations.length > 0) break;
  }
  return history;
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[which % items.length];
}

function gangOf({ metadata }: WireObject): string | undefined {
  return metadata.labels?.['muster.dev/pod-group'];
}

function ownerKindOf({ metadata }: WireObject): string | undefined {
  const { ownerReferences } = metadata as { ownerReferences?: readonly { readonly kind: string }[] };
  return ownerReferences?.[0]?.kind ?? '';
}

function isLive(owner: Owner): boolean {
  if (owner.isDeleted) return false;
  if (owner instanceof JobOwner) return owner.isOpen();
  return owner.kind !== '' || owner.wanted() > 0;
}

function mayEnd(owner: Owner): boolean {
  return owner.kind === 'Job' || owner.kind === '' || owner.kind === 'MPIJob' || owner.kind === 'PyTorchJob';
}

function runKeyOf({ template, maker, uid }: Owner): string {
  return maker ? `${template.gang}/${uid}` : template.gang;
}
