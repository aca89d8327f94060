/** The faults: one for each round. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Misbehaviour } from '../plane/fault-proxy.ts';
import type { Component, Plane } from '../plane/plane.ts';
import type { Random } from '../random.ts';

/** A kind of fault, and how it is done. */
export interface Fault {
  readonly name: string;
  /** It is over when this ends. Returns how many requests the proxy delayed, refused or lost, and watches it muted. */
  strike(plane: Plane, random: Random): Promise<number>;
}

/** Longest freeze: longer than a bind may be held, and than kube-scheduler waits for an answer. */
const MAX_FROZEN_MS = 9_000;
const MIN_FROZEN_MS = 1_000;
const MAX_DOWN_MS = 2_000;
const MIN_MISBEHAVIOUR_MS = 3_000;
const MAX_MISBEHAVIOUR_MS = 7_000;

function kill(component: Component): Fault {
  return {
    name: `kill -9 ${component}`,
    async strike(plane, random) {
      await plane.kill(component);
      await delay(random.below(MAX_DOWN_MS));
      await plane.start(component);
      return 0;
    },
  };
}

function freeze(component: Component): Fault {
  return {
    name: `freeze ${component}`,
    async strike(plane, random) {
      plane.freeze(component);
      try {
        await delay(between(MIN_FROZEN_MS, MAX_FROZEN_MS, random));
      } finally {
        plane.thaw(component);
      }
      return 0;
    },
  };
}

function misbehave(name: string, how: (random: Random) => Misbehaviour): Fault {
  return {
    name,
    async strike(plane, random) {
      plane.proxy.misbehave(how(random), random);
      await delay(between(MIN_MISBEHAVIOUR_MS, MAX_MISBEHAVIOUR_MS, random));
      const { hits } = plane.proxy;
      plane.proxy.behave();
      return hits;
    },
  };
}

const share = (random: Random) => 10 + random.below(70);

/** In the order of the seeds: the first five, which are run for each change, are of five different sorts. */
export const FAULTS: readonly Fault[] = [
  kill('muster'),
  misbehave('lost answers', (random) => ({ kind: 'lose-answers', percent: share(random) })),
  freeze('kube-scheduler'),
  misbehave('muted watches, everything late', () => ({ kind: 'mute' })),
  kill('kube-apiserver'),
  freeze('muster'),
  misbehave('answers 500', (random) => ({ kind: 'refuse', status: 500, percent: share(random) })),
  kill('etcd'),
  freeze('kube-controller-manager'),
  misbehave('latency', (random) => ({ kind: 'latency', maxMs: 200 + random.below(1_800) })),
  kill('kube-scheduler'),
  freeze('kube-apiserver'),
  misbehave('muted watches, never again', () => ({ kind: 'mute-for-ever' })),
  kill('kwok'),
  freeze('etcd'),
  misbehave('answers 429', (random) => ({ kind: 'refuse', status: 429, percent: share(random) })),
  kill('kube-controller-manager'),
  freeze('kwok'),
];

export function faultOf(seed: number): Fault {
  return FAULTS[(seed - 1) % FAULTS.length]!;
}

function between(least: number, most: number, random: Random): number {
  return least + random.below(most - least);
}
