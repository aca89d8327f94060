/**
 * Translates the four extender calls between kube-scheduler's JSON and `ExtenderVerbs`. Each answer has an outcome from a
 * fixed list, for metrics and logs.
 */
import type { ExtenderVerbs } from '../../gang/framework/ports.ts';
import type { CallOutcome, ExtenderVerb } from '../../telemetry/outcomes.ts';
import type { FilterArgs } from './filter-args.ts';
import type {
  BindArgs,
  BindResultBody,
  FilterResult,
  HostPriority,
  MetaVictims,
  PreemptArgs,
  PreemptResult,
} from './wire.ts';

export interface Answer<Verb extends ExtenderVerb, Body> {
  readonly outcome: CallOutcome<Verb>;
  readonly body: Body;
}

export class Extender {
  readonly #verbs: ExtenderVerbs;

  constructor(verbs: ExtenderVerbs) {
    this.#verbs = verbs;
  }

  filter(args: FilterArgs): Answer<'filter', FilterResult> {
    const answer = this.#verbs.filter(args);
    const { outcome } = answer;
    if ('nodeNames' in answer) return { outcome, body: { NodeNames: answer.nodeNames } };
    return { outcome, body: { NodeNames: [], FailedAndUnresolvableNodes: { [answer.key]: answer.reason } } };
  }

  prioritize(args: FilterArgs): Answer<'prioritize', readonly HostPriority[]> {
    const { outcome, scoreOf } = this.#verbs.prioritize(args);
    return { outcome, body: args.nodeNames.toArray().map((name) => ({ Host: name, Score: scoreOf(name) })) };
  }

  preempt(args: PreemptArgs): Answer<'preempt', PreemptResult> {
    const { pod, uid, nominatedNodeName } = args;
    const victims = new Map([...args.victims].map(([node, { Pods }]) => [node, Pods.map(({ UID }) => UID)]));
    const { outcome, nodes } = this.#verbs.preempt({ pod, uid, nominatedNodeName, victims });
    const echo: (readonly [string, MetaVictims])[] = nodes.map((node) => [node, args.victims.get(node)!]);
    return { outcome, body: { NodeNameToMetaVictims: Object.fromEntries(echo) } };
  }

  async bind(args: BindArgs, onCallerGone: (leave: () => void) => () => void): Promise<Answer<'bind', BindResultBody>> {
    const answer = await this.#verbs.bind(args, onCallerGone);
    return answer.outcome === 'bound'
      ? { outcome: 'bound', body: {} }
      : { outcome: 'refused', body: { Error: answer.message } };
  }
}
