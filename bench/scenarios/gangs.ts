/** The gangs of the `plan` benchmark as data. */
import type { GangRequest } from '../../src/core/placement/gang-request.ts';
import { aGang, members } from '../../test/support/gangs.ts';

export interface PlanCase {
  readonly name: string;
  readonly gang: GangRequest;
  /** Expected number of placed members, 0 for none; with another number the figure would mean nothing. */
  readonly places: number;
  /** Milliseconds, p99. */
  readonly goal: number | null;
  /**
   * What is cold in each iteration. `nothing`: the template's verdicts are known. `template`: the template is new, so
   * 5,000 nodes are judged. `nodes`: a node was cordoned, so verdicts and topology are rebuilt.
   */
  readonly cold: 'nothing' | 'template' | 'nodes';
  /** Slots of other gangs that are reserved and not bound. */
  readonly occupants?: number;
}

function workers(count: number, pool?: string) {
  const template = pool === undefined ? {} : { nodeSelector: { 'example.com/pool': pool } };
  return members(count, { gpus: 8, cpu: 32, memory: 128, template });
}

const thousand = aGang(workers(1_000));
const sixtyFour = aGang(workers(64));
const driver = members(1, { name: 'driver', gpus: 0, cpu: 16 });

export const planCases: readonly PlanCase[] = [
  {
    name: '1,000 pods',
    gang: thousand,
    places: 1_000,
    goal: 20,
    cold: 'nothing',
  },
  {
    name: '1,000 pods, cold: new template',
    gang: thousand,
    places: 1_000,
    goal: 20,
    cold: 'template',
  },
  {
    name: '1,000 pods, cold: node set changed',
    gang: thousand,
    places: 1_000,
    goal: 20,
    cold: 'nodes',
  },
  {
    name: '1,000 pods beside 500 reserved slots',
    gang: thousand,
    places: 1_000,
    goal: 20,
    cold: 'nothing',
    occupants: 500,
  },
  { name: '64 pods', gang: sixtyFour, places: 64, goal: 3, cold: 'nothing' },
  {
    name: '64 pods, cold: new template',
    gang: sixtyFour,
    places: 64,
    goal: 3,
    cold: 'template',
  },
  {
    name: '64 pods, cold: node set changed',
    gang: sixtyFour,
    places: 64,
    goal: null,
    cold: 'nodes',
  },
  {
    name: 'driver without GPU and 256 workers',
    gang: aGang([...driver, ...workers(256)]),
    places: 257,
    goal: null,
    cold: 'nothing',
  },
  {
    name: '256 pods with a node selector',
    gang: aGang(workers(256, 'small')),
    places: 256,
    goal: null,
    cold: 'nothing',
  },
  {
    name: '1,000 pods, unschedulable (a pool with room for some 640)',
    gang: aGang(workers(1_000, 'small')),
    places: 0,
    goal: null,
    cold: 'nothing',
  },
  {
    name: '1,000 pods, elastic from 200 (the same pool)',
    gang: aGang(workers(1_000, 'small'), { min: 200 }),
    places: 600,
    goal: null,
    cold: 'nothing',
  },
];
