/** A watcher on the fake API server that records all its calls. */

import type { Clock } from '../../src/core/objects/clock.ts';
import { ApiClient } from '../../src/kube/client.ts';
import { openEndpoint } from '../../src/kube/kubeconfig.ts';
import { type WatchedKind, Watcher, type WatcherOptions } from '../../src/kube/watcher.ts';
import { until } from './until.ts';

export const PODS = '/api/v1/pods';

export interface Slim {
  readonly name: string;
  readonly uid: string;
  readonly note: string;
}

function project(raw: unknown): Slim {
  const { metadata, note = '' } = raw as { metadata: { name: string; uid: string }; note?: string };
  if (note === 'unreadable') throw new Error('no sense in this one');
  return { name: metadata.name, uid: metadata.uid, note };
}

/** Time stands still, and every wait ends at the next turn of the event loop. */
class TestClock implements Clock {
  readonly waits: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  after(ms: number, callback: () => void): () => void {
    this.waits.push(ms);
    const timer = setTimeout(callback, 1);
    return () => clearTimeout(timer);
  }
}

/** A watcher with the calls to its consumer and observer: `+name/uid`, `~name/uid:note`, `-name/uid`. */
export class Probe {
  readonly changes: string[] = [];
  readonly restarts: string[] = [];
  readonly events: string[] = [];
  readonly errors: string[] = [];
  readonly clock = new TestClock();
  readonly api: ApiClient;
  readonly watcher: Watcher<Slim>;
  syncs = 0;

  constructor(url: string, kind: Partial<WatchedKind<Slim>> = {}, options: WatcherOptions = {}) {
    this.api = new ApiClient(openEndpoint(url));
    this.watcher = new Watcher<Slim>(
      this.api,
      { kind: 'Pod', path: PODS, project, ...kind },
      {
        applied: (object, previous) => {
          this.changes.push(`${previous === undefined ? '+' : '~'}${object.name}/${object.uid}`);
          if (object.note === 'bad handler') throw new Error('handler broke');
        },
        deleted: (object) => this.changes.push(`-${object.name}/${object.uid}`),
      },
      {
        onSynced: () => this.syncs++,
        onRestart: (reason) => this.restarts.push(reason),
        onEvent: (type) => this.events.push(type),
        onError: (error) => this.errors.push(error.message),
      },
      { clock: this.clock, random: () => 0.5, ...options },
    );
    this.watcher.start();
  }

  synced(): Promise<void> {
    return until('synced', () => this.watcher.synced);
  }

  /** Waits for this many changes, then returns and clears them. */
  async takeChanges(count: number): Promise<string[]> {
    await until(`${count} changes, got ${this.changes.join(' ')}`, () => this.changes.length >= count);
    return this.changes.splice(0);
  }

  names(): string[] {
    return [...this.watcher.store.values()].map((object) => `${object.name}/${object.uid}`).sort();
  }
}

export function pod(name: string, fields: { uid?: string; note?: string } = {}) {
  const { uid, ...rest } = fields;
  return { metadata: { name, namespace: 'ns', ...(uid !== undefined && { uid }) }, ...rest };
}
