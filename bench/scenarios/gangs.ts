/** The gangs that the `plan` benchmark plans, as data. */
import type { GangRequest } from '../../src/core/gang-request.ts';
import { aGang, members } from '../../test/support/gangs.ts';

export interface PlanCase {
  readonly name: string;
  /** @param serial differs in each iteration of a case with fresh templates, so that its template is a new one. */
  readonly gang: (serial: number) => GangRequest;
  /** What the plan must be, or the figure would mean nothing: how many members are placed; 0 for none. */
  readonly places: number;
  /** Milliseconds, p99. */
  readonly goal: number | null;
  /**
   * What the iteration finds cold. `nothing`: the template's verdicts are known. `template`: it has never been seen, so
   * 5,000 nodes are judged. `nodes`: a node was cordoned, so verdicts, name order and topology are built anew.
   */
  readonly cold: 'nothing' | 'template' | 'nodes';
  /** Slots of other gangs that are reserved and not bound. */
  readonly occupants?: number;
}

/** The serial is in a toleration that no node needs: a template of its own that fits where the others fit. */
function workers(count: number, serial = 0, pool?: string) {
  const template = {
    ...(serial > 0 && {
      tolerations: [{ key: `example.com/team-${serial}`, operator: 'Exists' as const, value: '', effect: '' }],
    }),
    ...(pool !== undefined && { nodeSelector: { 'example.com/pool': pool } }),
  };
  return members(count, { gpus: 8, cpu: 32, memory: 128, template });
}

const driverAndWorkers = () => aGang([...members(1, { name: 'driver', gpus: 0, cpu: 16 }), ...workers(256)]);

/** Gangs are made once and reused where the template is known. */
function once(make: () => GangRequest): () => GangRequest {
  let made: GangRequest | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

export const planCases: readonly PlanCase[] = [
  {
    name: '1,000 pods',
    gang: once(() => aGang(workers(1_000))),
    places: 1_000,
    goal: 20,
    cold: 'nothing',
  },
  {
    name: '1,000 pods, cold: new template',
    gang: (serial) => aGang(workers(1_000, serial)),
    places: 1_000,
    goal: 20,
    cold: 'template',
  },
  {
    name: '1,000 pods, cold: node set changed',
    gang: once(() => aGang(workers(1_000))),
    places: 1_000,
    goal: 20,
    cold: 'nodes',
  },
  {
    name: '1,000 pods beside 500 reserved slots',
    gang: once(() => aGang(workers(1_000))),
    places: 1_000,
    goal: 20,
    cold: 'nothing',
    occupants: 500,
  },
  { name: '64 pods', gang: once(() => aGang(workers(64))), places: 64, goal: 3, cold: 'nothing' },
  {
    name: '64 pods, cold: new template',
    gang: (serial) => aGang(workers(64, serial)),
    places: 64,
    goal: 3,
    cold: 'template',
  },
  {
    name: '64 pods, cold: node set changed',
    gang: once(() => aGang(workers(64))),
    places: 64,
    goal: null,
    cold: 'nodes',
  },
  {
    name: 'driver without GPU and 256 workers',
    gang: once(driverAndWorkers),
    places: 257,
    goal: null,
    cold: 'nothing',
  },
  {
    name: '256 pods with a node selector',
    gang: once(() => aGang(workers(256, 0, 'small'))),
    places: 256,
    goal: null,
    cold: 'nothing',
  },
  {
    name: '1,000 pods, unschedulable (a pool with room for some 640)',
    gang: once(() => aGang(workers(1_000, 0, 'small'))),
    places: 0,
    goal: null,
    cold: 'nothing',
  },
  {
    name: '1,000 pods, elastic from 200 (the same pool)',
    gang: once(() => aGang(workers(1_000, 0, 'small'), { min: 200 })),
    places: 600,
    goal: null,
    cold: 'nothing',
  },
];
