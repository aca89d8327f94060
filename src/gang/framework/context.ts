/** What the steps of the decision loop share. Each step takes only the members that it uses. */

import type { Clock } from '../../core/objects/clock.ts';
import type { BarrierReach } from '../state/barrier-reach.ts';
import type { Passage } from '../state/passage.ts';
import type { Reservations } from '../state/reservations.ts';
import type { StartFailures } from '../state/start-failures.ts';
import type { Barrier } from './barrier.ts';
import type { Isolation } from './isolation.ts';
import type { ClusterView, ClusterWriter, GangObserver, QueueWriter } from './ports.ts';
import type { CoordinatorSettings } from './settings.ts';

export interface LoopContext {
  readonly view: ClusterView;
  readonly reservations: Reservations;
  readonly startFailures: StartFailures;
  readonly passage: Passage;
  readonly reach: BarrierReach;
  readonly barrier: Barrier;
  readonly writer: ClusterWriter;
  readonly queueWriter: QueueWriter;
  readonly observer: GangObserver;
  readonly clock: Clock;
  readonly settings: CoordinatorSettings;
  readonly isolation: Isolation;
}
