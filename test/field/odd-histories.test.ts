/** Small cases that random histories led to (`laws.test.ts`). */
import { expect, test } from 'vitest';
import { aJob, made } from '../support/field.ts';
import { gang, SECOND, startWorld } from '../support/scenario.ts';

test('a gang that grows before it has started, beyond what fits: the reason names a cause', async () => {
  const world = await startWorld({ nodes: 2 });
  world.cluster.create('Job', aJob('j', 'j', { parallelism: 1, completions: 1 }));
  world.create(made(gang('j', 1, { min: undefined }), 'j', 'Job', 'j'));
  await world.pass(6 * SECOND);
  expect(world.stateOf('j')).toBe('Nominated');
  world.cluster.update('Job', 'default/j', ({ spec }) => {
    spec.parallelism = 3;
    spec.completions = 3;
  });
  world.create(made(gang('j', 2, { min: undefined }), 'j-more', 'Job', 'j'));
  await world.settle();
  expect(world.reasonOf('j')).toContain('members that came after it was planned found no room beside the others; tried');
  await world.pass(30 * SECOND);
  expect(world.reasonOf('j')).toContain('room for 2 of 3 members');
});
