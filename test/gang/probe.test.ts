import { test } from 'vitest';
import { scheduleAll, startQueueWorld, timed } from '../support/queue-worlds.ts';
import { SECOND } from '../support/scenario.ts';
test('p', async () => {
  const world = await startQueueWorld([], { nodes: 5, queues: {backfill:'conservative'} });
  world.running('run', ['n0', 'n1'], { annotations: { 'muster.dev/expected-duration': '1h' } });
  world.create(timed('head', 4, '1h'));
  await scheduleAll(world);
  const show = () => console.log(JSON.stringify(world.muster.coordinator.queueing.admission.backfill.starts.map(s=>[s.gang,(s.startsAt-Date.UTC(2026,0,1))/3600e3,(s.endsAt-Date.UTC(2026,0,1))/3600e3,s.slots.map(x=>x.node)])));
  show();
  world.create(timed('second', 5, '1h', {createdAt: world.clock.now()+SECOND}));
  await scheduleAll(world);
  show();
  await world.pass(2*SECOND);
  world.create(timed('long', 1, '9h', {createdAt: world.clock.now()+SECOND}));
  await scheduleAll(world);
  show();
  console.log(world.stateOf('long'), world.reasonOf('long'), world.reasonOf('second'), world.boundTo('long'));
});
