/** What lone pods hold costs by the pods that exist, not by the labels that were ever written. */
import { expect, test } from 'vitest';
import type { PodUid } from '../../../src/core/objects/model.ts';
import { LoneUse } from '../../../src/gang/admit/lone-use.ts';
import { aPod, GPU } from '../../support/builders.ts';

const UID = 'uid' as PodUid;

function inQueue(queue: string) {
  return aPod({ uid: UID, nodeName: 'n0', gpus: 2, labels: { 'muster.dev/queue': queue } });
}

test('a pod that gets another queue label a hundred times counts once, under the last one', () => {
  const use = new LoneUse(
    (resource) => resource === GPU,
    () => '',
  );
  for (let i = 0; i < 100; i++) {
    use.onPod(UID, inQueue(`q${i}`));
    const groups = [...use.groups()].map(({ label, amounts }) => [label, amounts.get(GPU)]);
    expect(groups).toEqual([[`q${i}`, 2]]);
  }
  use.onPod(UID, undefined);
  expect([...use.groups()]).toEqual([]);
});
